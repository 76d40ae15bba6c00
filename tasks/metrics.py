"""Metrics with standard errors and 95 % intervals, and paired comparisons (no torch).

Values come from scikit-learn and SciPy; intervals, each over examples as the unit, from:

- accuracy: Wilson's score interval (Wilson 1927);
- F1, macro F1, Matthews correlation: percentile bootstrap (Efron 1979) with a fixed seed, both
  ends moved by the bootstrap's estimate of bias, which rare classes give the macro F1. All three
  depend on how often each pair of label and prediction occurs, so these counts are drawn from the
  multinomial distribution, which is the same as drawing examples with replacement;
- Pearson and Spearman correlation: on Fisher's z, with standard errors that assume no shape of the
  columns (`correlations`).

Two evaluations of the same examples are compared in pairs: accuracy by McNemar's exact test, with
Tango's (1998) interval of the difference (`proportions`); everything else by whether the
difference's interval holds 0. A tie says how large a loss would have been seen.

Left out: variation over training seeds, which no interval of one trained model contains.
"""

import math
import warnings
from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..intervals import Interval
from .correlations import correlation_interval, difference_interval, mid_distribution
from .proportions import (
    LEVEL,
    POWER,
    detectable_loss,
    mcnemar_p_value,
    tango_interval,
    wilson_interval,
)

DETECTABLE = 2.80
"""Standard errors of a difference that its 95 % interval shows with probability .8: the normal
quantiles of .975 and .8 together."""

RESAMPLES = 1000
"""Bootstrap resamples."""

EXACT_BELOW = 2**24
"""Whole numbers up to here are exact in single precision."""

BLOCK = 512
"""Models whose outcomes are weighted at once, so that they stay in the processor's cache."""

Labels = Sequence[int] | Sequence[float]
"""Class indices, or scores; an `Evaluation` keeps them as a compact `array`."""

