"""How often the 95 % intervals of scores and of their differences cover, and what a test can see.

    python benchmarks/score_coverage.py

Paired accuracies are summed exactly over every pair of discordant counts that can be drawn, up to
a probability of 1e-9. Other metrics are simulated; the truth is the metric of 500,000 examples
where it has no closed form. Beside each method of ours stands the one that it replaced.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import bdtr, betaincinv, gammaln, xlogy

from paretobert.profiling.environment import Environment
from paretobert.storage import write_json
from paretobert.tasks.comparison import compare
from paretobert.tasks.correlations import INFLUENCES, correlation_interval, difference_interval
from paretobert.tasks.metrics import FROM_COUNTS, METRICS
from paretobert.tasks.proportions import LEVEL, Z95, detectable_loss, tango_interval
from paretobert.tasks.scores import score_predictions

Floats = NDArray[np.float64]
Ends = tuple[Floats, Floats]

SIZES = (100, 200, 408, 872, 2000, 5000)
DISCORDANCES = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2)
SPLITS = (0.5, 0.6, 0.75, 0.9, 0.97, 1.0)
"""The first model's share of the discordant examples; 1 where the second's errors contain its."""

FINE = {100: 0.2, 872: 0.05, 5000: 0.01}
"""By n, up to which discordance a hundred of them and `FINE_SPLITS` are looked at as well."""
FINE_SPLITS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.97, 0.99, 1.0)


def conditional_interval(only_a: Floats, only_b: Floats, *, n: int) -> Ends:
    """The former interval: Clopper and Pearson's, scaled by the observed discordance."""
    discordant = only_a + only_b
    with np.errstate(invalid="ignore"):
        low = np.where(only_a > 0, betaincinv(only_a, only_b + 1, 0.025), 0)
        high = np.where(only_b > 0, betaincinv(only_a + 1, only_b, 0.975), 1)
    return (2 * low - 1) * discordant / n, (2 * high - 1) * discordant / n


def bonett_price_interval(only_a: Floats, only_b: Floats, *, n: int) -> Ends:
    """Bonett and Price's (2012) adjusted Wald interval."""
    first, second = (only_a + 1) / (n + 2), (only_b + 1) / (n + 2)
    half = Z95 * np.sqrt((first + second - (first - second) ** 2) / (n + 2))
    return first - second - half, first - second + half


INTERVALS: dict[str, Callable[..., Ends]] = {
    "tango": tango_interval,
    "bonett_price": bonett_price_interval,
    "former": conditional_interval,
}


def counts(n: int, first: float, second: float) -> tuple[Floats, Floats, Floats]:
    """Discordant counts that can be drawn, and the probability of each pair.

    Args:
        n: The number of examples.
        first: The probability that only the first model has an example right.
        second: The same of the second model.
    """
    ends = (stats.binom.interval(1 - 1e-10, n, share) for share in (first, second))
    ranges = [np.arange(low, high + 1) for low, high in ends]
    only_a, only_b = (grid.ravel() for grid in np.meshgrid(*ranges))
    possible = only_a + only_b <= n
    only_a, only_b = only_a[possible], only_b[possible]
    rest = n - only_a - only_b
    chances = np.exp(
        gammaln(n + 1)
        - sum(gammaln(count + 1) for count in (only_a, only_b, rest))
        + xlogy(only_a, first)
        + xlogy(only_b, second)
        + xlogy(rest, 1 - first - second)
    )
    return only_a, only_b, chances


def coverage(n: int, discordance: float, split: float) -> dict[str, float]:
    """How often each interval of paired accuracies covers, exactly.

    Args:
        n: The number of examples.
        discordance: The share of examples that exactly one model has right.
        split: The first model's share of them.
    """
    only_a, only_b, chances = counts(n, discordance * split, discordance * (1 - split))
    difference = discordance * (2 * split - 1)
    found = {}
    for name, interval in INTERVALS.items():
        low, high = interval(only_a, only_b, n=n)
        covers = (low <= difference + 1e-10) & (difference - 1e-10 <= high)
        found[name] = float(chances[covers].sum())
    return found


