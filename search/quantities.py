"""The quantities that a network is judged by, in one table (no torch).

Which way is better is written here once; fronts, constraints, studies and queries take their signs
from this table.
"""

from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

Values = TypeVar("Values", float, NDArray[np.float64])


@dataclass(frozen=True, slots=True)
class Quantity:
    """Something to be made small or large.

    Attributes:
        name: Its name in records, unit included.
        word: Its name in sentences and on the command line.
        unit: The unit of its values; empty for plain numbers.
        larger_is_better: False for every cost.
    """

    name: str
    word: str
    unit: str
    larger_is_better: bool

    @property
    def direction(self) -> Literal["minimize", "maximize"]:
        """The direction as Optuna spells it."""
        return "maximize" if self.larger_is_better else "minimize"

    def signed(self, value: Values) -> Values:
        """The value, or an array of them, turned so that smaller is better."""
        return -value if self.larger_is_better else value

    def text(self, value: float) -> str:
        """The value for a reader.

        >>> [QUANTITIES["num_params"].text(15_230_000), QUANTITIES["latency_ms"].text(0.5)]
        ['15.23M', '0.5 ms']
        >>> QUANTITIES["latency_ms"].text(1_250)
        '1.25 s'
        """
        if self.name in _COUNTS:
            return _short(value)
        if self.unit == "bytes":
            return f"{_short(value)}B"
        if self.unit == "times":
            return f"{value:.4g}x"
        if self.unit == "ms" and abs(value) >= _MS_PER_S:
            return f"{value / _MS_PER_S:.4g} s"
        rounded = f"{value:.4g}" if self.unit else f"{value:.4f}".rstrip("0").rstrip(".")
        return f"{rounded} {self.unit}".rstrip()


QUANTITIES = {
    quantity.name: quantity
    for quantity in (
        Quantity("score", "score", "", larger_is_better=True),
        Quantity("latency_ms", "latency", "ms", larger_is_better=False),
        Quantity("p99_ms", "p99", "ms", larger_is_better=False),
        Quantity("throughput_per_s", "throughput", "per s", larger_is_better=True),
        Quantity("speedup", "speedup", "times", larger_is_better=True),
        Quantity("peak_memory_bytes", "memory", "bytes", larger_is_better=False),
        Quantity("size_bytes", "disk", "bytes", larger_is_better=False),
        Quantity("num_params", "params", "", larger_is_better=False),
        Quantity("num_flops", "flops", "", larger_is_better=False),
        Quantity("energy_j", "energy", "J", larger_is_better=False),
    )
}
"""Every quantity by name. `score` is the task's primary metric, whatever that is, as a fraction;
`num_flops` counts two per multiply-add, for one example; `speedup` is against the full model."""

TIMED = ("latency_ms", "throughput_per_s", "speedup")
"""What a second timing decides."""

COSTS = tuple(name for name in QUANTITIES if name != "score")
"""What a score is paid with."""

_COUNTS = ("num_params", "num_flops")
_MS_PER_S = 1000.0


def quantity_worded(word: str) -> Quantity:
    """Look a quantity up by its name on the command line.

    Raises:
        InputError: When there is none of that name.
    """
    for quantity in QUANTITIES.values():
        if quantity.word == word:
            return quantity
    known = ", ".join(quantity.word for quantity in QUANTITIES.values())
    raise InputError(f"There is no quantity {word!r}: choose from {known}.")


def quantity_named(name: str) -> Quantity:
    """Look a quantity up.

    Raises:
        InputError: When there is none of that name.
    """
    if name not in QUANTITIES:
        raise InputError(f"There is no quantity {name!r}: choose from {', '.join(QUANTITIES)}.")
    return QUANTITIES[name]


def _short(count: float) -> str:
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "K")):
        if abs(count) >= factor:
            return f"{count / factor:.4g}{letter}"
    return f"{count:.4g}"
