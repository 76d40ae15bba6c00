"""Bort as a method: what OSE picks, pre-trained by distillation, then taught the task (no torch).

Bort (de Wynter and Perry 2020, arXiv 2010.10499) is the architecture that Optimal Subarchitecture
Extraction picked, pre-trained by distillation at masked positions and then fine-tuned. Here the
pick is a sub-network of the run or an architecture of a candidate set; `pretraining` has the loss,
and the task is learnt from the fine-tuned full model: a sub-network by DynaBERT's loss of stage 2,
an architecture, whose states are of another width, by the logits alone.

That last step is a plain stand-in for Agora, the paper's fine-tuning, which was not released:
Agora makes new points from the student's mistakes on the dev set and has a teacher label them.
Nothing is made here, and the search split teaches nothing. Left out too: labels, the paper's
amount of text, and its rates of fine-tuning.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import log, log1p
from pathlib import Path
from typing import Any, Literal

from ..errors import InputError
from ..networks.network import find_cut
from ..networks.shape import EncoderShape
from ..networks.subnet import SubnetConfig
from ..profiling.workload import Workload
from ..storage import read_known
from ..training.method import Known, Making, Method
from ..training.pace import StudentPace, refuse_below, refuse_no_speedup, refuse_unless_positive
from .architecture import Architecture, Tables
from .options import EXTRACTION_FILE

Weights = Literal["run", "fresh"]

NEAR = 0.1
"""Relative difference of costs that count as equal where a target is given."""


@dataclass(frozen=True, slots=True)
class BortOptions(StudentPace):
    """Which network is trained, where it starts, and how it learns.

    Attributes:
        network: A network that is cut from the supernet, by id, label or key; or an architecture
            such as D4-A8-H1024-I768.
        extraction: Instead of a network, a folder of paretobert ose, whose winner is meant.
        target_speedup: How many times fewer multiply-adds the encoder is to have over the training
            texts: of an extraction the best W among those that come nearest is meant.
        weights: Where weights start: run, as the run gives them, inherited from its supernet or
            repaired in closed form; or fresh, which an architecture always is.
        pretraining_steps: Steps of distillation at masked positions before the task; 0 for none.
        pretraining_rate: Peak learning rate of pre-training.
    """

    network: str | None = None
    extraction: str | None = None
    target_speedup: float | None = None
    weights: Weights = "run"
    pretraining_steps: int = 500
    pretraining_rate: float = 1e-4

    def __post_init__(self) -> None:
        """Check every setting.

        Raises:
            InputError: When one is out of its range, or not one of network and extraction is
                given, or a target without an extraction.
        """
        StudentPace.__post_init__(self)
        if (self.network is None) == (self.extraction is None):
            raise InputError(
                "Name a network or architecture, or a folder of `paretobert ose` whose pick is "
                "meant: one of the two."
            )
        if self.extraction is None and self.target_speedup is not None:
            raise InputError(
                "A target speed-up chooses among the ranking of an extraction: give its folder."
            )
        refuse_no_speedup(self.target_speedup)
        if self.weights not in ("run", "fresh"):
            raise InputError(f"weights are run or fresh, not {self.weights!r}.")
        refuse_below(self, 0, "pretraining_steps")
        refuse_unless_positive(self, "pretraining_rate")

    @property
    def name(self) -> str:
        """The key of what is trained, of options that are resolved."""
        assert self.network is not None, "the extraction is not resolved"
        return self.network

    @property
    def label(self) -> str:
        """What people call the network."""
        return f"{self.network}, Bort" + " without pre-training" * (not self.pretraining_steps)


def resolve(options: BortOptions, known: Known) -> BortOptions:
    """The same for the key of a sub-network or architecture, so that all ways to ask are one.

    Raises:
        InputError: When there is no such network or extraction.
    """
    name = options.network if options.extraction is None else _pick(options, known)
    assert name is not None
    plain = replace(options, network=name, extraction=None, target_speedup=None)
    if is_architecture(name):
        return replace(plain, network=Architecture.from_key(name).key, weights="fresh")
    return replace(plain, network=find_cut(known.networks, known.space, name).key)


def is_architecture(name: str) -> bool:
    """Whether a name is meant as the key of an architecture, not of a sub-network."""
    return re.match(r"\s*D\d+-A", name) is not None


def _pick(options: BortOptions, known: Known) -> str:
    """The name of the best candidate of an extraction, of all or of those near the target."""
    assert options.extraction is not None
    path = Path(options.extraction) / EXTRACTION_FILE
    names = read_known(path, _ranked, lacking="holds no ranking of candidates")
    if not names:
        raise InputError(
            f"{options.extraction} holds no {EXTRACTION_FILE}: give a folder of a finished "
            "`paretobert ose`."
        )
    if options.target_speedup is None:
        return names[0]
    workload, target = Workload.of(known.shape, known.lengths()), log(options.target_speedup)
    distances = {
        name: abs(log(workload.speedup(*_sizes(name, known.shape))) - target) for name in names
    }
    near = min(distances.values()) + log1p(NEAR)
    return next(name for name in names if distances[name] <= near)


def _ranked(record: Mapping[str, Any]) -> list[str]:
    return [str(entry["name"]) for entry in record["ranking"]]


def _sizes(name: str, shape: EncoderShape) -> tuple[EncoderShape, SubnetConfig]:
    """The sizes of a candidate, and what it keeps of a model of these."""
    if not is_architecture(name):
        config = SubnetConfig.from_key(name)
        config.validate_for(shape)
        return shape, config
    tables = Tables(shape.vocab_size)
    own = Architecture.from_key(name).shape(tables, num_labels=shape.num_labels)
    return own, SubnetConfig.full(own)


def make(making: Making, options: BortOptions) -> None:
    """Pre-train and teach the network, or go on where that was interrupted.

    Raises:
        InputError: When the tokenizer has no mask to pre-train with, texts are too long for an
            architecture, the training has too many steps, or a loss stops being finite.
    """
    from .pretraining import train_bort

    train_bort(making, options)


METHOD = Method(
    "bort",
    "The pick of paretobert ose, pre-trained by distillation at masked positions, then taught.",
    BortOptions,
    make,
    resolve,
)