def power(n: int, discordance: float, loss: float) -> float:
    """How often McNemar's exact test finds a loss, exactly."""
    share = (discordance + loss) / 2
    only_a, only_b, chances = counts(n, share, discordance - share)
    found = (only_a > only_b) & (2 * bdtr(only_b, (only_a + only_b).astype(int), 0.5) < LEVEL)
    return float(chances[found].sum())


POWER_SIZES = (277, 408, 872, 2000, 3000, 5000)
POWER_DISCORDANCES = (0.01, 0.03, 0.05, 0.0625, 0.1, 0.2)
LOSS = 0.015
"""One and a half points, as a loss of accuracy."""


def power_rows() -> list[dict[str, Any]]:
    """What the exact test detects, whether it does, and how often it calls `LOSS` a tie."""
    rows = []
    for n in POWER_SIZES:
        for discordance in POWER_DISCORDANCES:
            discordant = round(n * discordance)
            loss = detectable_loss(n, discordant)
            assert loss is not None
            assumed = max(discordant / n, loss)
            rows.append(
                {
                    "n": n,
                    "discordant": discordant,
                    "detectable": loss,
                    "power_at_detectable": power(n, assumed, loss),
                    "share_of_ties_at_loss": 1 - power(n, max(discordance, LOSS), LOSS),
                }
            )
    return rows


CORRELATIONS = (0.85, 0.83)
"""Of the normal columns behind each sample: the first and the second model with the labels."""


def _normal(generator: np.random.Generator, n: int) -> Floats:
    """Labels and two models' predictions whose errors go together: (3, n)."""
    labels, own, other = generator.normal(size=(3, n))
    errors = (own, 0.8 * own + 0.6 * other)
    return np.stack(
        [labels]
        + [
            share * labels + np.sqrt(1 - share**2) * error
            for share, error in zip(CORRELATIONS, errors, strict=True)
        ]
    )


def _scaled(scales: Callable[[np.random.Generator, int], Floats]) -> Callable[..., Floats]:
    return lambda generator, n: _normal(generator, n) * scales(generator, n)


def _one_sided(generator: np.random.Generator, n: int) -> Floats:
    """Every twentieth prediction is too high by a lognormal amount, most often about 1."""
    columns = _normal(generator, n)
    columns[1:] += (generator.random(n) < 0.05) * np.exp(generator.normal(size=n))
    return columns


def _discrete(generator: np.random.Generator, n: int) -> Floats:
    """Scores from 0 to 5 as in STS-B: labels in halves, predictions cut off at the ends."""
    columns = np.clip(1.5 * _normal(generator, n) + 2.7, 0, 5)
    columns[0] = np.round(2 * columns[0]) / 2
    return columns


TRUTH = 500_000
"""Examples whose correlation is taken for the true one where that has no closed form."""

SHAPES: dict[str, Callable[[np.random.Generator, int], Floats]] = {
    "normal": _normal,
    "discrete, as STS-B": _discrete,
    "t, 3 degrees of freedom": _scaled(
        lambda generator, n: np.sqrt(3 / generator.chisquare(3, size=n))
    ),
    "lognormal scale": _scaled(lambda generator, n: np.exp(0.5 * generator.normal(size=n))),
    "a tenth with lognormal scale": _scaled(
        lambda generator, n: np.where(
            generator.random(n) < 0.1, np.exp(generator.normal(size=n)), 1
        )
    ),
    "a twentieth too high by a lognormal amount": _one_sided,
}


def fisher_interval(name: str, value: float, n: int) -> tuple[float, float]:
    """The former interval of a correlation; Spearman's with Bonett and Wright's variance."""
    variance = (1 + (value**2 / 2 if name == "spearman" else 0)) / (n - 3)
    half = Z95 * np.sqrt(variance)
    return float(np.tanh(np.arctanh(value) - half)), float(np.tanh(np.arctanh(value) + half))


