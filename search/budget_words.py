"""Reading what a user types as a budget: "5ms", "300MB", "15M", "90%", "1pt" (no torch).

A latency must name its unit: "5" may mean milliseconds or seconds. Multiply-adds are understood
where FLOPs are asked for and count twice.
"""

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Literal, TypedDict

from ..errors import InputError
from .constraints import Constraint, LossLimit

BudgetWord = Literal[
    "latency",
    "p99",
    "throughput",
    "speedup",
    "memory",
    "disk",
    "params",
    "flops",
    "energy",
    "score",
    "max_loss",
]


class Limits(TypedDict, total=False):
    """What a query limits, as the command line writes it or, where no unit is lost, as numbers."""

    latency: str | float
    p99: str | float
    throughput: str | float
    speedup: str | float
    memory: str | float
    disk: str | float
    params: str | float
    flops: str | float
    energy: str | float
    score: str | float
    max_loss: str | float


_NUMBER = re.compile(
    r"([+-]?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]*)(?:\.[0-9]*)?(?:e[+-]?[0-9]{1,3})?)(.*)"
)

_PREFIXES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9, "t": 10**12}


def _counts(*units: str) -> dict[str, Decimal]:
    return {
        prefix + unit: Decimal(factor) for prefix, factor in _PREFIXES.items() for unit in units
    }


_FLOPS = _counts("", "flop", "flops")
_MACS = {unit: 2 * factor for unit, factor in _counts("mac", "macs").items()}
_TIMES = {"us": Decimal("0.001"), "ms": Decimal(1), "s": Decimal(1000)}
_TIME = "a time above 0 in us, ms or s, such as 5ms"
_BYTES = {
    "b": Decimal(1),
    **{f"{letter}b": Decimal(10 ** (3 * power)) for power, letter in enumerate("kmgt", start=1)},
    **{f"{letter}ib": Decimal(2 ** (10 * power)) for power, letter in enumerate("kmgt", start=1)},
}
_SIZE = "a size above 0 in KB, MB or GB, such as 300MB"

_BUDGETS: Mapping[str, tuple[str, Mapping[str, Decimal], str]] = {
    "latency": ("latency_ms", _TIMES, _TIME),
    "p99": ("p99_ms", _TIMES, _TIME),
    "throughput": (
        "throughput_per_s",
        {unit: Decimal(1) for unit in ("", "/s", "pers")},
        "a number above 0 of sequences per second, such as 200/s",
    ),
    "speedup": (
        "speedup",
        {unit: Decimal(1) for unit in ("", "x", "times")},
        "a number above 0, such as 3x",
    ),
    "memory": ("peak_memory_bytes", _BYTES, _SIZE),
    "disk": ("size_bytes", _BYTES, _SIZE),
    "params": (
        "num_params",
        _counts("", "params", "parameters"),
        "a number above 0, plain or with K, M or G, such as 15M",
    ),
    "flops": (
        "num_flops",
        _FLOPS | _MACS,
        "a number above 0 with K, M, G or T, of FLOPs or MACs, such as 800M or 1GFLOPs",
    ),
    "energy": (
        "energy_j",
        {"mj": Decimal("0.001"), "j": Decimal(1), "kj": Decimal(1000)},
        "an energy above 0 of one batch in mJ or J, such as 20mJ",
    ),
    "score": (
        "score",
        {"": Decimal(1), "%": Decimal("0.01")},
        "a fraction above 0 and up to 1 or a percentage, such as 0.9 or 90%",
    ),
    "max_loss": (
        "loss",
        {
            "": Decimal(1),
            **dict.fromkeys(("%", "pt", "pts", "point", "points"), Decimal("0.01")),
        },
        "a loss above 0 and below 1 or in points, such as 0.01 or 1pt",
    ),
}


def parse_budget(word: BudgetWord, asked: str | float) -> Constraint | LossLimit:
    """Read one budget.

    >>> parse_budget("latency", "0.005s")
    Constraint(quantity='latency_ms', limit=5.0)
    >>> parse_budget("max_loss", "1pt")
    LossLimit(limit=0.01)

    Args:
        word: What is limited, as the command line calls it.
        asked: A number and a unit, in any letter case, with or without spaces; a plain number
            where there is no unit to mistake.

    Raises:
        InputError: When it is no positive amount of it; the message names the units.
    """
    name, units, accepted = _BUDGETS[word]
    text = asked if isinstance(asked, str) else repr(asked)
    match = _NUMBER.fullmatch("".join(text.split()).casefold())
    number, unit = match.groups() if match else ("", "")
    if any(character.isdigit() for character in number.partition("e")[0]) and unit in units:
        limit = float(Decimal(number.replace(",", "")) * units[unit])
        if name == "loss" and 0 < limit < 1:
            return LossLimit(limit)
        if name != "loss" and 0 < limit < math.inf and (name != "score" or limit <= 1):
            return Constraint(name, limit)
    option = word.replace("_", "-")
    raise InputError(f"{text!r} is not a budget for {option}: give {accepted}.")
