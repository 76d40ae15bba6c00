"""The interval of latencies covers in cells that are simulated here; the former one does not."""

import json
from pathlib import Path

import latency_coverage
import pytest
from latency_coverage import NOISES, REQUIRED, bootstrap, cells, coverage

from paretobert.intervals import FEWEST_PROCESSES
from paretobert.profiling.protocol import MOST_PROCESSES
from paretobert.profiling.statistics import LEVEL, estimate

COMMITTED = Path(latency_coverage.__file__).with_name("latency_coverage.json")
FAST = {"rounds": 3, "samples": 4000, "seed": 3}
MARGIN = 0.01
"""Three standard errors of a coverage of .95 in 4,000 samples."""


@pytest.mark.parametrize("noise", list(NOISES))
def test_the_interval_covers_under_every_noise_and_rule(noise: str) -> None:
    found = (
        latency_coverage.fixed(noise, processes=FEWEST_PROCESSES, **FAST),
        latency_coverage.fixed(noise, processes=MOST_PROCESSES, **FAST),
        latency_coverage.stopped(noise, **FAST, widths=(0.6, 1.0)),
        latency_coverage.deciding(noise, **FAST),
        latency_coverage.absolute(noise, processes=FEWEST_PROCESSES, **FAST),
    )
    assert min(found) >= REQUIRED - MARGIN


@pytest.mark.parametrize("rounds", [3, 7])
def test_the_former_interval_does_not_cover(rounds: int) -> None:
    former = latency_coverage.former("independent", rounds=rounds, samples=500, seed=3)
    assert former < REQUIRED - 0.1


def test_more_processes_than_those_allowed_would_not_cover() -> None:
    disturbed = latency_coverage.fixed(
        "one in five off by 5 sd", processes=2 * MOST_PROCESSES, **FAST
    )
    assert disturbed < REQUIRED


def test_the_simulated_interval_is_the_one_in_use() -> None:
    import numpy as np

    values = np.random.default_rng(0).normal(size=(3, FEWEST_PROCESSES))
    low, high = latency_coverage.student(values)
    for row, ends in zip(values, zip(low, high, strict=True), strict=True):
        found = estimate(np.exp(row))
        assert (found.low, found.high) == pytest.approx(np.exp(ends))


def test_the_committed_table_is_of_this_level_and_covers() -> None:
    record = json.loads(COMMITTED.read_text())
    assert record["level asked of Student's t"] == LEVEL
    found = cells(record)
    assert len(found) == len(NOISES) * 2 * (MOST_PROCESSES - FEWEST_PROCESSES + 1 + 4)
    assert min(share for _, share in found) >= REQUIRED
    again = latency_coverage.fixed(
        "autoregressive .5", processes=5, rounds=3, samples=4000, seed=1
    )
    assert again == pytest.approx(
        dict(found)["autoregressive .5, 3 rounds, 5 processes"], abs=0.02
    )


def test_coverage_of_what_is_known() -> None:
    import numpy as np

    low, high = np.array([-1.0, 0.5, -2.0, 0.0]), np.array([1.0, 1.0, -1.0, 0.0])
    assert coverage((low, high)) == 0.5
    same = np.ones((2, 5))
    assert bootstrap(same, np.random.default_rng(0))[0].tolist() == [1.0, 1.0]
