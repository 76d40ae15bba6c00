"""What a model scores on a split: metrics with standard errors and 95 % intervals (no torch).

Intervals, each over examples as the unit, are from:

- accuracy: Wilson's score interval (Wilson 1927);
- F1, macro F1, Matthews correlation: percentile bootstrap (Efron 1979) with a fixed seed, both
  ends moved by the bootstrap's estimate of bias, which rare classes give the macro F1;
- Pearson and Spearman correlation: on Fisher's z, with standard errors that assume no shape of the
  columns (`correlations`).

Left out: variation over training seeds, which no interval of one trained model contains.
"""

import math
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..intervals import Interval
from .correlations import correlation_interval
from .metrics import CORRELATIONS, METRICS, Labels, resampled_from_counts
from .proportions import (
    wilson_interval,
)

CLASS_TYPECODES = ("B", "H", "l")
"""Of `array`, for class indices, the smallest that holds them; scores are "d"."""


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
    (resampled,) = resampled_from_counts(name, table, num_examples=n, seed=seed)
    ends = np.quantile(resampled, (0.025, 0.975)) - (resampled.mean() - value)
    low, high = np.clip(ends, -1.0 if name == "matthews" else 0.0, 1.0).tolist()
    return Score(Interval(value, low, high, n, "examples"), float(resampled.std(ddof=1)))
