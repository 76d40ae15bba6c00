from collections.abc import Callable
from pathlib import Path

import pytest

from paretobert.profiling import profiler
from paretobert.profiling.footprint import Footprint
from paretobert.profiling.fresh import FreshProcesses, Written
from paretobert.profiling.measuring import MeasuringProgress
from paretobert.profiling.profiler import Writer, measure_deployed
from paretobert.profiling.protocol import LatencyProtocol
from paretobert.profiling.statistics import Process, Session

from .fake import FakeProcesses, FakeTime

PROTOCOL = LatencyProtocol(seq_len=16)
SIZES = {"full": 4000, "half": 2000, "quarter": 1000}


@pytest.fixture(autouse=True)
def no_footprints(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    weighed: list[str] = []

    def weigh(name: str, folder: Path, protocol: LatencyProtocol) -> Footprint:
        weighed.append(name)
        return Footprint(name, int((folder / "size").read_text()), 11)

    monkeypatch.setattr(profiler, "measure_footprint", weigh)
    return weighed


def writer(size: int) -> Writer:
    def write(folder: Path) -> None:
        folder.mkdir()
        (folder / "size").write_text(str(size))

    return write


WRITERS = {name: writer(size) for name, size in SIZES.items()}


def in_fake_time(fresh: FreshProcesses) -> FakeProcesses:
    """In place of fresh processes: each run takes a microsecond per unit of its network's size."""
    fake = FakeTime()

    def run(subject: object) -> Callable[[], None]:
        assert isinstance(subject, Written)
        return fake.network(1e-6 * int((subject.folder / "size").read_text()))

    return FakeProcesses(
        fake,
        lambda index: {name: run(subject) for name, subject in fresh.subjects.items()},
        fresh.protocol,
        sentinel=fresh.sentinel,
    )


def test_networks_are_written_weighed_and_timed_together(no_footprints: list[str]) -> None:
    seen: list[MeasuringProgress] = []
    deployed: list[tuple[int, int]] = []
    found = measure_deployed(
        WRITERS,
        PROTOCOL,
        sentinel="full",
        session="mine",
        footprints={},
        deploying=lambda *now: deployed.append(now),
        progress=seen.append,
        starter=in_fake_time,
    )
    for name, size in SIZES.items():
        assert found.session[name].ratio.value == pytest.approx(size / SIZES["full"])
        assert found.footprints[name] == Footprint(name, size, 11)
    assert found.session.name == "mine"
    assert not found.spent
    assert deployed == [(1, 3), (2, 3), (3, 3)]
    assert seen[-1].num_visits == seen[-1].visits_per_process == 15
    assert no_footprints == list(SIZES)


def test_what_is_known_is_not_found_out_again(no_footprints: list[str]) -> None:
    known = {"half": Footprint("half", 1, 2)}
    found = measure_deployed(
        WRITERS, PROTOCOL, sentinel="full", session="s", footprints=known, starter=in_fake_time
    )
    assert no_footprints == ["full", "quarter"]
    assert found.footprints["half"] == known["half"]
    unweighed = measure_deployed(
        WRITERS, PROTOCOL, sentinel="full", session="s", starter=in_fake_time
    )
    assert unweighed.footprints == {}


def test_a_broken_session_goes_on() -> None:
    kept: list[Process] = []

    def break_off(progress: MeasuringProgress) -> None:
        if progress.num_processes == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure_deployed(
            WRITERS,
            PROTOCOL,
            sentinel="full",
            session="s",
            on_process=kept.append,
            progress=break_off,
            starter=in_fake_time,
        )
    assert [process.index for process in kept] == [0, 1]
    seen: list[MeasuringProgress] = []
    found = measure_deployed(
        WRITERS,
        PROTOCOL,
        sentinel="full",
        session="s",
        finished=kept,
        progress=seen.append,
        starter=in_fake_time,
    )
    assert {progress.num_processes for progress in seen} == {2, 3, 4}
    assert found.session.processes[:2] == tuple(kept)


def test_what_is_undecided_is_measured_to_the_end_and_judged_once() -> None:
    looks: list[int] = []

    def undecided(session: Session) -> bool:
        looks.append(len(session.processes))
        return True

    found = measure_deployed(
        WRITERS,
        PROTOCOL,
        sentinel="full",
        session="s",
        undecided=undecided,
        starter=in_fake_time,
    )
    assert looks == [5]
    assert found.spent
    assert len(found.session.processes) == 12
