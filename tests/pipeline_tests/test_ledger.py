"""What is entered into a ledger comes out as it was, from a file and from PostgreSQL."""

import sqlite3
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretobert.deploy.deployment import EAGER_FP32, Deployment
from paretobert.errors import InputError
from paretobert.networks.network import Cut, Network, Printed
from paretobert.networks.retention import Retention
from paretobert.networks.subnet import SubnetConfig
from paretobert.pipeline.ledger import Ledger
from paretobert.pipeline.observations import Subject
from paretobert.pipeline.packing import packed, unpacked
from paretobert.profiling.footprint import Footprint
from paretobert.tasks.scores import compact

from .observed import (
    CONDITIONS,
    FULL,
    INT8,
    SHAPE,
    begun,
    cut,
    evaluation,
    finished,
    latency,
    process,
    stored,
)


@pytest.fixture(params=["file", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    if request.param == "file":
        return tmp_path / "ledger.db"
    url: str = request.getfixturevalue("server")
    return url


@pytest.fixture
def run() -> str:
    return uuid.uuid4().hex


@pytest.fixture
def ledger(place: Path | str, run: str) -> Iterator[Ledger]:
    with closing(Ledger.open(place, run=run)) as ledger:
        yield ledger


def test_networks_keep_their_order(ledger: Ledger, place: Path | str, run: str) -> None:
    networks = [FULL, *map(cut, (9, 3, 6)), stored("mine"), stored("ours")]
    for network in networks:
        ledger.add_network(network)
    with closing(Ledger.open(place, run=run)) as again:
        assert list(again.networks().items()) == [(each.id, each) for each in networks]
        assert again.ids() == tuple(each.id for each in networks)


def test_a_network_keeps_its_place_and_gets_the_new_label(ledger: Ledger) -> None:
    for network in (FULL, cut(3)):
        ledger.add_network(network)
    renamed = Network("all of it", FULL.recipe)
    ledger.add_network(renamed)
    assert list(ledger.networks().values()) == [renamed, cut(3)]


def test_the_full_model_is_found_behind_many(ledger: Ledger) -> None:
    assert ledger.full() is None
    for network in (stored("mine"), *map(cut, range(1, 70))):
        ledger.add_network(network)
    assert ledger.full() is None
    ledger.add_network(FULL)
    assert ledger.full() == FULL


def test_sizes_of_many_are_those_of_each(ledger: Ledger) -> None:
    eliminating = SubnetConfig((0, 1), (4, 2), (5, 6), Retention((50, 1), "percent"))
    other = replace(SHAPE, vocab_size=7)
    for network in (
        *map(cut, (9, 3)),
        FULL,
        stored("mine"),
        Network("shorter", Cut(SHAPE, eliminating)),
        Network("another model's", Cut(other, SubnetConfig((1,), (4,), (8,)))),
        Network("printed", Printed("a book")),
    ):
        ledger.add_network(network)
    assert ledger.networks().totals(SHAPE) == {
        cut(9).id: (2, 6, 18),
        cut(3).id: (2, 6, 6),
        FULL.id: (4, 16, 256),
    }


@pytest.mark.parametrize(
    ("labels", "predictions", "metrics"),
    [
        ((0, 1, 2, 1), (0, 1, 1, 1), ("accuracy", "macro_f1")),
        ((0, 300, 2, 1), (0, 300, 1, 1), ("accuracy",)),
        ((0.5, 1.25, -3.0, 1 / 3, 0.1), (0.25, 1.5, -2.0, 0.1 + 0.2, 0.3), ("pearson",)),
    ],
)
def test_evaluations_are_equal(
    ledger: Ledger, labels: tuple[float], predictions: tuple[float], metrics: tuple[str, ...]
) -> None:
    scored = evaluation(predictions, labels=labels, metrics=metrics)
    ledger.add_evaluation(FULL.id, scored, deployment=EAGER_FP32)
    assert ledger.evaluations(split="search", deployment=EAGER_FP32) == {FULL.id: scored}


def test_evaluations_belong_to_a_split_and_a_deployment(ledger: Ledger) -> None:
    scored = [
        (evaluation(), EAGER_FP32),
        (evaluation((0, 1, 2, 1, 1, 2)), INT8),
        (evaluation((2, 1, 2, 1, 1, 2), split="report"), EAGER_FP32),
    ]
    for found, deployment in scored:
        ledger.add_evaluation(FULL.id, found, deployment=deployment)
    for found, deployment in scored:
        known = ledger.evaluations(split=found.split, deployment=deployment)
        assert known == {FULL.id: found}
    assert ledger.evaluations(split="report", deployment=INT8) == {}


def test_all_fp32_runtimes_share_a_score(ledger: Ledger) -> None:
    ledger.add_evaluation(FULL.id, evaluation(), deployment=Deployment("openvino", "fp32"))
    found = ledger.evaluations(split="search", deployment=Deployment("onnxruntime", "fp32"))
    assert found == {FULL.id: evaluation()}


def test_the_latest_evaluation_counts(ledger: Ledger) -> None:
    better = evaluation((0, 1, 2, 1, 1, 2))
    for scored in (evaluation(), better):
        ledger.add_evaluation(FULL.id, scored, deployment=EAGER_FP32)
    assert ledger.evaluations(split="search", deployment=EAGER_FP32) == {FULL.id: better}


def test_labels_are_kept_once(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with closing(Ledger.open(path, run="a")) as ledger:
        for network in map(cut, range(1, 9)):
            ledger.add_evaluation(network.id, evaluation(), deployment=EAGER_FP32)
            ledger.add_evaluation(network.id, evaluation(), deployment=INT8)
    with closing(sqlite3.connect(path)) as connection:
        counts = [
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("labels", "observations")
        ]
    assert counts == [1, 16]


@given(st.lists(st.integers(0, 2**20)) | st.lists(st.floats(allow_nan=False)))
def test_packed_columns(values: list[float]) -> None:
    column = compact(values)
    assert unpacked(*packed(column)) == column
    assert unpacked(*packed(column)).typecode == column.typecode


def test_a_session_goes_on_until_it_is_finished(
    ledger: Ledger, place: Path | str, run: str
) -> None:
    record = begun(ledger, cut(3))
    with closing(Ledger.open(place, run=run)) as again:
        assert begun(again, cut(3)) == record
        assert begun(again, cut(3), anew=True) == record
        assert begun(again, cut(4)).id != record.id
        assert again.sessions(purpose="profile") == []


def test_a_finished_session_is_equal(ledger: Ledger, place: Path | str, run: str) -> None:
    record = finished(ledger, begun(ledger, cut(3)))
    with closing(Ledger.open(place, run=run)) as again:
        assert again.sessions(purpose="profile") == [record]
        assert again.sessions(purpose="profile", conditions_id=CONDITIONS.id) == [record]
        assert again.sessions(purpose="profile", conditions_id="another") == []
        assert again.sessions(purpose="delivery") == []


def test_a_finished_session_may_be_measured_anew(ledger: Ledger) -> None:
    first = finished(ledger, begun(ledger, cut(3)))
    assert begun(ledger, cut(3)).id == first.id
    second = finished(ledger, begun(ledger, cut(3), anew=True), ratio=0.25)
    assert [record.id for record in ledger.sessions(purpose="profile")] == [second.id, first.id]


def test_subjects_keep_their_order(ledger: Ledger) -> None:
    networks = [cut(9), stored("mine"), cut(1), cut(5)]
    record = finished(ledger, begun(ledger, *networks))
    (found,) = ledger.sessions(purpose="profile")
    assert list(found.latencies) == list(record.subjects)
    assert found.subjects == record.subjects


def test_the_latest_latency_counts(ledger: Ledger) -> None:
    finished(ledger, begun(ledger, cut(3)))
    second = finished(ledger, begun(ledger, cut(3), anew=True), ratio=0.25)
    found = ledger.latencies(deployment=EAGER_FP32, conditions_id=CONDITIONS.id, purpose="profile")
    assert found == {
        FULL.id: latency(1.0, session=second.id),
        cut(3).id: latency(0.25, session=second.id),
    }


def test_a_session_that_went_on_is_entered_again(ledger: Ledger) -> None:
    record = begun(ledger, cut(3))
    finished(ledger, record)
    longer = finished(ledger, record, ratio=0.75)
    assert ledger.sessions(purpose="profile") == [longer]


def test_processes_are_equal_and_in_order(ledger: Ledger) -> None:
    record = begun(ledger, cut(3))
    for index in (2, 0, 1):
        ledger.add_process(record.id, process(index))
    assert ledger.processes(record.id) == tuple(map(process, range(3)))
    assert ledger.processes("another") == ()


def test_footprints(ledger: Ledger) -> None:
    subject = Subject(FULL.id, EAGER_FP32)
    for size_bytes in (2**40, 2**40 + 1):
        found = Footprint(subject.key, size_bytes, 2**53)
        ledger.add_footprint(subject, CONDITIONS, found)
    known = ledger.footprints(deployment=EAGER_FP32, conditions_id=CONDITIONS.id)
    assert known == {FULL.id: found}
    assert ledger.footprints(deployment=INT8, conditions_id=CONDITIONS.id) == {}
    assert ledger.footprints(deployment=EAGER_FP32, conditions_id="another") == {}


def test_fingerprints(ledger: Ledger) -> None:
    for fingerprint in ("before", "after"):
        ledger.add_fingerprint(Subject(FULL.id, INT8), fingerprint)
    ledger.add_fingerprint(Subject(cut(3).id, INT8), "another's")
    assert ledger.fingerprint(Subject(FULL.id, INT8)) == "after"
    assert ledger.fingerprint(Subject(FULL.id, EAGER_FP32)) is None


def test_runs_share_a_database(server: str) -> None:
    names = [uuid.uuid4().hex for _ in range(2)]
    ledgers = [Ledger.open(server, run=name) for name in names]
    ledgers[0].add_network(FULL)
    ledgers[0].add_evaluation(FULL.id, evaluation(), deployment=EAGER_FP32)
    finished(ledgers[0], begun(ledgers[0], cut(3)))
    other = ledgers[1]
    assert other.networks() == {}
    assert other.evaluations(split="search", deployment=EAGER_FP32) == {}
    assert other.sessions(purpose="profile") == []
    for ledger in ledgers:
        ledger.close()


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("nonsense", "cannot be used"),
        ("imagined://here/there", "cannot be used"),
        ("postgresql+psycopg://tests@/postgres?host=/nowhere", "cannot be used"),
    ],
)
def test_a_database_that_cannot_be_reached(url: str, sentence: str) -> None:
    if url.startswith("postgresql"):
        pytest.importorskip("psycopg", reason="the extra postgresql is not installed")
    with pytest.raises(InputError, match=sentence):
        Ledger.open(url, run="a")


def test_a_password_is_not_shown() -> None:
    pytest.importorskip("psycopg", reason="the extra postgresql is not installed")
    with pytest.raises(InputError) as caught:
        Ledger.open("postgresql+psycopg://me:secret@/postgres?host=/nowhere", run="a")
    assert "secret" not in str(caught.value)


def test_a_url_that_cannot_be_read_shows_no_password() -> None:
    with pytest.raises(InputError, match="cannot be used") as caught:
        Ledger.open("imagined://me:secret@here/there", run="a")
    assert "secret" not in str(caught.value)


def test_several_open_a_new_database_at_once(server: str) -> None:
    import psycopg

    name = f"ledger{uuid.uuid4().hex}"
    folder = server.partition("host=")[2]
    with psycopg.connect(
        host=folder, user="tests", dbname="postgres", autocommit=True
    ) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    url = server.replace("/postgres?", f"/{name}?")
    runs = ["a", "b", "a", "c", "d", "e"]
    with ThreadPoolExecutor(len(runs)) as pool:
        ledgers = list(pool.map(lambda run: Ledger.open(url, run=run), runs))
    for ledger in ledgers:
        ledger.add_network(FULL)
        assert ledger.networks() == {FULL.id: FULL}
        ledger.close()


def test_several_make_a_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "run" / "ledger.db"
    with ThreadPoolExecutor(6) as pool:
        ledgers = list(pool.map(lambda _: Ledger.open(path, run="a"), range(6)))
    for ledger, neurons in zip(ledgers, range(1, 7), strict=True):
        ledger.add_network(cut(neurons))
    assert list(ledgers[0].networks().values()) == [cut(neurons) for neurons in range(1, 7)]
    for ledger in ledgers:
        ledger.close()
    assert [entry.name for entry in path.parent.iterdir()] == ["ledger.db"]
