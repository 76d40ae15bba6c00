"""Processes write to one ledger at the same time, and are killed while they write."""

import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from paretobert.deploy.deployment import EAGER_FP32
from paretobert.pipeline.ledger import Ledger

from .observed import begun, cut, evaluation, finished, process

NUM_WRITES = 50

WRITER = """
import sys
from dataclasses import replace
from pathlib import Path

from paretobert.deploy.deployment import EAGER_FP32
from paretobert.intervals import Interval
from paretobert.networks.network import Cut, Network
from paretobert.networks.shape import EncoderShape
from paretobert.networks.subnet import SubnetConfig
from paretobert.pipeline.ledger import Ledger
from paretobert.tasks.scores import Evaluation

path, first, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
shape = EncoderShape("bert", 1, 4, 8, 32, 10**6, 32, 100, 64, 2, 3)
outcomes = [number % 3 for number in range(2_000)]
share = Interval(1.0, 0.9, 1.0, 2_000, "examples")
scored = Evaluation("t", "search", "accuracy", share, 0.1, outcomes, outcomes, {})
ledger = Ledger.open(path, run="a")
for neurons in range(first, first + count):
    network = Network(str(neurons), Cut(shape, SubnetConfig((0,), (4,), (neurons,))))
    ledger.add_network(network)
    ledger.add_evaluation(network.id, scored, deployment=EAGER_FP32)
    print(network.id, flush=True)
"""


def writer(path: Path, *, first: int, count: int) -> "subprocess.Popen[str]":
    """A process that says which networks it has entered with their scores."""
    command = [sys.executable, "-c", WRITER, str(path), str(first), str(count)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    )


def entered(path: Path) -> tuple[set[str], set[str]]:
    """The networks of a ledger and those with scores."""
    with closing(Ledger.open(path, run="a")) as ledger:
        scores = ledger.evaluations(split="search", deployment=EAGER_FP32)
        assert all(found.n == 2_000 for found in scores.values())
        return set(ledger.networks()), set(scores)


def test_two_processes_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    starts = (1, 1 + NUM_WRITES)
    writers = [writer(path, first=first, count=NUM_WRITES) for first in starts]
    said = []
    for each in writers:
        out, error = each.communicate(timeout=300)
        assert each.returncode == 0, error
        said += out.split()
    networks, scored = entered(path)
    assert networks == scored == set(said)
    assert len(said) == 2 * NUM_WRITES


@pytest.mark.parametrize("delay_s", [0.0, 0.003, 0.011, 0.023])
def test_a_kill_leaves_what_was_entered(tmp_path: Path, delay_s: float) -> None:
    path = tmp_path / "ledger.db"
    killed = writer(path, first=1, count=10**6)
    assert killed.stdout is not None
    said = [killed.stdout.readline().strip() for _ in range(5)]
    time.sleep(delay_s)
    killed.send_signal(signal.SIGKILL)
    out, _ = killed.communicate(timeout=60)
    said += [line.strip() for line in out.splitlines(keepends=True) if line.endswith("\n")]
    networks, scored = entered(path)
    assert set(said) <= scored <= networks
    assert len(networks) <= len(said) + 1
    again = writer(path, first=1, count=3)
    again.communicate(timeout=60)
    assert again.returncode == 0


INTERRUPTED = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 1")
connection.execute("PRAGMA cache_spill = 1")
connection.execute("BEGIN IMMEDIATE")
connection.execute("UPDATE observations SET value = -1, outcomes = zeroblob(100000)")
connection.execute("DELETE FROM networks")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_write_killed_half_way_is_undone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    networks = {network.id: network for network in map(cut, range(1, 21))}
    with closing(Ledger.open(path, run="a")) as ledger:
        for network in networks.values():
            ledger.add_network(network)
            ledger.add_evaluation(network.id, evaluation(), deployment=EAGER_FP32)
    before = path.read_bytes()
    done = subprocess.run([sys.executable, "-c", INTERRUPTED, path])
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() != before
    assert (tmp_path / "ledger.db-journal").stat().st_size
    with closing(Ledger.open(path, run="a")) as ledger:
        assert ledger.networks() == networks
        scores = ledger.evaluations(split="search", deployment=EAGER_FP32)
    assert scores == dict.fromkeys(networks, evaluation())


def test_a_reader_does_not_disturb_a_writer(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with closing(Ledger.open(path, run="a")) as ours, closing(Ledger.open(path, run="a")) as other:
        record = begun(ours, cut(3))
        for index in range(5):
            ours.add_process(record.id, process(index))
            assert len(other.processes(record.id)) == index + 1
        assert other.sessions(purpose="profile") == []
        record = finished(ours, record)
        assert other.sessions(purpose="profile") == [record]
