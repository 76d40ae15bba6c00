"""Intervals, test and power of shares and of their paired differences (no torch).

One share: Wilson's (1927) score interval. Two models on the same examples differ only on the
discordant ones, those that one of them alone has right. Whether they differ is decided by
McNemar's exact test, the two-sided binomial test on the discordant examples (McNemar 1947); the
difference's interval is Tango's (1998) score interval. Test and interval are made differently
(exact given the number of discordant examples; from the score statistic over all examples), so
that near 5 % the one may exclude no difference and the other not: the test decides.

`benchmarks/score_coverage.json` holds how often the interval covers and how much the test sees.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from statistics import NormalDist
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Z95 = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution."""

LEVEL = 0.05
"""Differences with a smaller p-value are called distinguishable."""

POWER = 0.8
"""How often a difference that is called detectable is found."""

FEWEST = math.floor(math.log2(2 / LEVEL)) + 1
"""Discordant examples, all of them against one model, that the test needs to find a difference."""

BISECTIONS = 40
"""Halvings of an interval of length 1 or 2: the ends are exact to 1e-11."""

SECANTS = 20
"""At most so many steps of the secant method, which needs about five."""

Floats = NDArray[np.float64]
Count = TypeVar("Count", float, Floats)


def wilson_interval(share: float, n: int) -> tuple[float, float]:
    """The 95 % score interval of a share of n examples (Wilson 1927)."""
    centre = (share + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 * math.sqrt(share * (1 - share) / n + Z95**2 / (4 * n**2)) / (1 + Z95**2 / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def tango_interval(only_a: Count, only_b: Count, *, n: int) -> tuple[Count, Count]:
    """The 95 % interval of the difference of two shares on the same examples.

    Tango (1998), Statistics in Medicine 17, 891-908: the differences that the score test does not
    reject at 5 %, the test's variance being estimated under the difference tested.

    Args:
        only_a: How many examples only the first model has right; a number, or an array of them.
        only_b: How many only the second has right; likewise.
        n: The number of all examples.

    Returns:
        Both ends for the first share minus the second.
    """
    return _tango_low(only_a, only_b, n), -_tango_low(only_b, only_a, n)


def mcnemar_p_value(only_a: int, only_b: int) -> float:
    """The two-sided p-value of McNemar's exact test.

    Args:
        only_a: How many examples only the first model has right.
        only_b: How many only the second has right.
    """
    fewer, discordant = min(only_a, only_b), only_a + only_b
    return min(1.0, 2 * float(_binomial(np.array([discordant]), fewer, 0.5).sum()))


@lru_cache(maxsize=4096)
def detectable_loss(n: int, discordant: int) -> float | None:
    """The smallest true loss that McNemar's exact test at 5 % finds with probability .8.

    The power is summed exactly over the number of discordant examples and over which of the two
    models they speak for. Assumed is that a new sample is drawn from models that are discordant
    on the observed share of examples, or, where the loss itself is larger, on as many as the loss:
    errors are then nested, which is where a loss shows best.

    Args:
        n: The number of all examples.
        discordant: How many of them exactly one of the models has right.

    Returns:
        A share of the examples; None when no loss would be found so often, on few examples.
    """
    if n < FEWEST:
        return None
    share = discordant / n
    if _found_by_nesting(n, share) <= POWER:

        def short(loss: float) -> float:
            """The same where the loss decides how many examples are discordant."""
            return _normal(_found_by_nesting(n, loss)) - _normal(POWER)

        return _root(short, FEWEST / n, largest=1)
    spread = math.ceil(5 * math.sqrt(discordant * (1 - share)))
    drawn = np.arange(max(FEWEST, discordant - spread), min(n, discordant + spread) + 1)
    chances = _binomial(np.array([n]), int(drawn[-1]), share)[0, drawn]
    tails = np.cumsum(_binomial(drawn, int(drawn[-1]) // 2, 0.5), axis=1)
    against = (2 * tails < LEVEL).sum(axis=1) - 1
    rejected = np.arange(against.max() + 1) <= against[:, None]

    def excess(loss: float) -> float:
        """How far the power is from the one asked for, on the normal scale, where it is linear."""
        worse = _binomial(drawn, int(against.max()), (1 - loss / share) / 2)
        return _normal(float(chances @ (worse * rejected).sum(axis=1))) - _normal(POWER)

    return _root(excess, (Z95 + _normal(POWER)) * math.sqrt(share / n), largest=share)


def _found_by_nesting(n: int, loss: float) -> float:
    """How often enough examples are discordant when the one model is wrong wherever the other is.

    Args:
        n: The number of all examples.
        loss: The share of them that only the better model has right.
    """
    return 1 - float(_binomial(np.array([n]), FEWEST - 1, loss).sum())


def _binomial(trials: NDArray[np.int64], most: int, share: float) -> Floats:
    """The chances of 0 to `most` successes: (numbers of trials, most + 1).

    Args:
        trials: Numbers of trials.
        most: The most successes of interest; chances beyond the number of trials are 0.
        share: The chance of each success.
    """
    successes = np.arange(most + 1)
    if not 0 < share < 1:
        return np.asarray((successes == trials[:, None] * round(share)).astype(float))
    logarithms = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, trials.max() + 1)))])
    failures = trials[:, None] - successes
    rest = np.maximum(failures, 0)
    ways = (
        logarithms[trials][:, None]
        - logarithms[np.minimum(successes, trials.max())]
        - logarithms[rest]
    )
    chances = np.exp(ways + successes * math.log(share) + rest * math.log1p(-share))
    return np.asarray(np.where(failures < 0, 0.0, chances))


def _normal(share: float) -> float:
    """The quantile of the standard normal distribution, of shares at most 1 - 1e-12."""
    return NormalDist().inv_cdf(min(max(share, 1e-300), 1 - 1e-12))


def _root(function: Callable[[float], float], start: float, *, largest: float) -> float:
    """Where a rising, nearly linear function is zero, by the secant method."""
    first, second = 0.9 * min(start, largest), min(start, largest)
    value = function(first)
    for _ in range(SECANTS):
        before, value = value, function(second)
        if value == before or abs(value) < 1e-9:
            break
        first, second = second, second - value * (second - first) / (value - before)
        second = float(min(max(second, 0.0), largest))
    return second


def _tango_low(only_a: Count, only_b: Count, n: int) -> Count:
    """The lower end by bisection; the statistic falls as the difference tested rises."""
    delta, step = 0.0 * only_a, 1.0
    for _ in range(BISECTIONS):
        step /= 2
        b = (2 * n - only_a + only_b) * delta - only_a - only_b
        c = -only_b * delta * (1 - delta)
        # Rounding may leave either difference just below zero where it is zero.
        only_second = (abs(b * b - 8 * n * c) ** 0.5 - b) / (4 * n)
        variance = abs(n * (2 * only_second + delta * (1 - delta)))
        above = only_a - only_b - n * delta > Z95 * variance**0.5
        delta = delta + step * (2 * above - 1)
    return delta