def former_difference(
    name: str, columns: Floats, generator: np.random.Generator, *, resamples: int = 300
) -> tuple[float, float]:
    """The former interval of a difference: percentiles of resamples of values or fixed ranks."""
    if name == "spearman":
        columns = stats.rankdata(columns, axis=1)
    n = columns.shape[1]
    drawn = columns[:, generator.integers(n, size=(resamples, n))]
    drawn = drawn - drawn.mean(2, keepdims=True)
    drawn /= np.sqrt((drawn**2).sum(2, keepdims=True))
    first, second = ((drawn[0] * guess).sum(1) for guess in drawn[1:])
    low, high = np.quantile(first - second, (0.025, 0.975))
    return float(low), float(high)


def correlation_rows(shape: str, name: str, samples: Mapping[int, int]) -> list[dict[str, Any]]:
    """Coverage of one correlation and of a difference, at each size.

    Args:
        shape: One of `SHAPES`.
        name: "pearson" or "spearman".
        samples: How many samples are drawn of each size.
    """
    draw = SHAPES[shape]
    if name == "pearson" and draw not in (_one_sided, _discrete):
        first, second = CORRELATIONS
    else:
        many = draw(np.random.default_rng(1), TRUTH)
        ranked = stats.rankdata(many, axis=1) if name == "spearman" else many
        first, second = np.corrcoef(ranked)[0, 1:].tolist()
    rows = []
    for n, number in samples.items():
        generator = np.random.default_rng(2)
        hits = np.zeros((number, 4), bool)
        for place in range(number):
            columns = draw(generator, n)
            value, _ = INFLUENCES[name](columns[0], columns[1])
            intervals = (
                correlation_interval(name, columns[0], columns[1], seed=place)[1:],
                fisher_interval(name, value, n),
                difference_interval(name, *columns, seed=place)[1:],
                former_difference(name, columns, generator),
            )
            truths = (first, first, first - second, first - second)
            hits[place] = _held(intervals, truths)
        ours, former, difference, former_diff = hits.mean(0).tolist()
        rows.append(
            {
                "metric": name,
                "shape": shape,
                "n": n,
                "samples": number,
                "one": {"ours": ours, "former": former},
                "difference": {"ours": difference, "former": former_diff},
            }
        )
    return rows


def _held(intervals: Sequence[tuple[float, float]], truths: Sequence[float]) -> list[bool]:
    """Whether each interval holds its truth, but for rounding."""
    return [
        low - 1e-9 <= truth <= high + 1e-9
        for (low, high), truth in zip(intervals, truths, strict=True)
    ]


CLASS_CELLS = (
    ("f1", (0.33, 0.67), 0.85),
    ("f1", (0.9, 0.1), 0.85),
    ("matthews", (0.3, 0.7), 0.8),
    ("macro_f1", (1 / 16,) * 16, 0.75),
)
"""A metric, how often each label occurs, and the first model's accuracy."""


def class_table(
    shares: tuple[float, ...], accuracy: float, *, discordance: float, split: float
) -> tuple[NDArray[np.int64], Floats]:
    """Labels with two models' predictions, and how likely each is; wrong classes alike.

    Where both models are wrong they agree.
    """
    number = len(shares)
    cells = np.indices((number,) * 3).reshape(3, -1).T
    label, first, second = cells.T
    right_a, right_b = first == label, second == label
    chances = np.select(
        [right_a & right_b, right_a, right_b, first == second],
        [
            np.float64(accuracy - discordance * split),
            np.float64(discordance * split / (number - 1)),
            np.float64(discordance * (1 - split) / (number - 1)),
            np.float64((1 - accuracy - discordance * (1 - split)) / (number - 1)),
        ],
        0.0,
    )
    return cells, chances * np.array(shares)[label]


def _values(name: str, cells: NDArray[np.int64], draws: Floats) -> list[Floats]:
    """A metric of both models for each row of counts of the cells."""
    classes = np.unique(cells)
    actual, *guesses = (np.equal.outer(column, classes) for column in cells.T)
    return [
        FROM_COUNTS[name](
            draws @ (actual & guess), np.stack([draws @ actual, draws @ guess]), classes
        )
        for guess in guesses
    ]


