"""From masses to a retention configuration: steering to a target, or a lambda (no torch).

**What a configuration costs.** The multiply-adds of layer j are 4 E^2 l_{j-1} + 2 E l_{j-1}^2 +
2 E F l_j; their sum over layers and over the task's texts, relative to keeping everything, is the
cost. Or it is the share of word-vectors kept (`Costs`).

**The paper's way** (PoWER-BERT, section 3; `FixedPenalty`). Lambda and the learning rate of r are
hyper-parameters, tuned by hand for each task until the configuration is as small as wanted and as
good as possible. Amounts are the floors of the masses, at least 1, never increasing.

**Steering** (ours; `Target`). One says what the configuration is to cost. Two facts forbid copying
the published flags. Adam divides a gradient by its own size, so that where the penalty dominates,
r falls by the learning rate in each step whatever lambda is; and over a training the learning
rates sum up to about half the peak times the steps (0.455 in the published code), which is all
that r can fall. So the peak is set from the number of steps: `retention_learning_rate`. And what
lambda decides is whether the penalty outweighs the task's gradient of r, whose size differs from
task to task. So lambda is measured in that size, and steers: it grows where the cost is above a
straight line from 1 to the target, and shrinks below it. It depends on the step, the present
masses and the present gradient alone, so that a resumed search goes on as an unbroken one. The
masses end near the target, not on it, so all of them are then scaled by one factor: the largest
with which the configuration costs no more than the target. The layers keep the proportions that
were learnt.

Both differ from the paper in the last layer, which keeps the least there is: the head reads the
first word-vector only. Nothing in the paper's way makes for a cost that is known beforehand;
nothing in steering finds the lambda with the best trade between loss and cost.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Self

from ..errors import InputError
from ..networks.retention import Retention, Unit
from ..networks.shape import EncoderShape
from .options import PowerOptions

SETTLED = 0.8
"""Share of the search after which the target is to be reached."""

GAIN = 25.0
"""How steeply lambda answers: an excess of a tenth of the full cost multiplies it by e^2.5."""

_BISECTIONS = 60


@dataclass(frozen=True, slots=True)
class Costs:
    """What keeping fewer word-vectors costs on a task, relative to keeping everything.

    Attributes:
        shape: The full model's sizes.
        histogram: The task's lengths in tokens, each with the number of its texts.
        unit: What amounts count.
        counts_tokens: Whether the cost is the share of word-vectors, not of multiply-adds.
    """

    shape: EncoderShape
    histogram: tuple[tuple[int, int], ...]
    unit: Unit
    counts_tokens: bool

    @classmethod
    def on(
        cls, lengths: Sequence[int], shape: EncoderShape, *, unit: Unit, counts_tokens: bool
    ) -> Self:
        """The costs on a task's texts, whose lengths are in tokens."""
        return cls(shape, tuple(sorted(Counter(lengths).items())), unit, counts_tokens)

    @property
    def longest(self) -> int:
        """The most that a layer can keep, in the unit."""
        return 100 if self.unit == "percent" else self.histogram[-1][0]

    def of_masses(self, masses: Sequence[float]) -> float:
        """The cost of what is being learnt.

        Args:
            masses: What leaves each layer, in the unit and not yet whole.
        """

        def left(length: int) -> list[float]:
            if self.unit == "percent":
                return [length * mass / 100 for mass in masses]
            return [min(float(length), mass) for mass in masses]

        return self._relative(left)

    def of(self, retention: Retention) -> float:
        """The cost of a configuration, rounded as it is for each text."""
        return self._relative(retention.kept)

    def _relative(self, left: Callable[[int], Sequence[float]]) -> float:
        num_layers = self.shape.num_layers
        costs = sum(number * self._cost(n, left(n)) for n, number in self.histogram)
        whole = sum(number * self._cost(n, (n,) * num_layers) for n, number in self.histogram)
        return costs / whole

    def _cost(self, length: int, left: Sequence[float]) -> float:
        return sum(left) if self.counts_tokens else encoder_macs(self.shape, length, left)


