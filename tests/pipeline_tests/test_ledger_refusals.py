"""What is no ledger, another's ledger or a damaged one is refused in a sentence."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from paretobert.deploy.deployment import EAGER_FP32
from paretobert.errors import InputError
from paretobert.pipeline.ledger import Ledger
from paretobert.pipeline.observations import Subject
from paretobert.pipeline.schema import SCHEMA
from paretobert.profiling.footprint import Footprint

from .observed import CONDITIONS, FULL, begun, cut, evaluation, finished, process


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger that holds something of everything."""
    path = tmp_path_factory.mktemp("whole") / "ledger.db"
    with closing(Ledger.open(path, run="a")) as ledger:
        for network in (FULL, *map(cut, range(1, 65))):
            ledger.add_network(network)
            ledger.add_evaluation(network.id, evaluation(), deployment=EAGER_FP32)
        record = begun(ledger, cut(3))
        ledger.add_process(record.id, process(0))
        finished(ledger, record)
        subject = Subject(FULL.id, EAGER_FP32)
        ledger.add_footprint(subject, CONDITIONS, Footprint(subject.key, 5, 7))
        ledger.add_fingerprint(subject, "0123")
    return path


@pytest.fixture
def path(whole: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copy(whole, tmp_path / "ledger.db")


def read(path: Path) -> None:
    """Read everything."""
    with closing(Ledger.open(path, run="a")) as ledger:
        list(ledger.networks().values())
        scored = ledger.evaluations(split="search", deployment=EAGER_FP32)
        list(scored.values())
        scored.scores(list(scored))
        if scored:
            scored.outcomes(list(scored))
        for record in ledger.sessions(purpose="profile"):
            list(record.latencies.values())
            ledger.processes(record.id)
        ledger.footprints(deployment=EAGER_FP32, conditions_id=CONDITIONS.id)
        ledger.fingerprint(Subject(FULL.id, EAGER_FP32))


def changed(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


def a_directory(path: Path) -> None:
    path.mkdir()


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_symlink_loop(path: Path) -> None:
    path.symlink_to(path)


def a_broken_symlink(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere")


def a_text(path: Path) -> None:
    path.write_text("networks, evaluations and so on\n")


def nothing(path: Path) -> None:
    path.touch()


@pytest.mark.parametrize(
    ("put", "sentence"),
    [
        (a_directory, r"ledger\.db is no file that a ledger could be in: put back"),
        (a_pipe, r"ledger\.db is no file that a ledger could be in: put back"),
        (a_symlink_loop, r"ledger\.db is no file that a ledger could be in: put back"),
        (a_broken_symlink, r"ledger\.db is no file that a ledger could be in: put back"),
        (a_text, r"ledger\.db is no ledger, or it is damaged: put back"),
        (nothing, r"ledger\.db is no ledger, or it is damaged: put back"),
    ],
)
def test_no_ledger(tmp_path: Path, put: Callable[[Path], None], sentence: str) -> None:
    path = tmp_path / "ledger.db"
    put(path)
    with pytest.raises(InputError, match=sentence):
        Ledger.open(path, run="a")
    assert [entry.name for entry in tmp_path.iterdir()] == ["ledger.db"]


@pytest.mark.parametrize("share", [0.01, 0.3, 0.5, 0.9, 0.99])
def test_a_truncated_ledger(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"ledger\.db (cannot be used|is damaged) \(.*put back"):
        read(path)


def test_an_overwritten_ledger(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\xff" * (len(content) - 100))
    with pytest.raises(InputError, match=r"ledger\.db cannot be used \(.*put back"):
        read(path)


def test_a_ledger_without_tables_gets_them(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("VACUUM")
    read(path)


def test_the_ledger_of_another_run(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"ledger\.db is the ledger of another run: put back"):
        Ledger.open(path, run="b")
    assert path.read_bytes() == before


def test_another_schema(path: Path) -> None:
    changed(path, "UPDATE runs SET schema = 99")
    refusal = f"has schema 99, this version reads {SCHEMA}: start a new run"
    with pytest.raises(InputError, match=refusal):
        Ledger.open(path, run="a")


@pytest.mark.parametrize("table", ["networks", "observations", "labels", "sessions", "processes"])
def test_a_missing_table(path: Path, table: str) -> None:
    changed(path, f"DROP TABLE {table}")
    with pytest.raises(InputError, match=rf"cannot be used \(no such table: {table}\): put back"):
        read(path)


def test_the_database_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    changed(path, "CREATE TABLE runs (distance FLOAT)")
    with pytest.raises(InputError, match=r"cannot be used \(no such column: runs\.run\): put"):
        Ledger.open(path, run="a")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE networks SET record = '{'",
        "UPDATE networks SET record = '[]'",
        "UPDATE networks SET record = '{}'",
        "UPDATE networks SET record = 'null'",
        "UPDATE networks SET record = x'ff00'",
        """UPDATE networks SET record = '{"label": "a", "recipe": {"kind": "drawn"}}'""",
        "UPDATE observations SET record = '{' WHERE quantity = 'score'",
        "UPDATE observations SET record = NULL WHERE quantity = 'score'",
        "UPDATE observations SET record = '{}' WHERE quantity = 'score'",
        "UPDATE observations SET record = '[1]' WHERE quantity = 'score'",
        "UPDATE observations SET outcomes = NULL WHERE quantity = 'score'",
        "UPDATE observations SET outcomes = x'00' WHERE quantity = 'score'",
        "UPDATE observations SET value = NULL WHERE quantity = 'score'",
        "UPDATE observations SET value = 'much' WHERE quantity = 'score'",
        "UPDATE observations SET labels = NULL WHERE quantity = 'score'",
        "UPDATE observations SET labels = 'x' WHERE quantity = 'score'",
        "UPDATE observations SET value = NULL WHERE quantity = 'latency_ms'",
        "UPDATE observations SET high = 0 WHERE quantity = 'latency_ms'",
        "UPDATE observations SET typecode = '?' WHERE quantity = 'score'",
        "UPDATE observations SET typecode = 'd' WHERE quantity = 'score'",
        "UPDATE observations SET record = '{' WHERE quantity = 'latency_ms'",
        "UPDATE observations SET record = '7' WHERE quantity = 'latency_ms'",
        "UPDATE observations SET record = '{\"ratio\": []}' WHERE quantity = 'latency_ms'",
        "UPDATE labels SET labels = x'00'",
        "UPDATE labels SET typecode = ''",
        "DELETE FROM labels",
        "UPDATE observations SET value = NULL WHERE quantity = 'size_bytes'",
        "UPDATE observations SET value = 'much' WHERE quantity = 'size_bytes'",
        "UPDATE sessions SET protocol = '{'",
        "UPDATE sessions SET environment = '{}'",
        "UPDATE sessions SET subjects = '7'",
        "UPDATE sessions SET subjects = '[7]'",
        "UPDATE sessions SET subjects = '[\"a\"]'",
        "UPDATE sessions SET sentinel = 'a/b-c'",
        "UPDATE sessions SET noise = '[]'",
        "UPDATE processes SET record = '{'",
        "UPDATE processes SET record = '{}'",
    ],
)
def test_a_damaged_row(path: Path, statement: str) -> None:
    changed(path, statement)
    with pytest.raises(InputError, match=r"The ledger .*ledger\.db (is damaged|cannot be used) "):
        read(path)


def test_damage_outside_of_rows(path: Path) -> None:
    """Whatever byte is wrong: everything is read or it is said, never with another error."""
    refused = 0
    content = path.read_bytes()
    for place in range(16, len(content), 1_501):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        try:
            read(path)
        except InputError:
            refused += 1
    assert refused


def test_a_read_only_folder_can_be_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Modes do not bind root, so what the system says about them is replaced too."""
    path.chmod(0o444)
    path.parent.chmod(0o555)
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda entry, mode: mode != os.W_OK)
        read(path)
        with closing(Ledger.open(path, run="a")) as ledger:
            assert len(ledger.networks()) == 65
            with pytest.raises(InputError, match=r"cannot be used \(attempt to write a readonly"):
                ledger.add_network(cut(3))
    path.parent.chmod(0o755)


def test_a_folder_without_ledger_that_cannot_be_written(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.touch()
    with pytest.raises(InputError, match=r"cannot be made"):
        Ledger.open(place / "ledger.db", run="a")
