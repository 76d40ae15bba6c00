"""Everything learnt comes back, from several writers at once, and damage is said in a sentence."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from paretobert.deploy.deployment import EAGER_FP32, Deployment
from paretobert.errors import InputError
from paretobert.networks.network import Cut, Network, Stored
from paretobert.networks.shape import EncoderShape
from paretobert.networks.subnet import SubnetConfig
from paretobert.pipeline.ledger import Ledger, SessionRecord, Subject, packed, unpacked
from paretobert.profiling.conditions import Conditions
from paretobert.profiling.environment import Environment
from paretobert.profiling.footprint import Footprint
from paretobert.profiling.protocol import LatencyProtocol
from paretobert.profiling.statistics import Estimate, NoiseReport, Process, Round, Visit
from paretobert.profiling.table import LatencySummary
from paretobert.tasks.metrics import Evaluation, score_predictions

SHAPE = EncoderShape("bert", 2, 2, 4, 8, 16, 8, 50, 64, 2, 2)
FULL = Network("full", Cut(SHAPE, SubnetConfig.full(SHAPE)))
HALF = Network("half", Cut(SHAPE, SubnetConfig((0,), (1,), (8,))))
MINE = Network("mine", Stored("checkpoint", {"fingerprint": "f"}, SHAPE, SubnetConfig.full(SHAPE)))
CONDITIONS = Conditions(LatencyProtocol(), Environment.capture())
INT8 = Deployment("eager", "int8")
NOISE = NoiseReport(5, 15, 45, 0, 0, 0, 0, 0.01)
RUN = "a" * 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    found = Ledger.open(path, run=RUN)
    yield found
    found.close()


def evaluation(seed: int = 0, *, split: str = "search") -> Evaluation:
    return score_predictions(
        task="t",
        split=split,
        metrics=("accuracy", "macro_f1"),
        labels=(0, 1, 2, 1) * 5,
        predictions=tuple((i * (seed + 1)) % 3 for i in range(20)),
    )


def latency(ratio: float, *, session: str) -> LatencySummary:
    return LatencySummary(
        ratio=Estimate(ratio, ratio * 0.99, ratio * 1.01, 5),
        full_ms=Estimate(10.0, 9.9, 10.1, 5),
        resolved=True,
        process_ratios=(ratio,) * 5,
        session=session,
        num_runs=75,
    )


def process(index: int) -> Process:
    visits = (Visit("full", (0.1, 0.2)), Visit("half", (0.05,)), Visit("full", (0.1,)))
    return Process(index, (Round(0, visits),), 0.02)


def begun(ledger: Ledger, *, anew: bool = False) -> SessionRecord:
    subjects = (Subject(FULL.id, EAGER_FP32), Subject(HALF.id, INT8))
    return ledger.session(
        purpose="profile",
        conditions=CONDITIONS,
        subjects=subjects,
        sentinel=subjects[0],
        anew=anew,
    )


def finished(ledger: Ledger, record: SessionRecord) -> SessionRecord:
    return ledger.finish_session(
        record,
        environment=CONDITIONS.environment,
        noise=NOISE,
        time_budget_s=180.0,
        spent=False,
        latencies={
            subject: latency(1 / (1 + place), session=record.id)
            for place, subject in enumerate(record.subjects)
        },
        energies_j={record.subjects[0]: 0.5},
    )


def test_networks_come_back_in_the_order_in_which_they_were_added(ledger: Ledger) -> None:
    for network in (MINE, FULL, HALF):
        ledger.add_network(network)
    assert list(ledger.networks().values()) == [MINE, FULL, HALF]
    ledger.add_network(replace(MINE, label="ours"))
    assert [network.label for network in ledger.networks().values()] == ["ours", "full", "half"]


def test_scores_come_back_with_every_outcome(ledger: Ledger) -> None:
    regression = score_predictions(
        task="t",
        split="report",
        metrics=("pearson",),
        labels=(0.5, 1.5, 2.25, 0.1) * 3,
        predictions=(0.25, 1.0, 3.0, 0.2) * 3,
    )
    ledger.add_evaluation(FULL.id, evaluation(), deployment=EAGER_FP32)
    ledger.add_evaluation(FULL.id, evaluation(1), deployment=INT8)
    ledger.add_evaluation(HALF.id, regression, deployment=EAGER_FP32)
    assert ledger.evaluations(split="search", deployment=EAGER_FP32) == {FULL.id: evaluation()}
    assert ledger.evaluations(split="search", deployment=INT8) == {FULL.id: evaluation(1)}
    assert ledger.evaluations(split="report", deployment=EAGER_FP32) == {HALF.id: regression}
    ledger.add_evaluation(FULL.id, evaluation(2), deployment=EAGER_FP32)
    assert ledger.evaluations(split="search", deployment=EAGER_FP32) == {FULL.id: evaluation(2)}


def test_runtimes_of_fp32_share_their_scores(ledger: Ledger) -> None:
    ledger.add_evaluation(FULL.id, evaluation(), deployment=Deployment("onnxruntime"))
    assert ledger.evaluations(split="search", deployment=EAGER_FP32) == {FULL.id: evaluation()}
    assert ledger.evaluations(split="search", deployment=INT8) == {}


def test_the_labels_of_a_split_are_kept_once(ledger: Ledger, path: Path) -> None:
    for network in (FULL, HALF, MINE):
        for seed in range(3):
            ledger.add_evaluation(network.id, evaluation(seed), deployment=EAGER_FP32)
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT count(*) FROM labels").fetchone() == (1,)
        assert database.execute("SELECT count(*) FROM observations").fetchone() == (3,)


def test_outcomes_are_packed_and_unpacked() -> None:
    for column in (evaluation().predictions, evaluation().labels):
        assert unpacked(*packed(column)) == column
    assert unpacked(*packed((0.5, -1.0))).tolist() == [0.5, -1.0]


def test_a_session_goes_on_until_it_is_finished(ledger: Ledger) -> None:
    record = begun(ledger)
    for index in range(2):
        ledger.add_process(record.id, process(index))
    again = begun(ledger, anew=True)
    assert again.id == record.id
    assert ledger.processes(again.id) == (process(0), process(1))
    assert ledger.sessions(purpose="profile") == []
    done = finished(ledger, again)
    assert begun(ledger).id == done.id
    assert begun(ledger, anew=True).id != done.id


def test_a_finished_session_comes_back_with_its_latencies(ledger: Ledger) -> None:
    done = finished(ledger, begun(ledger))
    assert ledger.sessions(purpose="profile") == [done]
    assert ledger.sessions(purpose="profile", conditions_id=CONDITIONS.id) == [done]
    assert ledger.sessions(purpose="profile", conditions_id="other") == []
    assert ledger.sessions(purpose="delivery") == []
    assert list(done.latencies) == list(done.subjects)
    assert done.energies_j == {done.subjects[0]: 0.5}
    latest = finished(ledger, begun(ledger, anew=True))
    assert [record.id for record in ledger.sessions(purpose="profile")] == [latest.id, done.id]
    found = ledger.latencies(deployment=INT8, conditions_id=CONDITIONS.id, purpose="profile")
    assert found == {HALF.id: latest.latencies[latest.subjects[1]]}


def test_footprints_and_fingerprints_come_back(ledger: Ledger) -> None:
    subject = Subject(FULL.id, INT8)
    found = Footprint(subject.key, 7, 11)
    ledger.add_footprint(subject, CONDITIONS, found)
    assert ledger.footprints(deployment=INT8, conditions_id=CONDITIONS.id) == {FULL.id: found}
    assert ledger.footprints(deployment=EAGER_FP32, conditions_id=CONDITIONS.id) == {}
    assert ledger.fingerprint(subject) is None
    ledger.add_fingerprint(subject, "abc")
    assert ledger.fingerprint(subject) == "abc"
    assert ledger.fingerprint(Subject(HALF.id, INT8)) is None


def test_runs_share_a_database_and_nothing_else(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    first, second = (Ledger.open(url, run=run * 32) for run in "ab")
    first.add_network(FULL)
    second.add_network(HALF)
    assert list(first.networks()) == [FULL.id]
    assert list(second.networks()) == [HALF.id]
    for each in (first, second):
        each.close()


WRITER = """
    import sys
    from pathlib import Path
    sys.path.insert(0, {tests!r})
    from paretobert.deploy.deployment import EAGER_FP32
    from paretobert.networks.network import Network, Stored
    from paretobert.networks.shape import EncoderShape
    from paretobert.networks.subnet import SubnetConfig
    from paretobert.pipeline.ledger import Ledger
    from paretobert.tasks.metrics import score_predictions

    shape = EncoderShape("bert", 2, 2, 4, 8, 16, 8, 50, 64, 2, 2)
    ledger = Ledger.open(Path({path!r}), run="a" * 32)
    evaluation = score_predictions(
        task="t", split="search", metrics=("accuracy",), labels=(0, 1), predictions=(0, 1)
    )
    for number in range({number}):
        asked = {{"writer": sys.argv[1], "number": number}}
        recipe = Stored("test", asked, shape, SubnetConfig.full(shape))
        network = Network(f"{{sys.argv[1]}} {{number}}", recipe)
        ledger.add_network(network)
        ledger.add_evaluation(network.id, evaluation, deployment=EAGER_FP32)
        print(number, flush=True)