@dataclass(frozen=True, slots=True)
class Target:
    """A search that steers to a cost.

    Attributes:
        costs: What configurations cost on the task.
        cost: The relative cost to reach.
    """

    costs: Costs
    cost: float

    @classmethod
    def of(cls, options: PowerOptions, shape: EncoderShape, lengths: Sequence[int]) -> Self:
        """The target that options ask for.

        Args:
            options: With one of the two targets.
            shape: The full model's sizes.
            lengths: Tokens of each of the task's texts.

        Raises:
            InputError: When not even the smallest configuration meets it.
        """
        if options.target_speedup is not None:
            cost, counts_tokens = 1 / options.target_speedup, False
        else:
            assert options.target_tokens is not None
            cost, counts_tokens = options.target_tokens, True
        costs = Costs.on(lengths, shape, unit=options.unit, counts_tokens=counts_tokens)
        least = costs.of(Retention((1,) * shape.num_layers, options.unit))
        if least > cost:
            reach = (
                f"{least:.3f} of the word-vectors" if counts_tokens else f"{1 / least:.1f} times"
            )
            wanted = f"{cost:g}" if counts_tokens else f"{options.target_speedup:g} times"
            raise InputError(
                f"The target {wanted} is out of reach: the first layer's attention sees every "
                f"word-vector, so that {reach} is the most that elimination gives on this task; "
                "ask for less."
            )
        return cls(costs, cost)

    def penalty(self, masses: Sequence[float], *, progress: float, resistance: float) -> float:
        """Lambda at a point of the search.

        On the planned line the penalty of the layer in the middle is as strong as the task's
        gradient.

        Args:
            masses: The present masses.
            progress: The share of the search's steps that are done.
            resistance: The mean size of the task's gradient of an entry of r (`soft`).
        """
        planned = 1 + (self.cost - 1) * min(1.0, progress / SETTLED)
        excess = self.costs.of_masses(masses) - planned
        mean_depth = (len(masses) + 1) / 2
        return resistance / mean_depth * math.exp(GAIN * excess)

    def read_off(self, masses: Sequence[float]) -> Retention:
        """The configuration of some masses, in their proportions, that meets the target.

        Args:
            masses: One for each layer, in the target's unit.
        """
        most, unit = self.costs.longest, self.costs.unit

        def scaled(factor: float) -> Retention:
            return Retention(floored([min(most, factor * mass) for mass in masses]), unit)

        low, high = 0.0, most / max(min(masses), 1e-6)
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            if self.costs.of(scaled(middle)) <= self.cost:
                low = middle
            else:
                high = middle
        return scaled(low)


@dataclass(frozen=True, slots=True)
class FixedPenalty:
    """The published search: lambda is given, and the cost is what comes of it.

    Attributes:
        costs: What configurations cost on the task.
        weight: Lambda.
    """

    costs: Costs
    weight: float

    def penalty(self, masses: Sequence[float], *, progress: float, resistance: float) -> float:
        """Lambda, at any point of the search; arguments as for `Target.penalty`."""
        return self.weight

    def read_off(self, masses: Sequence[float]) -> Retention:
        """The floors of the masses."""
        return Retention(floored(masses), self.costs.unit)


def search_for(
    options: PowerOptions, shape: EncoderShape, lengths: Sequence[int]
) -> Target | FixedPenalty:
    """The search that options ask for.

    Args:
        options: With a target or a lambda.
        shape: The full model's sizes.
        lengths: Tokens of each of the task's texts.

    Raises:
        InputError: When a target is out of reach.
    """
    if options.penalty is None:
        return Target.of(options, shape, lengths)
    costs = Costs.on(lengths, shape, unit=options.unit, counts_tokens=False)
    return FixedPenalty(costs, options.penalty)


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
    """The peak learning rate of r with which it can fall by about half of `travel`."""
    return travel / num_steps


def floored(masses: Sequence[float]) -> tuple[int, ...]:
    """Whole amounts, at least 1, never increasing, the last one the least there is.

    >>> floored([80.9, 55.2, 60.0, 0.3])
    (80, 55, 55, 1)
    """
    amounts = accumulate((max(1, int(mass)) for mass in masses), min)
    return (*list(amounts)[:-1], 1)
