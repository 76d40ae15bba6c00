"""How often the intervals of latencies hold the truth, by simulation.

The value of a process is the median over its rounds of a logarithm of a ratio, here

    y = truth + process effect + round effect,

with noise of six kinds (`NOISES`). An interval covers when it holds the truth: the undisturbed
value, or under a drift the mean of what was measured. Intervals are taken after a fixed number of
processes, under the stop rule (processes are added until the half-width is a multiple of the
typical standard deviation), under the rule that decides about a limit (where the interval holds
it, all further processes are added; the limit is the truth), and of an absolute time (the ratio
times a reference that shares the noise). Beside ours, `former` is the percentile bootstrap of the
median over rounds of one process that stood here before.

    python benchmarks/latency_coverage.py

writes `benchmarks/latency_coverage.json` and exits with 1 where a 95 % interval of ours covers
less than .94.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from paretobert.intervals import FEWEST_PROCESSES
from paretobert.profiling.environment import Environment
from paretobert.profiling.protocol import FEWEST_ROUNDS, MOST_PROCESSES
from paretobert.profiling.statistics import LEVEL
from paretobert.storage import write_json

Floats = NDArray[np.float64]

REQUIRED = 0.94
ROUNDS = (FEWEST_ROUNDS, 5)
WIDTHS = (0.4, 0.6, 0.8, 1.0, 1.3, 1.6, 2.0, 3.0)
"""Half-widths at which the stop rule ends, in typical standard deviations of five processes."""

FORMER_ROUNDS = (3, 4, 7, 13)
NUM_RESAMPLES = 400
SAMPLES, FORMER_SAMPLES = 20_000, 1_000


def independent(rng: np.random.Generator, shape: tuple[int, int, int]) -> tuple[Floats, Floats]:
    """Normal effects of processes and rounds, of the same size."""
    return _normal(rng, shape), np.zeros(shape)


def correlated(rng: np.random.Generator, shape: tuple[int, int, int]) -> tuple[Floats, Floats]:
    """Rounds in a first-order autoregression of .5, and nothing that a process has of its own.

    It goes on from process to process: starting one, loading and warming up takes at least as long
    as one round.
    """
    samples, processes, rounds = shape
    series = rng.standard_normal((samples, processes * (1 + rounds)))
    for step in range(1, series.shape[1]):
        series[:, step] = 0.5 * series[:, step - 1] + np.sqrt(0.75) * series[:, step]
    return series.reshape(samples, processes, 1 + rounds)[:, :, 1:], np.zeros(shape)


def drifting(rng: np.random.Generator, shape: tuple[int, int, int]) -> tuple[Floats, Floats]:
    """A slow drift, of a third of a standard deviation per process."""
    _, processes, rounds = shape
    steps = np.arange(processes * rounds).reshape(processes, rounds) / rounds
    drift = np.broadcast_to(0.3 * steps, shape)
    return _normal(rng, shape) + drift, drift


def heavy_tailed(rng: np.random.Generator, shape: tuple[int, int, int]) -> tuple[Floats, Floats]:
    """Log-normal effects to the right, of median zero, of processes and rounds."""
    return _skewed(rng, (*shape[:2], 1)) + _skewed(rng, shape), np.zeros(shape)


def disturbed_much(rng: np.random.Generator, shape: tuple[int, int, int]) -> tuple[Floats, Floats]:
    """One process of five, at a random place of each five, is off by five standard deviations."""
    return _normal(rng, shape) + 5.0 * _one_in_five(rng, shape), np.zeros(shape)


def disturbed_a_little(
    rng: np.random.Generator, shape: tuple[int, int, int]
) -> tuple[Floats, Floats]:
    """The same by two standard deviations, which the spread hides."""
    return _normal(rng, shape) + 2.0 * _one_in_five(rng, shape), np.zeros(shape)


NOISES: Mapping[
    str, Callable[[np.random.Generator, tuple[int, int, int]], tuple[Floats, Floats]]
] = {
    "independent": independent,
    "autoregressive .5": correlated,
    "slow drift": drifting,
    "heavy right tail": heavy_tailed,
    "one in five off by 5 sd": disturbed_much,
    "one in five off by 2 sd": disturbed_a_little,
}
"""Each gives the noise and the part of it that is true: both (samples, processes, rounds)."""


def student(values: Floats, *, level: float = LEVEL) -> tuple[Floats, Floats]:
    """The interval of `statistics.estimate` on logarithms, for many samples: (samples, P)."""
    count = values.shape[1]
    half = float(stdtrit(count - 1, (1 + level) / 2)) * values.std(axis=1, ddof=1) / count**0.5
    return values.mean(axis=1) - half, values.mean(axis=1) + half


def bootstrap(values: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """The former interval: percentiles of the resampled median over rounds, (samples, R)."""
    samples, rounds = values.shape
    picks = rng.integers(rounds, size=(NUM_RESAMPLES, rounds))
    medians = np.median(values[:, picks], axis=2)
    low, high = np.quantile(medians, (0.025, 0.975), axis=1)
    return low, high


def coverage(interval: tuple[Floats, Floats], truth: Floats | float = 0.0) -> float:
    """The share of intervals that hold the truth."""
    low, high = interval
    return float(np.mean((low <= truth) & (truth <= high)))


def fixed(noise: str, *, processes: int, rounds: int, samples: int, seed: int) -> float:
    """Coverage after a fixed number of processes."""
    values, truth = _values(noise, processes, rounds, samples, seed)
    return coverage(student(values), truth.mean(axis=1))


def stopped(
    noise: str, *, rounds: int, samples: int, seed: int, widths: Sequence[float] = WIDTHS
) -> float:
    """The smallest coverage over half-widths at which processes are no longer added."""
    values, truth = _values(noise, MOST_PROCESSES, rounds, samples, seed)
    typical = float(np.median(values[:, :FEWEST_PROCESSES].std(axis=1, ddof=1)))
    return min(
        _ending(values, truth, lambda low, high, w=width: (high - low) / 2 <= w * typical)
        for width in widths
    )


def deciding(noise: str, *, rounds: int, samples: int, seed: int) -> float:
    """Coverage where the most processes are measured if the fewest leave the limit, the truth."""
    values, truth = _values(noise, MOST_PROCESSES, rounds, samples, seed)
    first, limit = student(values[:, :FEWEST_PROCESSES]), truth[:, :FEWEST_PROCESSES].mean(axis=1)
    holds = (first[0] <= limit) & (limit <= first[1])
    low, high = student(values)
    return float(np.mean(holds & (low <= truth.mean(axis=1)) & (truth.mean(axis=1) <= high)))


def absolute(noise: str, *, processes: int, rounds: int, samples: int, seed: int) -> float:
    """Coverage of a time: its ratio to a reference of the same rounds, times the reference."""
    ours, our_truth = _values(noise, processes, rounds, samples, seed)
    full, _ = _values(noise, processes, rounds, samples, seed + 1)
    ratio, reference = student(ours - full), student(full)
    half = np.hypot((ratio[1] - ratio[0]) / 2, (reference[1] - reference[0]) / 2)
    middle = ours.mean(axis=1)
    return coverage((middle - half, middle + half), our_truth.mean(axis=1))


def former(noise: str, *, rounds: int, samples: int, seed: int) -> float:
    """Coverage of the former interval, over the rounds of one process."""
    rng = np.random.default_rng(seed)
    draws, _ = NOISES[noise](rng, (samples, 1, rounds))
    return coverage(bootstrap(draws[:, 0], rng))


def table(*, samples: int = SAMPLES, former_samples: int = FORMER_SAMPLES) -> dict[str, Any]:
    """Every cell."""
    rows = []
    for noise in NOISES:
        for rounds in ROUNDS:
            common = {"rounds": rounds, "samples": samples, "seed": 7}
            rows.append(
                {
                    "noise": noise,
                    "rounds": rounds,
                    "fixed": {
                        str(processes): fixed(noise, processes=processes, **common)
                        for processes in range(FEWEST_PROCESSES, MOST_PROCESSES + 1)
                    },
                    "stop rule, worst width": stopped(noise, **common),
                    "deciding about a limit": deciding(noise, **common),
                    "absolute time": {
                        str(processes): absolute(noise, processes=processes, **common)
                        for processes in (FEWEST_PROCESSES, MOST_PROCESSES)
                    },
                }
            )
    return {
        "level asked of Student's t": LEVEL,
        "required": REQUIRED,
        "samples": samples,
        "rows": rows,
        "former, over rounds of one process": [
            {
                "noise": noise,
                "rounds": rounds,
                "coverage": former(noise, rounds=rounds, samples=former_samples, seed=7),
            }
            for noise in ("independent", "autoregressive .5")
            for rounds in FORMER_ROUNDS
        ],
    }


def cells(record: dict[str, Any]) -> list[tuple[str, float]]:
    """Every coverage of ours with its name."""
    found = []
    for row in record["rows"]:
        name = f"{row['noise']}, {row['rounds']} rounds"
        found += [(f"{name}, {count} processes", share) for count, share in row["fixed"].items()]
        found += [
            (f"{name}, absolute, {count} processes", share)
            for count, share in row["absolute time"].items()
        ]
        found.append((f"{name}, stop rule", row["stop rule, worst width"]))
        found.append((f"{name}, limit", row["deciding about a limit"]))
    return found


def main() -> None:
    """Simulate, write, and fail where an interval covers too seldom."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/latency_coverage.json"))
    arguments = parser.parse_args()
    record = {
        "command": "python benchmarks/latency_coverage.py",
        "environment": Environment.capture().to_dict(),
        **table(samples=arguments.samples),
    }
    write_json(arguments.out, record)
    short = [f"{name}: {share:.3f}" for name, share in cells(record) if share < REQUIRED]
    sys.exit("\n".join(short) if short else 0)