CLASS_TYPECODES = ("B", "H", "l")
"""Of `array`, for class indices, the smallest that holds them; scores are "d"."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Score:
    """A metric's value with its uncertainty.

    Attributes:
        interval: The metric on all examples, between -1 or 0 and 1.
        standard_error: Its standard error over examples.
    """

    interval: Interval
    standard_error: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return {"interval": self.interval.to_dict(), "standard_error": self.standard_error}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        return cls(Interval.from_dict(record["interval"]), record["standard_error"])


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The outcome of one model on one split.

    Attributes:
        task: The task's name.
        split: The split's name.
        metric: The primary metric.
        interval: The primary metric's value.
        standard_error: Its standard error over examples.
        labels: The true class index or score of each example.
        predictions: The predicted class index or score of each example.
        others: The scores of further metrics.
    """

    task: str
    split: str
    metric: str
    interval: Interval
    standard_error: float
    labels: Labels = field(repr=False)
    predictions: Labels = field(repr=False)
    others: Mapping[str, Score]

    def __post_init__(self) -> None:
        """Make the columns compact and check them against one another."""
        for name in ("labels", "predictions"):
            object.__setattr__(self, name, compact(getattr(self, name)))
        if not len(self.labels) == len(self.predictions) == self.n:
            raise ValueError(
                f"{len(self.labels)} labels and {len(self.predictions)} predictions for n={self.n}"
            )

    @property
    def value(self) -> float:
        """The primary metric's value."""
        return self.interval.value

    @property
    def n(self) -> int:
        """The number of examples."""
        return self.interval.n

    def is_of_the_examples_of(self, other: "Evaluation") -> bool:
        """Whether it is the same metric on the same examples, so that the two compare in pairs."""
        ours = (self.task, self.split, self.metric, self.n)
        return ours == (other.task, other.split, other.metric, other.n) and (
            self.labels is other.labels
            or np.array_equal(np.asarray(self.labels), np.asarray(other.labels))
        )

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each example's predicted class is its label; classification only: [n]."""
        return np.asarray(np.equal(np.asarray(self.labels), np.asarray(self.predictions)))

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return {
            "task": self.task,
            "split": self.split,
            "metric": self.metric,
            "interval": self.interval.to_dict(),
            "standard_error": self.standard_error,
            "labels": list(self.labels),
            "predictions": list(self.predictions),
            "others": {name: score.to_dict() for name, score in self.others.items()},
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        parts: dict[str, Any] = {
            "interval": Interval.from_dict(record["interval"]),
            "others": {n: Score.from_dict(s) for n, s in record["others"].items()},
        }
        return cls(**{**record, **parts})


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
        return not self.interval.excludes(0)

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


def compact(column: Labels) -> "array[Any]":
    """Class indices or scores in as few bytes as hold them.

    >>> compact((0, 2, 1)).typecode, compact((0.5, 1.0)).typecode
    ('B', 'd')
    """
    if isinstance(column, array):
        return column
    if not all(isinstance(value, int) for value in column):
        return array("d", column)
    for typecode in CLASS_TYPECODES:
        try:
            return array(typecode, column)
        except OverflowError:
            continue
    raise ValueError("class indices must be whole numbers of ordinary size")


def score_predictions(
    *,
    task: str,
    split: str,
    metrics: Sequence[str],
    labels: Labels,
    predictions: Labels,
    seed: int = 0,
) -> Evaluation:
    """Score predictions.

    Args:
        task: The task's name, for the record.
        split: The split's name, for the record.
        metrics: Names from `METRICS`, the primary one first.
        labels: True class indices or scores.
        predictions: Predicted class indices or scores, in the same order.
        seed: Of the bootstrap.
    """
    scores = {name: score(name, labels, predictions, seed=seed) for name in metrics}
    primary, *others = metrics
    return Evaluation(
        task=task,
        split=split,
        metric=primary,
        interval=scores[primary].interval,
        standard_error=scores[primary].standard_error,
        labels=labels,
        predictions=predictions,
        others={name: scores[name] for name in others},
    )


def score(name: str, labels: Labels, predictions: Labels, *, seed: int = 0) -> Score:
    """Compute one metric of `METRICS` with its standard error and 95 % interval.

    Args:
        name: The metric's name.
        labels: True class indices or scores.
        predictions: Predicted class indices or scores, in the same order.
        seed: Of the bootstrap.
    """
    value, n = METRICS[name](labels, predictions), len(labels)
    if name == "accuracy":
        error = math.sqrt(value * (1 - value) / n)
        return Score(Interval(value, *wilson_interval(value, n), n, "examples"), error)
    if name in CORRELATIONS:
        columns = (np.asarray(column, dtype=np.float64) for column in (labels, predictions))
        error, low, high = correlation_interval(name, *columns, seed=seed)
        return Score(Interval(value, low, high, n, "examples"), error)
    table: Counter[tuple[float, ...]] = Counter(zip(labels, predictions, strict=True))
    (resampled,) = _resampled_from_counts(name, table, num_examples=n, seed=seed)
    ends = np.quantile(resampled, (0.025, 0.975)) - (resampled.mean() - value)
    low, high = np.clip(ends, -1.0 if name == "matthews" else 0.0, 1.0).tolist()
    return Score(Interval(value, low, high, n, "examples"), float(resampled.std(ddof=1)))


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


def weighted_scores(
    name: str, labels: Labels, predictions: Sequence[Labels] | NDArray[Any], weights: Floats
) -> Floats:
    """A metric of several models under several weightings of the same examples.

    A weight of 0 leaves an example out, so that rows of zeros and ones are parts of a split.
    Spearman's ranks are those of all examples.

    Args:
        name: A metric of `METRICS`.
        labels: True class indices or scores.
        predictions: Each model's predicted class indices or scores: (models, examples).
        weights: How often each example counts: (weightings, examples).

    Returns:
        The scores: (weightings, models).
    """
    if name == "accuracy":
        totals = weights.sum(1, keepdims=True)
        whole = bool((weights == np.rint(weights)).all())
        # Sums of whole numbers below 2^24 are exact in single precision, which is twice as fast.
        kind = np.float32 if whole and totals.max() < EXACT_BELOW else np.float64
        rows, weighted_by = np.asarray(predictions), weights.astype(kind)
        sums = [
            weighted_by @ np.equal(rows[first : first + BLOCK], labels).astype(kind).T
            for first in range(0, len(rows), BLOCK)
        ]
        return np.asarray(np.concatenate(sums, axis=1).astype(np.float64) / totals)
    weighted = _weighted_correlation if name in CORRELATIONS else _weighted_from_counts
    return np.stack(weighted(name, np.array([labels, *predictions]), weights), axis=1)


def _accuracy(labels: Labels, predictions: Labels) -> float:
    from sklearn.metrics import accuracy_score

    return float(accuracy_score(labels, predictions))


def _f1(labels: Labels, predictions: Labels) -> float:
    from sklearn.metrics import f1_score

    return float(f1_score(labels, predictions, pos_label=1, zero_division=0.0))


def _macro_f1(labels: Labels, predictions: Labels) -> float:
    from sklearn.metrics import f1_score

    return float(f1_score(labels, predictions, average="macro", zero_division=0.0))


def _matthews(labels: Labels, predictions: Labels) -> float:
    from sklearn.metrics import matthews_corrcoef

    return float(matthews_corrcoef(labels, predictions))


def _pearson(labels: Labels, predictions: Labels) -> float:
    from scipy.stats import pearsonr

    return _correlation(pearsonr, labels, predictions)


def _spearman(labels: Labels, predictions: Labels) -> float:
    from scipy.stats import spearmanr

    return _correlation(spearmanr, labels, predictions)


METRICS: dict[str, Callable[[Labels, Labels], float]] = {
    "accuracy": _accuracy,
    "f1": _f1,
    "macro_f1": _macro_f1,
    "matthews": _matthews,
    "pearson": _pearson,
    "spearman": _spearman,
}
"""Every metric by its name. `f1` is that of class 1 of two; `macro_f1` is the mean over classes. A
correlation with constant predictions, which is undefined, counts as 0."""

CORRELATIONS = ("pearson", "spearman")
"""The metrics of regression; the others are of classification."""


def _correlation(function: Callable[..., Any], labels: Labels, predictions: Labels) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value = float(function(labels, predictions).statistic)
    return 0.0 if math.isnan(value) else value


def _f1_from_counts(hits: Floats, totals: Floats, classes: Floats) -> Floats:
    """F1 of class 1.

    Args:
        hits: Examples of each class predicted as such: (RESAMPLES, classes).
        totals: Examples of each class, and examples predicted as it: (2, RESAMPLES, classes).
        classes: The class of each column.
    """
    hit, total = hits[:, classes == 1].sum(1), totals.sum(0)[:, classes == 1].sum(1)
    return np.asarray(2 * hit / np.maximum(total, 1))


def _macro_f1_from_counts(hits: Floats, totals: Floats, classes: Floats) -> Floats:
    """Mean F1 of the classes that occur in a resample."""
    total = totals.sum(0)
    f1 = 2 * hits / np.maximum(total, 1)
    return np.asarray(f1.sum(1) / (total > 0).sum(1))


def _matthews_from_counts(hits: Floats, totals: Floats, classes: Floats) -> Floats:
    """Gorodkin's (2004) form for many classes; 0 where only one class occurs or is predicted."""
    n = totals[0].sum(1)
    covariance = hits.sum(1) * n - totals.prod(0).sum(1)
    variances = (n**2 - (totals**2).sum(2)).prod(0)
    return np.asarray(covariance / np.sqrt(np.maximum(variances, 1)))


FROM_COUNTS: dict[str, Callable[[Floats, Floats, Floats], Floats]] = {
    "f1": _f1_from_counts,
    "macro_f1": _macro_f1_from_counts,
    "matthews": _matthews_from_counts,
}


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
    first, second = _resampled_from_counts(name, weights, num_examples=len(labels), seed=seed)
    low, high = np.quantile(first - second, (0.025, 0.975))
    return float((first - second).std(ddof=1)), float(low), float(high)


def _resampled_from_counts(
    name: str, table: Mapping[tuple[float, ...], float], *, num_examples: int, seed: int
) -> list[Floats]:
    """Bootstrap a classification metric of one or more models on the same resamples.

    Args:
        name: The metric's name.
        table: How often a label occurs together with each model's prediction.
        num_examples: Examples of each resample.
        seed: Of the resamples.

    Returns:
        For each model the metric on each resample: (RESAMPLES,).
    """
    rows, counts = np.array(sorted(table)).T, np.array([table[cell] for cell in sorted(table)])
    draws = (
        np.random.default_rng(seed)
        .multinomial(num_examples, counts / counts.sum(), size=RESAMPLES)
        .astype(np.float64)
    )
    return _weighted_from_counts(name, rows, draws)


def _weighted_from_counts(name: str, rows: Floats, weights: Floats) -> list[Floats]:
    """A classification metric of one or more models under several weightings of the examples.

    Args:
        name: A metric of `FROM_COUNTS`.
        rows: The labels, then each model's predictions: (1 + models, examples).
        weights: How often each example counts: (weightings, examples).
    """
    classes = np.unique(rows)
    actual, *guesses = (np.equal.outer(row, classes) for row in rows)
    return [
        FROM_COUNTS[name](
            weights @ (actual & guess), np.stack([weights @ actual, weights @ guess]), classes
        )
        for guess in guesses
    ]


def _weighted_correlation(name: str, rows: Floats, weights: Floats) -> list[Floats]:
    """A correlation of one or more models under several weightings of the examples; as above.

    Spearman's ranks are those of the whole sample, which spares ranking under every weighting.
    """
    if name == "spearman":
        rows = np.array([mid_distribution(row) for row in rows])
    totals = weights.sum(1)
    actual, *guesses = rows - rows.mean(1, keepdims=True)
    sums, squares = weights @ actual, weights @ actual**2
    correlations = []
    for guess in guesses:
        guess_sums = weights @ guess
        covariance = weights @ (actual * guess) - sums * guess_sums / totals
        variances = (squares - sums**2 / totals) * (weights @ guess**2 - guess_sums**2 / totals)
        correlations.append(covariance / np.sqrt(np.maximum(variances, np.finfo(float).tiny)))
    return correlations
