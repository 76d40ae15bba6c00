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

BLOCK = 50
"""Resamples whose examples are counted at a time."""

ROUNDING = 1e-12
"""A variance so small is none, a correlation so close to 1 is 1."""

Floats = NDArray[np.float64]


def correlation_interval(
    name: str, labels: Floats, predictions: Floats, *, seed: int
) -> tuple[float, float, float]:
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
    value, influence = INFLUENCES[name](labels, predictions)
    if np.isnan(value):
        return 0.0, 0.0, 0.0
    if abs(value) >= 1 - ROUNDING:
        return 0.0, value, value

    error = _error(influence) / (1 - value**2)
    z, quantile = np.arctanh(value), Z95
    if name == "pearson":
        values, variances = _pearson_resamples(np.stack([labels, predictions]), seed=seed)
        found = values[:, 0]
        quantile = _quantile(np.arctanh(found) - z, variances[:, 0, 0] / (1 - found**2) ** 2)
    low, high = np.tanh(z - quantile * error), np.tanh(z + quantile * error)
    return error * (1 - value**2), float(low), float(high)


def difference_interval(
    name: str, labels: Floats, first: Floats, second: Floats, *, seed: int
) -> tuple[float, float, float]:
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

    (a, on_a), (b, on_b) = (INFLUENCES[name](labels, column) for column in (first, second))
    value, error = float(np.nan_to_num(a) - np.nan_to_num(b)), _error(on_a - on_b)
    if error == 0:
        return 0.0, value, value
    quantile = Z95
    if name == "pearson":
        values, variances = _pearson_resamples(np.stack([labels, first, second]), seed=seed)
        contrast = np.array([1.0, -1.0])
        quantile = _quantile(values @ contrast - value, contrast @ variances @ contrast)
    half = quantile * error
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
    f, g = (mid_distribution(column) for column in (x, y))
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


def _quantile(distances: Floats, variances: Floats) -> float:
    """How many of its standard errors a resample's estimate is away, in 95 % of the resamples.

    Args:
        distances: From the sample's estimate: (resamples,); nan counts as infinitely far.
        variances: Squares of the standard errors: (resamples,).
    """
    errors = np.sqrt(np.where(variances > 0, variances, np.nan))
    far = np.nan_to_num(np.abs(distances) / errors, nan=np.inf)
    return float(np.quantile(far, 0.95, method="higher"))


def _pearson_resamples(columns: Floats, *, seed: int) -> tuple[Floats, Floats]:
    """The correlations of resamples, and the variances that their influences give.

    An influence is a quadratic form of an example's (1, labels, predictions), so that its mean
    square in a resample follows from the resample's moments up to the fourth, one matrix product.

    Args:
        columns: Labels, then each model's predictions: (1 + models, examples).
        seed: Of the resamples.

    Returns:
        Correlations with the labels: (resamples, models), nan where a column is constant or the
        correlation perfect; their covariances: (resamples, models, models).
    """
    n = columns.shape[1]
    centred = columns - columns.mean(1, keepdims=True)
    spread = centred.std(1, keepdims=True)
    entries = np.stack([np.ones(n), *(centred / np.where(spread > 0, spread, 1))], axis=1)
    pairs = np.einsum("ni,nj->nij", entries, entries).reshape(n, -1)
    products = np.einsum("np,nq->npq", pairs, pairs).reshape(n, -1)
    generator = np.random.default_rng(seed)
    moments = np.concatenate(
        [
            np.stack(
                [np.bincount(row, minlength=n) for row in generator.integers(n, size=(BLOCK, n))]
            )
            @ products
            for _ in range(RESAMPLES // BLOCK)
        ]
    )
    size = len(columns) + 1
    fourth = moments.reshape(-1, size**2, size**2) / n
    second = fourth[:, 0].reshape(-1, size, size)
    means = second[:, 0, 1:]
    variances = np.einsum("bii->bi", second)[:, 1:] - means**2
    spreads = np.sqrt(np.where(variances > ROUNDING, variances, np.nan))
    shifts = np.concatenate(
        [-means[:, :, None], np.tile(np.eye(size - 1), (RESAMPLES, 1, 1))], axis=2
    )
    forms = shifts / spreads[:, :, None]
    values = np.einsum("bi,bij,bmj->bm", forms[:, 0], second, forms[:, 1:])
    values = np.where(np.abs(values) < 1 - ROUNDING, values, np.nan)
    squares = np.einsum("bki,bkj->bkij", forms, forms)
    influences = np.einsum("bi,bmj->bmij", forms[:, 0], forms[:, 1:]) - values[
        :, :, None, None
    ] / 2 * (squares[:, :1] + squares[:, 1:])
    flat = influences.reshape(RESAMPLES, size - 2, -1)
    return values, np.einsum("bip,bpq,bjq->bij", flat, fourth, flat) / (n - 1)


def mid_distribution(values: Floats) -> Floats:
    """The share of examples below each value, with half of those that equal it."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - counts / 2)[places] / len(values))


def _mean_above(values: Floats, weights: Floats) -> Floats:
    """The sum of the weights of examples above each value, half of equal ones, over all."""
    _, places = np.unique(values, return_inverse=True)
    sums = np.bincount(places, weights)
    return np.asarray((sums[::-1].cumsum()[::-1] - sums / 2)[places] / len(values))
