"""How many word-vectors leave each layer: PoWER-BERT's retention configuration (no torch).

Goyal et al. 2020, section 3: (l_1, ..., l_L), non-increasing; l_j word-vectors leave encoder j.
Two forms:

- "tokens", the paper's, holds counts. They are learnt for inputs padded to one length N. A text
  shorter than l_j keeps all it has, so that most layers do nothing for short texts.
- "percent", ours, holds whole percents of the text's own length, padding not counted, rounded up.
  One configuration then serves texts of any length, a batch gives what its examples give one by
  one, and it is what a supernet is trained with. Whole percents because a key must read back
  exactly.

Which word-vectors stay is decided for each text, in `elimination`.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Any, Literal, Self, get_args

from ..errors import InputError, shortened

Unit = Literal["tokens", "percent"]

LETTERS: dict[Unit, str] = {"tokens": "T", "percent": "P"}
"""How a key begins."""

STEEPNESS = 3.0
"""Of the configurations that multipliers ask for."""

_STEEPNESSES = (1.0, 5.0)
"""The range of random configurations."""

_NOTHING_LEFT = 10.0
_BISECTIONS = 60


@dataclass(frozen=True, slots=True)
class Retention:
    """The word-vectors that leave each kept layer, after its attention.

    Attributes:
        amounts: One for each kept layer, non-increasing, at least 1.
        unit: What they count: "tokens", or "percent" of the text's own length.
    """

    amounts: tuple[int, ...]
    unit: Unit = "tokens"

    def __post_init__(self) -> None:
        """Check the amounts.

        Raises:
            InputError: When they increase, or one is not a whole number in its range.
        """
        if self.unit not in get_args(Unit):
            raise InputError(
                f"The unit {self.unit!r} of a retention configuration is not one of "
                f"{', '.join(get_args(Unit))}."
            )
        text = shortened(_dotted(self.amounts)).strip("'")
        if not self.amounts:
            raise InputError("A retention configuration needs an amount for each kept layer.")
        if not all(type(amount) is int and amount >= 1 for amount in self.amounts):
            raise InputError(
                f"The retention configuration {text} must hold whole numbers from 1 on: "
                "the first token always stays."
            )
        if any(later > earlier for earlier, later in pairwise(self.amounts)):
            raise InputError(
                f"The retention configuration {text} increases: a token that has been "
                "eliminated does not come back."
            )
        if self.unit == "percent" and self.amounts[0] > 100:
            raise InputError(f"The retention configuration {text} keeps more than 100 percent.")

    @property
    def keeps_all(self) -> bool:
        """Whether nothing is eliminated from a text of any length."""
        return self.unit == "percent" and self.amounts[-1] == 100

    @property
    def key(self) -> str:
        """The configuration as one word.

        >>> Retention((80, 55, 1), "percent").key
        'P80.55.1'
        """
        return LETTERS[self.unit] + _dotted(self.amounts)

    @classmethod
    def from_key(cls, key: str) -> Self:
        """Read back a key.

        Raises:
            InputError: When `key` is not the key of a retention configuration.
        """
        match = re.fullmatch(r"([TP])(\d{1,9}(?:\.\d{1,9})*)", key.strip())
        if match is None:
            raise InputError(
                f"{shortened(key)} is not the key of a retention configuration: it is not of the "
                "form T80.48.5 (tokens) or P80.55.30 (percent)."
            )
        unit: Unit = "tokens" if match[1] == LETTERS["tokens"] else "percent"
        return cls(tuple(int(part) for part in match[2].split(".")), unit)

    @classmethod
    def from_multiplier(
        cls, num_layers: int, multiplier: float, *, steepness: float = STEEPNESS
    ) -> Self:
        """The percent form whose layers but the last keep a share of the text on average.

        Layer j of L, counted from 1, keeps exp(-c * (j / L) ** steepness) of the text; c follows
        from the average. At 1 every layer eliminates the same share; above, later ones more. The
        last one keeps 1 percent, in a text of up to 100 tokens the first alone: the head reads
        nothing else, so that its feed-forward network needs no more.

        >>> Retention.from_multiplier(6, 0.5).amounts
        (97, 81, 49, 19, 4, 1)

        Args:
            num_layers: Kept layers.
            multiplier: The average share.
            steepness: How late in the network word-vectors are eliminated.

        Raises:
            InputError: When `multiplier` is not in (0, 1].
        """
        if not 0 < multiplier <= 1:
            raise InputError(f"The tokens multiplier {multiplier} is not in (0, 1].")
        powers = [(layer / num_layers) ** steepness for layer in range(1, num_layers)]

        def shares(decay: float) -> list[float]:
            return [math.exp(-decay * power) for power in powers]

        low, high = 0.0, _NOTHING_LEFT / min(powers, default=1.0)
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            if sum(shares(middle)) > multiplier * len(powers):
                low = middle
            else:
                high = middle
        return cls((*(max(1, round(100 * share)) for share in shares(high)), 1), "percent")

    @classmethod
    def random(cls, num_layers: int, *, least: float, generator: Random) -> Self:
        """Draw a multiplier from `least` to 1 and a steepness, both uniformly.

        Args:
            num_layers: Kept layers.
            least: The smallest multiplier.
            generator: Of the draw.
        """
        multiplier = generator.uniform(least, 1)
        steepness = generator.uniform(*_STEEPNESSES)
        return cls.from_multiplier(num_layers, multiplier, steepness=steepness)

    def kept(self, length: int) -> tuple[int, ...]:
        """The word-vectors that leave each layer for a text of `length` tokens.

        >>> Retention((80, 55, 1), "percent").kept(10)
        (8, 6, 1)
        """
        if self.unit == "tokens":
            return tuple(min(amount, length) for amount in self.amounts)
        return tuple(-(-length * amount // 100) for amount in self.amounts)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return {"amounts": list(self.amounts), "unit": self.unit}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        return cls(amounts=tuple(record["amounts"]), unit=record["unit"])


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))
