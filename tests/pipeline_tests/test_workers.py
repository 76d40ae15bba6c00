"""Four workers share a study and a ledger, two are killed: nothing is lost, nothing done twice."""

import multiprocessing
import os
import signal
import uuid
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from multiprocessing.synchronize import Event
from pathlib import Path

import moocore
import numpy as np
import pytest

from paretobert.deploy.deployment import EAGER_FP32
from paretobert.networks.subnet import SubnetConfig
from paretobert.pipeline.ledger import Ledger
from paretobert.search.engines.registry import engine_named
from paretobert.search.problem import Observation

from . import black_box

FORKED = multiprocessing.get_context("fork")
NUM_TRIALS = 40
DIES_AT = (2, 3, None, None)
"""At which of its networks each worker is killed."""

Places = tuple[Path | str, Path | str]


@pytest.fixture(params=["journal", "postgresql"])
def places(request: pytest.FixtureRequest, tmp_path: Path) -> Places:
    """Where the study and the ledger are."""
    if request.param == "journal":
        return tmp_path / "study.journal", tmp_path / "ledger.db"
    url: str = request.getfixturevalue("server")
    return url, url


class Worker:
    """A process of its own, with what it says."""

    def __init__(self, run: str, places: Places, *, dies_at: int | None, enough: Event) -> None:
        reading, writing = os.pipe()
        self.process = FORKED.Process(
            target=black_box.work, args=(run, places, NUM_TRIALS, writing, dies_at, enough)
        )
        self.process.start()
        os.close(writing)
        self.said = os.fdopen(reading)

    def ended(self, status: int) -> list[str]:
        """What it said."""
        with self.said:
            lines = self.said.read().splitlines()
        self.process.join(60)
        assert self.process.exitcode == status
        return lines


def volume(observed: Sequence[Observation]) -> float:
    """The hypervolume of a front, of which the full model is the reference point."""
    asked = black_box.problem()
    reference = [0.0, asked.cost(black_box.SPACE.full).values["num_flops"]]
    values = np.array([asked.signed(seen) for seen in observed])
    return float(moocore.hypervolume(values, ref=reference))


def alone(seed: int) -> float:
    """The hypervolume that one worker finds."""
    engine = engine_named("nsga2", black_box.problem(seed))
    observed: list[Observation] = []
    while len(observed) < NUM_TRIALS:
        config = engine.propose(observed)
        assert config is not None
        observed.append(Observation(config, black_box.score(config)))
    return volume(observed)


def test_nothing_is_lost_or_scored_twice(places: Places) -> None:
    run = uuid.uuid4().hex
    all_dead = FORKED.Event()
    *killed, third, fourth = [Worker(run, places, dies_at=at, enough=all_dead) for at in DIES_AT]
    ended = [worker.ended(-signal.SIGKILL) for worker in killed]
    all_dead.set()
    begun = [key for said in ended for key in said]
    found = []
    for worker in (third, fourth):
        *said, last = worker.ended(0)
        begun += said
        found.append(set(last.split()))
    first, second = found
    assert first == second == set(begun)
    assert len(first) == NUM_TRIALS
    interrupted = {said[-1] for said in ended}
    assert {key for key, times in Counter(begun).items() if times > 1} <= interrupted
    with closing(Ledger.open(places[1], run=run)) as ledger:
        scores = ledger.evaluations(split="search", deployment=EAGER_FP32)
        assert {network.name for network in ledger.networks().values()} == first
    assert len(scores) == NUM_TRIALS

    configs = map(SubnetConfig.from_key, first)
    together = volume([Observation(config, black_box.score(config)) for config in configs])
    volumes = [alone(seed) for seed in range(5)]
    assert together > min(volumes) - 2 * np.std(volumes)
