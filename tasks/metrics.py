"""Metrics: the value, under weightings and resamples of the examples (no torch).

Values come from scikit-learn and SciPy. F1, macro F1 and the Matthews correlation depend on how
often each pair of label and prediction occurs, so a bootstrap draws these counts from the
multinomial distribution, which is the same as drawing examples with replacement.
"""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .correlations import mid_distribution

RESAMPLES = 1000
"""Bootstrap resamples."""

EXACT_BELOW = 2**24
"""Whole numbers up to here are exact in single precision."""

BLOCK = 512
"""Models whose outcomes are weighted at once, so that they stay in the processor's cache."""

Labels = Sequence[int] | Sequence[float]
"""Class indices, or scores; an `Evaluation` keeps them as a compact `array`."""


Floats = NDArray[np.float64]


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
        right = weights_right(labels, predictions, weights).astype(np.float64)
        return np.asarray(right / weights.sum(1, keepdims=True))
    weighted = _weighted_correlation if name in CORRELATIONS else _weighted_from_counts
    return np.stack(weighted(name, np.array([labels, *predictions]), weights), axis=1)


def weights_right(
    labels: Labels, predictions: Sequence[Labels] | NDArray[Any], weights: Floats
) -> NDArray[Any]:
    """The weights of the examples that each model has right, summed; arguments as above.

    Returns:
        (weightings, models), in single precision where that is exact.
    """
    whole = bool((weights == np.rint(weights)).all())
    # Sums of whole numbers below 2^24 are exact in single precision, which is twice as fast.
    kind = np.float32 if whole and weights.sum(1).max() < EXACT_BELOW else np.float64
    rows, weighted_by = np.asarray(predictions), weights.astype(kind)
    found = np.empty((len(weights), len(rows)), dtype=kind)
    is_right = np.empty((BLOCK, rows.shape[1]), dtype=kind)
    for first in range(0, len(rows), BLOCK):
        block = rows[first : first + BLOCK]
        is_right[: len(block)] = np.equal(block, labels)
        found[:, first : first + BLOCK] = weighted_by @ is_right[: len(block)].T
    return found


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


def resampled_from_counts(
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
