"""A cut network trained on as a network of its own: finished, or alone from the start.

In a supernet many networks share every weight. *Finished*, one of them leaves it with the weights
that it inherits and learns on by itself. *Alone*, the same shape is cut from the rewired teacher,
which no other network has trained: with as many steps as the supernet's it shows what sharing
costs. Both learn from the fine-tuned full model by DynaBERT's losses of stage 2, logits and the
hidden states of the kept layers (Hou et al. 2020, section 2.2), whatever their width. Sizes stay,
and so do costs. Left out: labels.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import InputError
from ..networks.network import Cut, Network, Stored, find_cut
from ..networks.subnet import SubnetConfig
from ..profiling.workload import Workload
from ..training.method import Known, Making, Method
from ..training.pace import StudentPace, refuse_no_speedup

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

BATCH_SIZE = 32
"""Examples whose gradients are taken at once where importance is measured."""


@dataclass(frozen=True, slots=True)
class CutOptions(StudentPace):
    """Which network is cut, and how it learns.

    Attributes:
        network: A network that is cut from the supernet: its id, label or key.
        target_speedup: Instead of a network, how many times fewer multiply-adds the encoder is to
            have over the training texts: the nearest one is taken, of equal ones the deepest.
    """

    network: str | None = None
    target_speedup: float | None = None

    def __post_init__(self) -> None:
        """Check every setting.

        Raises:
            InputError: When one is out of its range, or not one of network and target is given.
        """
        StudentPace.__post_init__(self)
        if (self.network is None) == (self.target_speedup is None):
            raise InputError(
                "Name a network that is cut from the supernet, or give a target speed-up: one of "
                "the two."
            )
        refuse_no_speedup(self.target_speedup)

    @property
    def config(self) -> SubnetConfig:
        """What the network keeps, of options that are resolved."""
        assert self.network is not None, "the target is not resolved"
        return SubnetConfig.from_key(self.network)


@dataclass(frozen=True, slots=True)
class FinishedOptions(CutOptions):
    """Which network is finished, and how it learns."""

    @property
    def label(self) -> str:
        """What people call the network."""
        return f"{self.network}, finished"


@dataclass(frozen=True, slots=True)
class AloneOptions(CutOptions):
    """Which shape is trained alone, and how it learns."""

    @property
    def label(self) -> str:
        """What people call the network."""
        return f"{self.network}, alone"


def resolve(options: CutOptions, known: Known) -> CutOptions:
    """The same for the network's key, so that every name of it asks for one network.

    Raises:
        InputError: When there is no such network, or it is not cut from the supernet.
    """
    if options.network is None:
        assert options.target_speedup is not None
        nearest = _nearest(options.target_speedup, known)
        return replace(options, network=nearest.key, target_speedup=None)
    return replace(options, network=find_cut(known.networks, known.space, options.network).key)


def _nearest(target_speedup: float, known: Known) -> SubnetConfig:
    """The network of the supernet whose cost is nearest to a target, by its ratio."""
    workload = Workload.of(known.shape, known.lengths())
    cut = [
        network.recipe.config
        for network in known.networks.values()
        if isinstance(network.recipe, Cut) and not network.is_full
    ]
    if not cut:
        raise InputError("The supernet has no sub-network but the full model: name another one.")
    return min(
        cut,
        key=lambda config: abs(math.log(workload.speedup(known.shape, config) / target_speedup)),
    )


def finished_key(network: Network) -> str | None:
    """The key of the cut network that a network is finished from; None where it is none."""
    recipe = network.recipe
    if isinstance(recipe, Stored) and recipe.method == FINISHED.name:
        return str(recipe.asked["network"])
    return None


def finish(making: Making, options: FinishedOptions) -> None:
    """Train a network on from the weights that it inherits, or go on where that was interrupted.

    Raises:
        InputError: When the training has too many steps, or the loss stops being finite.
    """
    _train(making, options, "finished", lambda teacher, tokenizer: making.cut(options.config))


def train_alone(making: Making, options: AloneOptions) -> None:
    """Train a shape from the teacher's weights, or go on where that was interrupted.

    As in the supernet's first stage the teacher's heads and neurons are sorted by their importance
    on the search split, so that the shape has the same ones.

    Raises:
        InputError: When the training has too many steps, or the loss stops being finite.
    """
    from ..dynabert.importance import task_importance
    from ..dynabert.rewiring import rewire
    from ..encoders.extraction import extract

    def cut(teacher: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase") -> "PreTrainedModel":
        model = copy.deepcopy(teacher)
        rewire(model, task_importance(model, tokenizer, making.task, batch_size=BATCH_SIZE))
        return extract(model, options.config)

    _train(making, options, "alone", cut)


def _train(
    making: Making,
    options: CutOptions,
    stage: str,
    cut: "Callable[[PreTrainedModel, PreTrainedTokenizerBase], PreTrainedModel]",
) -> None:
    """Train what is cut, given the teacher and its tokenizer."""
    from ..training.student import Start, kept_layers_loss, train_student

    train_student(
        making,
        options,
        stage=stage,
        start=lambda teacher, tokenizer: Start(cut(teacher, tokenizer), options.config),
        loss=kept_layers_loss(making.task.head),
    )


FINISHED = Method(
    "finished",
    "A network that is cut from the supernet, trained on by itself.",
    FinishedOptions,
    finish,
    resolve,
)
ALONE = Method(
    "alone",
    "The shape of a network that is cut from the supernet, trained by itself from the teacher.",
    AloneOptions,
    train_alone,
    resolve,
)
