"""How the error e^ of a candidate is found (no torch)."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from ..errors import InputError, shortened
from ..training.pace import PRECISIONS, Precision, refuse_below, refuse_unless_positive

ErrorName = Literal["task", "mlm"]
"""The loss of the task, or that of masked words."""

MAX_THETAS = 20

FRESH_RATE, RUN_RATE = 0.03, 0.003
"""Rates of SGD, from fresh weights and from those that a run gives, at which the former loses what
a fine-tuned encoder knows (benchmarks/ose/rates.json)."""

EXTRACTION_FILE = "extraction.json"
"""What an extraction calls what was asked and found, in its folder."""


@dataclass(frozen=True, slots=True)
class ErrorOptions:
    """How each candidate is trained for its error.

    Attributes:
        steps: Training steps s, after which the loss is the error.
        error: Which loss: task, the task's own, or mlm, that of predicting masked words.
        rates: Learning rates that are tried, the set Theta; the best one counts. Left out, 0.03
            from fresh weights and 0.003 from a run's.
        batch_size: Texts of a training step.
        weight_clip: Largest absolute value of a weight, to which it is clipped after each step;
            those of a tensor that starts with larger ones, to the largest of these.
        examples: Held-out texts that the loss is taken on at most.
        precision: In training bf16 autocasts matrix products, auto where the processor has it.
        seed: Of initial weights, batches, masks and dropout.
    """

    steps: int
    error: ErrorName = "task"
    rates: tuple[float, ...] | None = None
    batch_size: int = 32
    weight_clip: float = 2.0
    examples: int = 512
    precision: Precision = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        """Check every setting.

        Raises:
            InputError: When one is out of its range.
        """
        if self.error not in get_args(ErrorName):
            names = " or ".join(get_args(ErrorName))
            raise InputError(f"The error is {names}, not {shortened(self.error)}.")
        if self.precision not in PRECISIONS:
            raise InputError(
                f"The precision {shortened(self.precision)} is not one of {', '.join(PRECISIONS)}."
            )
        refuse_below(self, 1, "steps", "batch_size", "examples")
        refuse_below(self, 0, "seed")
        refuse_unless_positive(self, "weight_clip")
        if self.rates is None:
            return
        if not 1 <= len(self.rates) <= MAX_THETAS or len(set(self.rates)) < len(self.rates):
            raise InputError(f"Give 1 to {MAX_THETAS} different learning rates.")
        for rate in self.rates:
            if not 0 < rate < math.inf:
                raise InputError(f"A learning rate must be positive, not {shortened(rate)}.")

    def to_dict(self) -> dict[str, Any]:
        """What decides an error, but for the learning rate, as JSON types."""
        record = asdict(self)
        del record["rates"]
        return record


@dataclass(frozen=True, slots=True)
class SurrogateError:
    """The error e^ of a candidate.

    Attributes:
        loss: The loss on held-out texts after training; infinite where training diverged.
        seconds: The wall time of training and of taking the loss.
    """

    loss: float
    seconds: float
