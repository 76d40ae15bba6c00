"""What makes a network beside the supernet: a compression method, or the user (no torch).

A method is one file: a record of its options, which the command line turns into its own, and a
function that writes a checkpoint. Everything after that, scoring, measuring, fronts, queries,
export, is the same for every network. `baselines.methods` lists the methods.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..networks.network import Network
from ..networks.shape import EncoderShape
from ..networks.space import Space
from ..networks.subnet import SubnetConfig
from ..tasks.task import Task, Texts

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ..training.loop import TrainingProgress


class MethodOptions(Protocol):
    """What a method can be asked: a frozen record that documents its fields."""

    @property
    def label(self) -> str:
        """What people call the network."""
        ...

    def to_dict(self) -> Mapping[str, Any]:
        """What decides which network is made, as JSON types."""
        ...


@dataclass(frozen=True, slots=True)
class Variants:
    """Which variants of the training texts a run learns from, and where they are kept.

    Attributes:
        checkpoint: The pre-trained model's folder, which proposes words.
        number: How many are tried of each text.
        seed: Of the draws.
        folder: Where they are kept.
    """

    checkpoint: Path
    number: int
    seed: int
    folder: Path


def _unknown() -> Path:
    raise ValueError("the pre-trained checkpoint is not known here")


@dataclass(frozen=True, slots=True)
class Making:
    """What a method makes its network from.

    Attributes:
        teacher: The run's fine-tuned full model, with its tokenizer.
        cut: Builds a sub-network of the run's supernet as a dense model with its weights.
        task: What is learnt.
        folder: The network's own folder; what a killed training resumes from lies here too.
        progress: Is called after every training step.
        unlabelled: The run's texts without labels, from which whoever distils learns too.
        variants: Those of the training texts, likewise; None where the run has none.
        checkpoint: Gives the folder of the pre-trained model that the run began with.
    """

    teacher: Path
    cut: "Callable[[SubnetConfig], PreTrainedModel]"
    task: Task
    folder: Path
    progress: "Callable[[TrainingProgress], None]"
    unlabelled: Texts | None = None
    variants: Variants | None = None
    checkpoint: Callable[[], Path] = _unknown

    @property
    def texts(self) -> Texts:
        """What repairs are made from: training texts, then unlabelled ones."""
        return self.task.train.followed_by(self.unlabelled)

    @property
    def network(self) -> Path:
        """Where the checkpoint goes, with its tokenizer."""
        return self.folder / "network"


@dataclass(frozen=True, slots=True)
class Known:
    """What a run knows before a network is made.

    Attributes:
        space: The sub-networks of the supernet.
        networks: The run's networks by id.
        lengths: Gives the tokens of each training text.
    """

    space: Space
    networks: Mapping[str, Network]
    lengths: Callable[[], Sequence[int]]

    @property
    def shape(self) -> EncoderShape:
        """The full model's sizes."""
        return self.space.shape


Resolve = Callable[[Any, Known], Any]
"""Completes options from what the run knows, so that all that ask for one network are equal."""


@dataclass(frozen=True, slots=True)
class Method:
    """A way to make a network.

    Attributes:
        name: Its name on the command line.
        summary: What it does, in one line.
        options: The type of its options.
        make: Writes `Making.network`, or finds it written.
        resolve: Replaces what people call a network, or a target, by what decides the network.
    """

    name: str
    summary: str
    options: type[Any]
    make: Callable[[Making, Any], None]
    resolve: Resolve = lambda options, known: options