def class_row(
    cell: tuple[str, tuple[float, ...], float],
    *,
    n: int,
    discordance: float,
    split: float,
    samples: int,
) -> dict[str, Any]:
    """Coverage of F1, macro F1 or Matthews correlation and of its paired difference.

    Args:
        cell: One of `CLASS_CELLS`.
        n: The number of examples.
        discordance: The share of examples that exactly one model has right.
        split: The first model's share of them.
        samples: How many samples are drawn.
    """
    name, shares, accuracy = cell
    cells, chances = class_table(shares, accuracy, discordance=discordance, split=split)
    (first,), (second,) = _values(name, cells, 1e9 * chances[None])
    generator = np.random.default_rng(3)
    hits = np.zeros((samples, 4), bool)
    for place in range(samples):
        drawn = generator.multinomial(n, chances)
        labels, ours, theirs = map(tuple, np.repeat(cells, drawn, axis=0).T.tolist())
        a = score_predictions(
            task="simulated",
            split="search",
            metrics=(name,),
            labels=labels,
            predictions=ours,
            seed=place,
        )
        value = METRICS[name](labels, theirs)
        b = replace(a, predictions=theirs, interval=replace(a.interval, value=value))
        pair = compare(a, b, seed=place)
        seen = drawn > 0
        draws = generator.multinomial(n, drawn[seen] / n, size=1000).astype(np.float64)
        resampled = _values(name, cells[seen], draws)
        low, high = np.quantile(resampled[0] - resampled[1], (0.025, 0.975))
        intervals = (
            (a.interval.low, a.interval.high),
            tuple(np.quantile(resampled[0], (0.025, 0.975)).tolist()),
            (pair.interval.low, pair.interval.high),
            (low, high),
        )
        hits[place] = _held(intervals, (first, first, first - second, first - second))
    one, former_one, difference, former = hits.mean(0).tolist()
    return {
        "metric": name,
        "classes": len(shares),
        "share_of_class_1": shares[1],
        "n": n,
        "discordance": discordance,
        "split": split,
        "samples": samples,
        "one": {"ours": one, "former": former_one},
        "difference": {"ours": difference, "former": former},
    }


def main() -> None:
    """Sum and simulate, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--samples", type=int, default=400)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/score_coverage.json"))
    arguments = parser.parse_args()
    environment = Environment.capture()
    cells = list(product(SIZES, DISCORDANCES, SPLITS))
    finer_cells = [
        (n, discordance, split)
        for n, largest in FINE.items()
        for discordance in np.linspace(largest / 100, largest, 100).tolist()
        for split in FINE_SPLITS
    ]
    samples = {200: arguments.samples, 1500: arguments.samples // 2}
    with ProcessPoolExecutor(arguments.workers) as workers:
        correlations = [
            workers.submit(correlation_rows, shape, name, samples)
            for shape, name in product(SHAPES, INFLUENCES)
        ]
        classes = [
            workers.submit(
                class_row,
                cell,
                n=n,
                discordance=discordance,
                split=split,
                samples=arguments.samples // 2,
            )
            for cell, n, discordance, split in product(
                CLASS_CELLS, (200, 1000), (0.005, 0.02, 0.1), (0.5, 1.0)
            )
        ]
        power_table = workers.submit(power_rows)
        covered, finer = (
            list(workers.map(coverage, *zip(*entries, strict=True), chunksize=50))
            for entries in (cells, finer_cells)
        )
    record = {
        "command": f"python {' '.join(sys.argv)}",
        "environment": environment.to_dict(),
        "lowest_coverage_of_paired_accuracies": _lowest(covered),
        "lowest_on_a_finer_grid": _lowest(finer),
        "paired_accuracies": [
            {"n": n, "discordance": discordance, "split": split, "coverage": found}
            for (n, discordance, split), found in zip(cells, covered, strict=True)
        ],
        "power": {"loss": LOSS, "rows": power_table.result()},
        "correlations": [row for done in correlations for row in done.result()],
        "classes": [done.result() for done in classes],
    }
    write_json(arguments.out, record)
    print(record["lowest_coverage_of_paired_accuracies"])


def _lowest(found: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: min(cell[name] for cell in found) for name in INTERVALS}


if __name__ == "__main__":
    main()
