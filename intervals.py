"""A value with its interval: what it is over, what it holds, how it and times are printed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

FEWEST_PROCESSES = 5
"""Processes from which on an interval is called a 95 % one."""

UNDECIDED = f"not decided, which takes {FEWEST_PROCESSES} processes"
"""The verdict where `Interval.holds` has none."""

Unit = Literal["examples", "processes"]
Show = str | Callable[[float], str]
"""How a number is printed: a format, such as ".4f", or a function."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its 95 % interval, or with the range of a few processes.

    Attributes:
        value: The value.
        low: Lower end.
        high: Upper end.
        n: How many examples or processes are behind it.
        over: Which of the two.
    """

    value: float
    low: float
    high: float
    n: int
    over: Unit

    @property
    def is_range(self) -> bool:
        """Whether the ends are only the smallest and the largest of fewer than 5 processes.

        Nothing is concluded from such a range.
        """
        return self.over == "processes" and self.n < FEWEST_PROCESSES

    @property
    def meaning(self) -> str:
        """What the ends are, for a reader."""
        return interval_name(self.n, self.over)

    @property
    def half_width(self) -> float:
        """Half of the interval relative to the value."""
        return (self.high - self.low) / 2 / self.value

    @property
    def numbers(self) -> dict[str, float]:
        """The value and both ends, as JSON types."""
        return {"value": self.value, "low": self.low, "high": self.high}

    def holds(self, number: float) -> bool | None:
        """Whether the value may be a number; None where a range decides nothing."""
        return None if self.is_range else self.low <= number <= self.high

    def verdict(self, number: float, inside: str, outside: str) -> str:
        """What to say of whether the value may be a number; `UNDECIDED` of a range."""
        return {True: inside, False: outside, None: UNDECIDED}[self.holds(number)]

    def scaled(self, factor: float) -> Self:
        """The same times a factor, which may be negative."""
        # Adding 0 turns a negative zero into one.
        ends = (factor * self.low + 0.0, factor * self.high + 0.0)
        return replace(self, value=factor * self.value + 0.0, low=min(ends), high=max(ends))

    def dividing(self, number: float) -> Self:
        """A positive number divided by this positive value."""
        low, high = number / self.high, number / self.low
        return replace(self, value=number / self.value, low=low, high=high)

    def text(self, show: Show, *, unit: str = "") -> str:
        """The value with its interval in brackets.

        >>> Interval(0.8931, 0.8714, 0.9122, 872, "examples").text(".3f")
        '0.893 [0.871, 0.912]'

        Args:
            show: How each number is printed.
            unit: What stands between value and interval, with the space before it.
        """
        return bracketed(self.value, self.low, self.high, show=show, unit=unit)

    def ends(self, show: Show) -> str:
        """The ends alone, for a place of their own.

        >>> Interval(0.8931, 0.8714, 0.9122, 872, "examples").ends(".3f")
        '0.871 to 0.912'
        """
        low, high = (_shown(end, show) for end in (self.low, self.high))
        return f"{low} to {high}"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types; the number's name says what the interval is over."""
        return {**self.numbers, f"num_{self.over}": self.n}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        over: Unit = "examples" if "num_examples" in record else "processes"
        return cls(record["value"], record["low"], record["high"], record[f"num_{over}"], over)


def interval_name(n: int, over: Unit = "processes") -> str:
    """What the ends of an interval over so many examples or processes are, for a reader.

    >>> interval_name(7), interval_name(3), interval_name(1821, "examples")
    ('95 % interval over 7 processes', 'range of 3 processes', '95 % interval over 1,821 examples')
    """
    if over == "examples" or n >= FEWEST_PROCESSES:
        return f"95 % interval over {n:,} {over}"
    return f"range of {n} process{'es' if n > 1 else ''}"


def bracketed(value: float, low: float, high: float, *, show: Show, unit: str = "") -> str:
    """A value with its interval in brackets, for records of numbers; see `Interval.text`."""
    shown, *ends = (_shown(number, show) for number in (value, low, high))
    return f"{shown}{unit} [{', '.join(ends)}]"


def duration(seconds: float) -> str:
    """A time for a reader.

    >>> duration(41.3), duration(200), duration(9000)
    ('41 s', '3.3 min', '2.5 h')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def _shown(number: float, show: Show) -> str:
    return format(number, show) if isinstance(show, str) else show(number)