def _values(
    noise: str, processes: int, rounds: int, samples: int, seed: int
) -> tuple[Floats, Floats]:
    """The value of each process and the part of it that belongs to the truth: (samples, P)."""
    draws, truth = NOISES[noise](np.random.default_rng(seed), (samples, processes, rounds))
    return np.median(draws, axis=2), truth.mean(axis=2)


def _ending(
    values: Floats, truth: Floats, ends: Callable[[Floats, Floats], NDArray[np.bool_]]
) -> float:
    """Coverage where processes are added, from the fewest to the most, until a rule ends it."""
    samples, most = values.shape
    covered, running = np.zeros(samples, bool), np.ones(samples, bool)
    for count in range(FEWEST_PROCESSES, most + 1):
        low, high = student(values[:, :count])
        over = running & (ends(low, high) | (count == most))
        middle = truth[:, :count].mean(axis=1)
        covered[over] = ((low <= middle) & (middle <= high))[over]
        running &= ~over
    return float(covered.mean())


def _normal(rng: np.random.Generator, shape: tuple[int, int, int]) -> Floats:
    return rng.standard_normal((*shape[:2], 1)) + rng.standard_normal(shape)


def _skewed(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    return np.expm1(rng.standard_normal(shape))


def _one_in_five(rng: np.random.Generator, shape: tuple[int, int, int]) -> Floats:
    samples, processes, _ = shape
    places = rng.integers(5, size=(samples, -(-processes // 5)))
    hit = places[:, np.arange(processes) // 5] == np.arange(processes) % 5
    return hit[:, :, None].astype(float)


if __name__ == "__main__":
    main()
