"""From masses to a retention configuration that meets a target (PoWER-BERT, section 3; no torch).

**What a configuration costs.** The multiply-adds of layer j are 4 E^2 l_{j-1} + 2 E l_{j-1}^2 +
2 E F l_j, so that a configuration of shares has a cost relative to the full encoder, averaged over
the task's lengths.

**How the target is reached.** The paper tunes lambda and the learning rate of r by hand. Two facts
forbid copying its flags. Adam divides a gradient by its own size, so that a constant penalty moves
r by about the learning rate per step whatever lambda is; and with warm-up and linear decay the
learning rates of a training sum up to about 0.455 of the peak times the steps, beyond which r
cannot move at all. So the peak is set from the number of steps (`retention_learning_rate`), and
lambda decides, step by step, whether the penalty or the task's gradient sets the direction: it
grows where the cost is above a straight line from 1 to the target, and shrinks below it
(`penalty`). It is a function of the step and of the present masses alone, so that a resumed search
goes on as an unbroken one.

**Reading off.** Amounts are the floors of the masses, at least 1, never increasing, as published;
and the last layer keeps the least there is, because the head reads the first word-vector only.
Where that misses the target, all masses are scaled by one factor first, the one nearest to 1 that
meets it (`read_off`): the layers keep the proportions that were learnt.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from ..dynabert.retention import Retention, Unit
from ..dynabert.shape import EncoderShape
from .options import PowerOptions

SCHEDULE_AREA = 0.455
"""Mean of a learning rate that rises over a tenth of the steps and falls to 0, over its peak."""

SETTLED = 0.8
"""Share of the search after which the target is to be reached."""

BASE_PENALTY = 1e-3
GAIN = 25.0
"""How steeply lambda answers: an excess of a tenth of the full cost multiplies it by e^2.5."""

_BISECTIONS = 60


@dataclass(frozen=True, slots=True)
class Target:
    """What a configuration is to cost.

    Attributes:
        shape: The full model's sizes.
        lengths: The task's lengths in tokens, those of its histogram.
        unit: What amounts count.
        cost: The relative cost to reach, of multiply-adds or of word-vectors.
        counts_tokens: Whether the cost is the share of word-vectors.
    """

    shape: EncoderShape
    lengths: tuple[int, ...]
    unit: Unit
    cost: float
    counts_tokens: bool

    @classmethod
    def of(cls, options: PowerOptions, shape: EncoderShape, lengths: Sequence[int]) -> "Target":
        """The target that options ask for."""
        if options.target_speedup is not None:
            return cls(shape, tuple(lengths), options.unit, 1 / options.target_speedup, False)
        assert options.target_tokens is not None
        return cls(shape, tuple(lengths), options.unit, options.target_tokens, True)

    def relative_cost(self, masses: Sequence[float]) -> float:
        """The cost of a configuration relative to keeping everything.

        Args:
            masses: What leaves each layer, not necessarily whole.
        """
        whole = sum(self._cost(length, [float(length)] * len(masses)) for length in self.lengths)
        return sum(self._cost(n, self._left(n, masses)) for n in self.lengths) / whole

    def _left(self, length: int, masses: Sequence[float]) -> list[float]:
        if self.unit == "percent":
            return [length * mass / 100 for mass in masses]
        return [min(float(length), mass) for mass in masses]

    def _cost(self, length: int, left: Sequence[float]) -> float:
        if self.counts_tokens:
            return sum(left)
        return encoder_macs(self.shape, length, left)


def encoder_macs(shape: EncoderShape, length: float, left: Sequence[float]) -> float:
    """Multiply-adds of a full-width encoder: sum_j 4 E^2 l_{j-1} + 2 E l_{j-1}^2 + 2 E F l_j.

    Args:
        shape: The full model's sizes.
        length: Tokens of the input, l_0.
        left: What leaves each layer, l_1 ... l_L.
    """
    hidden, neurons = shape.hidden_size, shape.ffn_size
    given = (length, *left[:-1])
    return sum(
        4 * hidden**2 * before + 2 * hidden * before**2 + 2 * hidden * neurons * after
        for before, after in zip(given, left, strict=True)
    )


def retention_learning_rate(travel: float, num_steps: int) -> float:
    """The peak learning rate of r with which it can travel `SCHEDULE_AREA` times `travel`."""
    return travel / num_steps


def penalty(target: Target, masses: Sequence[float], *, progress: float) -> float:
    """Lambda at a point of the search.

    Args:
        target: What to reach.
        masses: The present masses.
        progress: The share of the search's steps that are done.
    """
    fallen = min(1.0, progress / SETTLED)
    planned = 1 + (target.cost - 1) * fallen
    excess = target.relative_cost(masses) - planned
    return BASE_PENALTY * math.exp(GAIN * excess)


def read_off(masses: Sequence[float], target: Target) -> Retention:
    """The retention configuration of some masses that meets a target, as near as there is one.

    Args:
        masses: One for each layer, in the target's unit.
        target: What to reach.
    """
    amounts = floored(masses, target.unit)
    if target.relative_cost(amounts) > target.cost:
        low, high = 0.0, 1.0
    else:
        low, high = 1.0, max(_most(target) / max(mass, 1e-9) for mass in masses)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        scaled = floored([middle * mass for mass in masses], target.unit, most=_most(target))
        if target.relative_cost(scaled) > target.cost:
            high = middle
        else:
            low = middle
    scaled = floored([low * mass for mass in masses], target.unit, most=_most(target))
    return Retention(tuple(scaled), target.unit)


def floored(masses: Sequence[float], unit: Unit, *, most: int | None = None) -> list[int]:
    """Whole amounts, at least 1, never increasing, the last one the least there is.

    >>> floored([80.9, 55.2, 60.0, 0.3], "tokens")
    [80, 55, 55, 1]
    """
    ceiling = 100 if unit == "percent" else most
    whole = [max(1, int(mass)) for mass in masses]
    if ceiling is not None:
        whole = [min(ceiling, amount) for amount in whole]
    amounts = list(accumulate(whole, min))
    return [*amounts[:-1], 1]


def _most(target: Target) -> int:
    return 100 if target.unit == "percent" else max(target.lengths)
