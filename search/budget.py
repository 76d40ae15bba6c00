"""Reading what a user types as a budget: "5ms", "15M", "0.8 GFLOPs", "90%" (no torch).

A latency must name its unit: "5" may mean milliseconds or seconds. Multiply-adds are understood
where FLOPs are asked for and count twice.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

from ..errors import InputError
from .constraints import Constraint

BudgetWord = Literal["latency", "params", "flops", "accuracy"]

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

_BUDGETS: Mapping[str, tuple[str, Mapping[str, Decimal], str]] = {
    "latency": (
        "latency_ms",
        {"us": Decimal("0.001"), "ms": Decimal(1), "s": Decimal(1000)},
        "a time above 0 in us, ms or s, such as 5ms",
    ),
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
    "accuracy": (
        "accuracy",
        {"": Decimal(1), "%": Decimal("0.01")},
        "a fraction above 0 and up to 1 or a percentage, such as 0.9 or 90%",
    ),
}


def parse_budget(word: BudgetWord, text: str) -> Constraint:
    """Read one budget.

    >>> parse_budget("latency", "0.005s")
    Constraint(quantity='latency_ms', limit=5.0)

    Args:
        word: What is limited, as the command line calls it; an accuracy is a lower limit.
        text: A number and a unit, in any letter case, with or without spaces.

    Raises:
        InputError: When `text` is no positive amount of it; the message names the units.
    """
    name, units, accepted = _BUDGETS[word]
    match = _NUMBER.fullmatch("".join(text.split()).casefold())
    number, unit = match.groups() if match else ("", "")
    if any(character.isdigit() for character in number.partition("e")[0]) and unit in units:
        limit = float(Decimal(number.replace(",", "")) * units[unit])
        if 0 < limit < float("inf") and (name != "accuracy" or limit <= 1):
            return Constraint(name, limit)
    raise InputError(f"{text!r} is not a budget for {word}: give {accepted}.")
