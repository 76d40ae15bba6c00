"""The settings that every training has, whatever it trains (no torch)."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ..errors import InputError, shortened
from ..tasks.splits import MAX_SEED

Precision = Literal["auto", "fp32", "bf16"]
PRECISIONS: tuple[Precision, ...] = ("auto", "fp32", "bf16")

MAX_STEPS = 10_000_000
"""Steps of all stages of a training: months, even at ten a second."""

_LARGEST = {"augment": 100, "batch_size": 65_536, "seed": MAX_SEED}
_MAX_WHOLE = 1_000_000


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast something learns; the options of each method add what is their own.

    Attributes:
        learning_rate: Peak learning rate, decayed linearly to 0.
        warmup_share: Share of the steps over which the learning rates rise from 0.
        weight_decay: AdamW's decoupled decay.
        batch_size: Examples per training step.
        clip_norm: Largest norm of a step's gradient.
        precision: In training "bf16" autocasts matrix products, "auto" where the processor has it.
        seed: Of initial heads, batch order, dropout and whatever else is drawn.
        checkpoint_steps: Steps between two checkpoints of a stage.
    """

    learning_rate: float = 2e-5
    warmup_share: float = 0.0
    weight_decay: float = 0.01
    batch_size: int = 32
    clip_norm: float = 1.0
    precision: Precision = "auto"
    seed: int = 0
    checkpoint_steps: int = 200

    def __post_init__(self) -> None:
        """Check every setting.

        Raises:
            InputError: When one is out of its range.
        """
        if self.precision not in PRECISIONS:
            raise InputError(
                f"The precision {shortened(self.precision)} is not one of {', '.join(PRECISIONS)}."
            )
        refuse_below(self, 1, "batch_size", "checkpoint_steps")
        refuse_below(self, 0, "seed")
        refuse_unless_positive(self, "learning_rate", "clip_norm")
        if not 0 <= self.weight_decay < math.inf:
            raise InputError(f"weight_decay must be at least 0, not {self.weight_decay}.")
        if not 0 <= self.warmup_share < 1:
            raise InputError(f"warmup_share must be in [0, 1), not {self.warmup_share}.")


@dataclass(frozen=True, slots=True)
class StudentPace(Pace):
    """How fast, and how long, one network learns from the fine-tuned model.

    Attributes:
        epochs: Passes over the training data.
        steps: Training steps, instead of whole epochs.
    """

    epochs: int = 3
    steps: int | None = None

    def __post_init__(self) -> None:
        """Check every setting.

        Raises:
            InputError: When one is out of its range.
        """
        Pace.__post_init__(self)
        refuse_below(self, 1, "epochs")
        if self.steps is not None:
            refuse_below(self, 1, "steps")

    def whole_epochs(self, num_examples: int) -> int:
        """Epochs that hold every step.

        Args:
            num_examples: Of the training split.

        Raises:
            InputError: When they have too many steps.
        """
        if self.steps is not None:
            return math.ceil(
                self.steps / steps_per_epoch(num_examples, batch_size=self.batch_size)
            )
        check_steps(self, (self.epochs, num_examples))
        return self.epochs

    def to_dict(self) -> dict[str, Any]:
        """What decides the network, as JSON types: epochs, or steps, and whatever is given."""
        left_out = {"checkpoint_steps", "steps" if self.steps is None else "epochs"}
        return {
            name: value
            for name, value in asdict(self).items()
            if name not in left_out and value is not None
        }


def steps_per_epoch(num_examples: int, *, batch_size: int) -> int:
    """Training steps of one pass over so many examples."""
    return math.ceil(num_examples / batch_size)


def check_steps(pace: Pace, *passes: tuple[int, int]) -> None:
    """Check that a training ends in reasonable time.

    Args:
        pace: Gives the batch size.
        passes: The epochs of its stages, and the examples of each epoch.

    Raises:
        InputError: When it has too many steps.
    """
    steps = sum(
        epochs * steps_per_epoch(examples, batch_size=pace.batch_size)
        for epochs, examples in passes
    )
    if steps > MAX_STEPS:
        asked = " and ".join(
            f"{epochs:,} epochs over {examples:,} examples"
            for epochs, examples in passes
            if epochs
        )
        raise InputError(
            f"{asked} are {steps:,} steps, and at most {MAX_STEPS:,} are taken: give fewer epochs "
            "or a larger batch size for training."
        )


def refuse_below(options: object, smallest: int, *names: str) -> None:
    """Raise unless settings are whole numbers from the smallest that makes sense to a huge one.

    Raises:
        InputError: Naming the setting.
    """
    for name in names:
        value, largest = getattr(options, name), _LARGEST.get(name, _MAX_WHOLE)
        if isinstance(value, bool) or not isinstance(value, int):
            raise InputError(f"{name} must be a whole number, not {shortened(value)}.")
        if not smallest <= value:
            raise InputError(f"{name} must be at least {smallest}, not {value}.")
        if not value <= largest:
            raise InputError(f"{name} must be at most {largest:,}, not {shortened(value)}.")


def refuse_no_speedup(target_speedup: float | None) -> None:
    """Raise if a target speed-up that is given is not above 1 and finite.

    Raises:
        InputError: Saying so.
    """
    if target_speedup is not None and not 1 < target_speedup < math.inf:
        raise InputError(f"The target speed-up must be above 1, not {target_speedup:g}.")


def refuse_unless_positive(options: object, *names: str) -> None:
    """Raise if a setting that is given is not positive and finite.

    Raises:
        InputError: Naming the setting.
    """
    for name in names:
        value = getattr(options, name)
        if value is not None and not 0 < value < math.inf:
            raise InputError(f"{name} must be positive, not {shortened(value)}.")
