"""Limits on quantities, and how far a network is from keeping them (no torch).

A violation of 0 or less is feasible, for lower limits as for upper ones. What was measured is
judged by the worse end of its interval (`Profile.judged`), so that a network that fits a budget
still fits when it is measured again; a score is judged by its value, because its interval is about
other examples, not about the measuring. A network without a value cannot be judged.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from .quantities import QUANTITIES, Quantity, Values


@dataclass(frozen=True, slots=True)
class Constraint:
    """An upper limit, or a lower one on what is better when it is larger.

    Attributes:
        quantity: A name from `QUANTITIES`.
        limit: The worst value that is still allowed, above 0.
    """

    quantity: str
    limit: float

    def __post_init__(self) -> None:
        """Check the name and the limit."""
        if self.quantity not in QUANTITIES:
            raise ValueError(f"quantity must be one of {tuple(QUANTITIES)}, not {self.quantity!r}")
        if not (math.isfinite(self.limit) and self.limit > 0):
            raise ValueError(f"limit must be a positive number, not {self.limit!r}")

    def __str__(self) -> str:
        """The constraint for a reader.

        >>> str(Constraint("latency_ms", 5))
        'latency <= 5 ms'
        """
        return self.phrase()

    @property
    def kind(self) -> Quantity:
        """The limited quantity's row of the table."""
        return QUANTITIES[self.quantity]

    def word(self, *, metric: str = "score") -> str:
        """What is limited, for a reader; the score by the name of the task's primary metric."""
        return metric if self.quantity == "score" else self.kind.word

    def relaxed(self, factor: float) -> "Constraint":
        """The limit on so many times more, or, where larger is better, on so many times less."""
        limit = self.limit / factor if self.kind.larger_is_better else self.limit * factor
        return Constraint(self.quantity, limit)

    def phrase(self, *, metric: str = "score") -> str:
        """The constraint for a reader, with the name of the task's primary metric."""
        sign = ">=" if self.kind.larger_is_better else "<="
        return f"{self.word(metric=metric)} {sign} {self.kind.text(self.limit)}"

    def violation(self, value: Values) -> Values:
        """How far a value is beyond the limit, in the quantity's unit; 0 or less is feasible."""
        return self.kind.signed(value) - self.kind.signed(self.limit)

    def relative_violation(self, value: Values) -> Values:
        """The violation as a share of the limit, comparable between quantities."""
        return self.violation(value) / self.limit

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return {"quantity": self.quantity, "limit": self.limit}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        return cls(**record)


def total_violation(constraints: Sequence[Constraint], values: Mapping[str, float]) -> float:
    """The shares of the limits that are exceeded, summed; 0 when every limit is kept."""
    return sum(max(0.0, entry.relative_violation(values[entry.quantity])) for entry in constraints)


@dataclass(frozen=True, slots=True)
class LossLimit:
    """A limit on the score that is lost against the full model, in pairs.

    A network keeps it when it surely loses no more: when the upper end of the 95 % interval of its
    loss, over the examples of the search split, is at most the limit.

    Attributes:
        limit: The largest loss allowed, as a fraction of the metric's unit.
    """

    limit: float

    def __post_init__(self) -> None:
        """Check the limit."""
        if not 0 < self.limit < 1:
            raise ValueError(f"a loss must be between 0 and 1, not {self.limit!r}")

    def relaxed(self, factor: float) -> "LossLimit":
        """The limit on so many times more, which no loss may reach 1 by."""
        return LossLimit(min(self.limit * factor, math.nextafter(1, 0)))

    def phrase(self, *, metric: str = "score") -> str:
        """The limit for a reader; the metric is understood."""
        return f"a loss of at most {100 * self.limit:.4g} points, surely, against the full model"
