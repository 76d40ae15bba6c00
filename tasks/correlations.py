"""Intervals of Pearson and Spearman correlations and of their paired differences (no torch).

Fisher's z takes both columns for normal; where tails are heavy it covers far less than it says.
Standard errors here come from the influence of each example on the correlation (Hampel 1974),
which assumes no shape of the columns. With them,

- Pearson: the symmetric studentised bootstrap (Hall 1988), on Fisher's z for one correlation and
  on the difference itself for two, with a fixed seed;
- Spearman, whose ranks have no heavy tails: the normal interval, on Fisher's z or the difference.

`benchmarks/score_coverage.json` holds how often each of these covers.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .proportions import Z95

RESAMPLES = 1000
"""Bootstrap resamples."""

SMALLEST = 4
"""With fewer examples a correlation may be anything."""

ROUNDING = 1e-12
"""A correlation so close to 1 is 1."""

Floats = NDArray[np.float64]
Interval = tuple[float, float, float]
"""Standard error, lower end, upper end."""


def correlation_interval(name: str, labels: Floats, predictions: Floats, *, seed: int) -> Interval:
    """The standard error of a correlation and its 95 % interval.

    Args:
        name: "pearson" or "spearman".
        labels: The true scores: (examples,).
        predictions: The predicted scores: (examples,).
        seed: Of the bootstrap.

    Returns:
        Standard error, lower end, upper end. Perfect correlations, and those of a constant
        column, which count as 0, are without uncertainty.
    """
    if len(labels) < SMALLEST:
        return 1.0, -1.0, 1.0
    value, _ = INFLUENCES[name](labels, predictions)
    if np.isnan(value):
        return 0.0, 0.0, 0.0
    if abs(value) >= 1 - ROUNDING:
        return 0.0, value, value

    def on_z(columns: Floats) -> tuple[float, float]:
        found, influence = INFLUENCES[name](*columns)
        return float(np.arctanh(found)), float(_error(influence) / np.float64(1 - found**2))

    columns = np.stack([labels, predictions])
    z, error = on_z(columns)
    half = error * (Z95 if name == "spearman" else _quantile(on_z, columns, seed=seed))
    return error * (1 - value**2), float(np.tanh(z - half)), float(np.tanh(z + half))


def difference_interval(
    name: str, labels: Floats, first: Floats, second: Floats, *, seed: int
) -> Interval:
    """The standard error of one correlation minus another on the same examples, and its interval.

    Args:
        name: "pearson" or "spearman".
        labels: The true scores: (examples,).
        first: One model's predicted scores: (examples,).
        second: The other model's: (examples,).
        seed: Of the bootstrap.

    Returns:
        Standard error, lower end, upper end; no uncertainty where the predictions are the same.
    """
    if len(labels) < SMALLEST:
        return 1.0, -2.0, 2.0

    def difference(columns: Floats) -> tuple[float, float]:
        (a, on_a), (b, on_b) = (INFLUENCES[name](columns[0], column) for column in columns[1:])
        return float(np.nan_to_num(a) - np.nan_to_num(b)), _error(on_a - on_b)

    columns = np.stack([labels, first, second])
    value, error = difference(columns)
    if error == 0:
        return 0.0, value, value
    half = error * (Z95 if name == "spearman" else _quantile(difference, columns, seed=seed))
    return error, max(value - half, -2.0), min(value + half, 2.0)


def _pearson_influence(x: Floats, y: Floats) -> tuple[float, Floats]:
    """The correlation (nan where a column is constant) and each example's influence on it."""
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return np.nan, np.zeros_like(x)
    u, v = ((column - column.mean()) / column.std() for column in (x, y))
    value = float((u * v).mean())
    return value, u * v - value * (u * u + v * v) / 2


def _spearman_influence(x: Floats, y: Floats) -> tuple[float, Floats]:
    """The same of the rank correlation, whose ranks are estimated from the examples, too.

    With F and G the distribution functions (halves where values are equal), the covariance is
    E[F(X) G(Y)] - 1/4 and a variance E[F(X)^2] - 1/4. An example at (x, y) enters the expectation
    itself, and F for every example that lies above it.
    """
    f, g = (_mid_distribution(column) for column in (x, y))
    if np.ptp(f) == 0 or np.ptp(g) == 0:
        return np.nan, np.zeros_like(f)
    covariance, variance_x, variance_y = (
        float((a * b).mean()) - 0.25 for a, b in ((f, g), (f, f), (g, g))
    )
    value = covariance / np.sqrt(variance_x * variance_y)
    on_covariance = f * g + _mean_above(x, g) + _mean_above(y, f) - 3 * (covariance + 0.25)
    on_variances = (
        (own * own + 2 * _mean_above(column, own) - 3 * (variance + 0.25)) / variance
        for column, own, variance in ((x, f, variance_x), (y, g, variance_y))
    )
    influence = on_covariance / np.sqrt(variance_x * variance_y) - value / 2 * sum(on_variances)
    return float(value), influence


INFLUENCES: dict[str, Callable[[Floats, Floats], tuple[float, Floats]]] = {
    "pearson": _pearson_influence,
    "spearman": _spearman_influence,
}


def _error(influence: Floats) -> float:
    """The standard error of an estimate from each example's influence on it."""
    return float(np.sqrt((influence**2).sum() / len(influence) / (len(influence) - 1)))


def _quantile(
    estimate: Callable[[Floats], tuple[float, float]], columns: Floats, *, seed: int
) -> float:
    """How many standard errors a resample's estimate is away, in 95 % of the resamples.

    Args:
        estimate: Gives an estimate and its standard error from columns.
        columns: (columns, examples).
        seed: Of the resamples.
    """
    generator, n = np.random.default_rng(seed), columns.shape[1]
    centre, _ = estimate(columns)
    distances = np.empty(RESAMPLES)
    with np.errstate(divide="ignore", invalid="ignore"):
        for place in range(RESAMPLES):
            value, error = estimate(columns[:, generator.integers(n, size=n)])
            distances[place] = abs(value - centre) / np.float64(error)
    return float(np.quantile(np.nan_to_num(distances, nan=np.inf), 0.95, method="higher"))


def _mid_distribution(values: Floats) -> Floats:
    """The share of examples below each value, with half of those that equal it."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - counts / 2)[places] / len(values))


def _mean_above(values: Floats, weights: Floats) -> Floats:
    """The sum of the weights of examples above each value, half of equal ones, over all."""
    _, places = np.unique(values, return_inverse=True)
    sums = np.bincount(places, weights)
    return np.asarray((sums[::-1].cumsum()[::-1] - sums / 2)[places] / len(values))
