"""Two models compared in pairs, on the same examples (no torch).

Accuracy by McNemar's exact test, with Tango's (1998) interval of the difference (`proportions`);
everything else by whether the difference's interval holds 0. A tie says how large a loss would
have been seen.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..intervals import Interval
from .correlations import difference_interval
from .metrics import CORRELATIONS, Labels, resampled_from_counts
from .proportions import (
    LEVEL,
    POWER,
    detectable_loss,
    mcnemar_p_value,
    tango_interval,
)
from .scores import Evaluation

DETECTABLE = 2.80
"""Standard errors of a difference that its 95 % interval shows with probability .8: the normal
quantiles of .975 and .8 together."""


@dataclass(frozen=True, slots=True)
class PairedComparison:
    """The difference of two models on the same examples.

    Attributes:
        metric: The metric compared.
        interval: The first model's value minus the second's.
        discordant: For accuracy, how many examples only the first model has right and how many
            only the second; None for other metrics.
        p_value: Of McNemar's exact test, which decides between two accuracies; None for other
            metrics, where the interval decides.
        detectable: The smallest true loss that so many examples show with probability .8, see
            `detectable_loss`; for other metrics than accuracy 2.80 standard errors of the
            difference. None where no loss would be shown.
    """

    metric: str
    interval: Interval
    discordant: tuple[int, int] | None
    p_value: float | None
    detectable: float | None

    @property
    def tie(self) -> bool:
        """Whether the models are not distinguishable on these examples.

        For accuracy the exact test decides. Near 5 % the interval, which is made differently, may
        exclude 0 for a tie, or hold 0 where the models are distinguishable.
        """
        if self.p_value is not None:
            return self.p_value >= LEVEL
        return self.interval.holds(0) is True

    @property
    def better(self) -> bool:
        """Whether the first model is better, and distinguishably so."""
        return not self.tie and self.interval.value > 0

    @property
    def verdict(self) -> str:
        """The same in words, with what could have been seen where nothing was."""
        examples = f"on {self.interval.n} examples"
        if not self.tie:
            return f"distinguishable {examples}"
        if self.detectable is None:
            return f"not distinguishable {examples} (too few for a loss of any size to be seen)"
        return (
            f"not distinguishable {examples} (a loss of {self.detectable:.2g} would have been "
            f"seen with {100 * POWER:.0f} % power)"
        )

    @property
    def test(self) -> dict[str, Any]:
        """Whether that is a tie, by what, and what would have been none; as JSON types."""
        return {
            "tie": self.tie,
            "p_value": self.p_value,
            "detectable": self.detectable,
            "discordant": None if self.discordant is None else list(self.discordant),
        }

    def to_dict(self) -> dict[str, Any]:
        """The difference with its interval, and the test, as JSON types."""
        return {**self.interval.numbers, **self.test}

    @classmethod
    def of_accuracies(cls, only_a: int, only_b: int, *, n: int) -> Self:
        """Compare two accuracies.

        Args:
            only_a: How many examples only the first model has right.
            only_b: How many only the second has right.
            n: The number of all examples.
        """
        low, high = tango_interval(float(only_a), float(only_b), n=n)
        return cls(
            metric="accuracy",
            interval=Interval((only_a - only_b) / n, low, high, n, "examples"),
            discordant=(only_a, only_b),
            p_value=mcnemar_p_value(only_a, only_b),
            detectable=detectable_loss(n, only_a + only_b),
        )


def compare(a: Evaluation, b: Evaluation, *, seed: int = 0) -> PairedComparison:
    """Compare two models' primary metric on the same examples.

    Args:
        a: One model's evaluation.
        b: Another's, on the same split of the same task.
        seed: Of the bootstrap.

    Raises:
        ValueError: When the two are not of the same examples or metric.
    """
    _check_comparable(a, b)
    if a.metric == "accuracy":
        ours, theirs = a.correct, b.correct
        only_a, only_b = (int(np.count_nonzero(x)) for x in (ours & ~theirs, theirs & ~ours))
        return PairedComparison.of_accuracies(only_a, only_b, n=a.n)
    both = (a.predictions, b.predictions)
    if a.metric in CORRELATIONS:
        columns = (np.asarray(column, dtype=np.float64) for column in (a.labels, *both))
        error, low, high = difference_interval(a.metric, *columns, seed=seed)
    else:
        error, low, high = _bootstrapped_difference(a.metric, a.labels, both, seed=seed)
    return PairedComparison(
        metric=a.metric,
        interval=Interval(a.value - b.value, low, high, a.n, "examples"),
        discordant=None,
        p_value=None,
        detectable=DETECTABLE * error,
    )


def discordant(
    a: Evaluation, predictions: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many examples only one of two models has right, for one model and each of many others.

    Args:
        a: One model's evaluation, by accuracy.
        predictions: The others' predictions on the same examples: (others, n).

    Returns:
        How many examples only the one has right, and how many only the other: (others,) each.
    """
    ours, theirs = a.correct, np.equal(predictions, np.asarray(a.labels))
    both = np.count_nonzero(theirs & ours, axis=1)
    return np.count_nonzero(ours) - both, np.count_nonzero(theirs, axis=1) - both


def _check_comparable(a: Evaluation, b: Evaluation) -> None:
    if not a.is_of_the_examples_of(b):
        raise ValueError(
            f"only evaluations of the same examples compare, not {a.metric} on {a.task} {a.split} "
            f"({a.n} examples) with {b.metric} on {b.task} {b.split} ({b.n})"
        )


def _bootstrapped_difference(
    name: str, labels: Labels, both: tuple[Labels, Labels], *, seed: int
) -> tuple[float, float, float]:
    """The standard error of a difference and its interval, by the smoothed paired bootstrap.

    Resamples of few discordant examples, or of none, hardly differ, whatever the models do
    elsewhere. So, as Bonett and Price (2012) do for accuracies, one discordant example for each
    model is added: in parts, to each label as often as it occurs, the model that is wrong giving
    the most frequent other class.
    """
    table = Counter(zip(labels, *both, strict=True))
    classes = [entry for entry, _ in Counter((*labels, *both[0], *both[1])).most_common()]
    weights: dict[tuple[float, ...], float] = {cell: count for cell, count in table.items()}
    for label, count in Counter(labels).items():
        for other in [entry for entry in classes if entry != label][:1]:
            for cell in ((label, label, other), (label, other, label)):
                weights[cell] = weights.get(cell, 0.0) + count / len(labels)
    first, second = resampled_from_counts(name, weights, num_examples=len(labels), seed=seed)
    low, high = np.quantile(first - second, (0.025, 0.975))
    return float((first - second).std(ddof=1)), float(low), float(high)