"""


def writer(path: Path, name: str, *, number: int) -> subprocess.Popen[str]:
    code = textwrap.dedent(WRITER).format(
        path=str(path), number=number, tests=str(Path(__file__).parent)
    )
    command = [sys.executable, "-c", code, name]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_two_processes_that_write_at_once_lose_nothing(path: Path) -> None:
    """From the very first write on: both make the file."""
    both = [writer(path, name, number=50) for name in ("one", "two")]
    assert [each.communicate()[0].count("\n") for each in both] == [50, 50]
    assert [each.returncode for each in both] == [0, 0]
    ledger = Ledger.open(path, run=RUN)
    assert len(ledger.networks()) == 100
    assert len(ledger.evaluations(split="search", deployment=EAGER_FP32)) == 100
    ledger.close()


def test_a_killed_writer_loses_at_most_its_last_write(path: Path) -> None:
    for attempt in range(3):
        each = writer(path, str(attempt), number=10_000)
        assert each.stdout is not None
        for _ in range(5 + attempt):
            each.stdout.readline()
        each.send_signal(signal.SIGKILL)
        written = 5 + attempt + each.communicate()[0].count("\n")
        ledger = Ledger.open(path, run=RUN)
        labels = [network.label for network in ledger.networks().values()]
        found = sum(label.startswith(f"{attempt} ") for label in labels)
        assert written <= found <= written + 1
        ledger.close()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_text("x" * 500), "is no ledger, or it is damaged"),
        (lambda path: path.write_bytes(b""), "is no ledger, or it is damaged"),
        (lambda path: path.write_bytes(path.read_bytes()[:5000]), "cannot be used"),
        (lambda path: (path.unlink(), path.mkdir()), "is no file that a ledger could be in"),
        (lambda path: (path.unlink(), os.mkfifo(path)), "is no file that a ledger could be in"),
        (
            lambda path: (path.unlink(), path.symlink_to(path)),
            "is no file that a ledger could be in",
        ),
    ],
)
def test_what_is_no_ledger_is_refused(path: Path, damage: object, message: str) -> None:
    ledger = Ledger.open(path, run=RUN)
    ledger.add_network(FULL)
    ledger.close()
    damage(path)
    with pytest.raises(InputError, match=rf"ledger\.db {message}.*delete it"):
        Ledger.open(path, run=RUN).networks()


def test_the_ledger_of_another_run_is_refused(path: Path) -> None:
    Ledger.open(path, run=RUN).close()
    with pytest.raises(InputError, match="is the ledger of another run"):
        Ledger.open(path, run="b" * 32)


def test_a_ledger_of_another_version_is_refused(path: Path) -> None:
    Ledger.open(path, run=RUN).close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE runs SET schema = 99")
    with pytest.raises(InputError, match="has schema 99, this version reads 1: start a new run"):
        Ledger.open(path, run=RUN)


@pytest.mark.parametrize(
    ("statement", "read"),
    [
        ("UPDATE networks SET record = '{}'", lambda ledger: ledger.networks()),
        ("UPDATE networks SET record = '[' || record", lambda ledger: ledger.networks()),
        (
            "UPDATE networks SET record = '" + "[" * 100_000 + "'",
            lambda ledger: ledger.networks(),
        ),
        (
            "UPDATE observations SET outcomes = x'00'",
            lambda ledger: ledger.evaluations(split="search", deployment=EAGER_FP32),
        ),
        (
            "UPDATE observations SET record = '{}' WHERE quantity = 'score'",
            lambda ledger: ledger.evaluations(split="search", deployment=EAGER_FP32),
        ),
        (
            "UPDATE observations SET record = '{\"ratio\": 1}' WHERE quantity = 'latency_ms'",
            lambda ledger: ledger.sessions(purpose="profile"),
        ),
        (
            "UPDATE sessions SET protocol = '{\"threads\": 0}'",
            lambda ledger: ledger.sessions(purpose="profile"),
        ),
        ("UPDATE sessions SET noise = '[]'", lambda ledger: ledger.sessions(purpose="profile")),
        ("DROP TABLE observations", lambda ledger: ledger.sessions(purpose="profile")),
    ],
)
def test_damaged_rows_are_refused(path: Path, statement: str, read: object) -> None:
    ledger = Ledger.open(path, run=RUN)
    ledger.add_network(FULL)
    ledger.add_evaluation(FULL.id, evaluation(), deployment=EAGER_FP32)
    finished(ledger, begun(ledger))
    ledger.close()
    with sqlite3.connect(path) as database:
        database.execute(statement)
    damaged = Ledger.open(path, run=RUN)
    with pytest.raises(InputError, match=r"The ledger .*ledger\.db (is damaged|cannot be used)"):
        read(damaged)
    damaged.close()


def test_a_read_only_folder_is_read(path: Path) -> None:
    ledger = Ledger.open(path, run=RUN)
    ledger.add_network(FULL)
    ledger.close()
    path.chmod(stat.S_IRUSR)
    path.parent.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        found = Ledger.open(path, run=RUN)
        assert list(found.networks()) == [FULL.id]
        found.close()
    finally:
        path.parent.chmod(0o755)


def test_an_unusable_database_is_refused() -> None:
    for url in ("nonsense://here", "not a url", "sqlite:////nowhere/at/all.db"):
        with pytest.raises(InputError, match="cannot be used"):
            Ledger.open(url, run=RUN)


def test_a_password_is_not_said() -> None:
    with pytest.raises(InputError) as refusal:
        Ledger.open("sqlite://me:secret@host/x", run=RUN)
    assert "secret" not in str(refusal.value)


def test_a_writer_waits_for_another(path: Path) -> None:
    ledger = Ledger.open(path, run=RUN)
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    import threading

    threading.Timer(0.2, lambda: other.execute("COMMIT")).start()
    started_s = time.monotonic()
    ledger.add_network(FULL)
    assert time.monotonic() > started_s
    assert list(ledger.networks()) == [FULL.id]
    ledger.close()
    other.close()
