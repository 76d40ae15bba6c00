from collections.abc import Callable

import pytest

from paretobert.profiling.measuring import MeasuringProgress, measure
from paretobert.profiling.protocol import MOST_PROCESSES, LatencyProtocol
from paretobert.profiling.statistics import Process, Session

from .fake import FakeProcesses, FakeTime

PROTOCOL = LatencyProtocol(seq_len=8, time_budget_s=1000)
WOBBLE = (1, 1.06, 0.95, 1.02, 0.97, 1.03, 0.99, 1.01, 1, 1.02, 0.98, 1)


def processes(
    factor: Callable[[int], float] = lambda index: 1, protocol: LatencyProtocol = PROTOCOL
) -> FakeProcesses:
    """Networks "full" and "a", of which the second is slower by a factor in each process."""
    fake = FakeTime()
    return FakeProcesses(
        fake,
        lambda index: {"full": fake.network(0.03), "a": fake.network(0.02 * factor(index))},
        protocol,
    )


def measured(start: FakeProcesses, **options: object) -> Session:
    return measure(
        start,
        start.protocol,
        networks=("full", "a"),
        sentinel="full",
        name="session",
        now_s=start.fake.now_s,
        **options,  # type: ignore[arg-type]
    )


def test_a_quiet_machine_needs_the_fewest_processes() -> None:
    start = processes()
    session = measured(start)
    assert start.started == [0, 1, 2, 3, 4]
    assert session.resolved
    assert session["a"].ratio.value == pytest.approx(2 / 3)
    assert session["full"].ratio.value == 1
    assert session["full"].time_s.value == pytest.approx(0.03)
    assert session.noise.num_processes == 5
    assert session.noise.num_rounds == 15


def test_processes_that_differ_are_added_until_the_interval_is_narrow() -> None:
    def number(front: tuple[str, ...]) -> int:
        start = processes(lambda index: 1 + (WOBBLE[index] - 1) / 3)
        session = measured(start, front=front)
        return len(session.processes)

    assert number(front=("a",)) > number(front=()) == 5


def test_an_interval_that_stays_wide_ends_at_the_most_that_coverage_was_shown_for() -> None:
    start = processes(lambda index: 1 + 0.4 * (index % 2))
    session = measured(start)
    assert len(session.processes) == MOST_PROCESSES
    assert not session["a"].resolved
    assert session["full"].resolved


def test_the_time_budget_ends_measuring_and_leaves_a_range() -> None:
    start = processes(lambda index: WOBBLE[index], LatencyProtocol(time_budget_s=1))
    session = measured(start)
    assert len(session.processes) == 2
    found = session["a"].ratio
    assert not session["a"].resolved
    assert found.is_range
    assert found.meaning == "range of 2 processes"
    assert (found.low, found.high) == pytest.approx((2 / 3, 2 / 3 * 1.06))


def test_measuring_goes_on_until_it_is_enough() -> None:
    session = measured(processes(), enough=lambda so_far: len(so_far.processes) >= 7)
    assert len(session.processes) == 7


def test_an_interrupted_session_goes_on_where_it_was() -> None:
    kept: list[Process] = []

    def keep(entry: Process) -> None:
        kept.append(entry)
        if len(kept) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measured(processes(), on_process=keep)
    start = processes()
    session = measured(start, finished=kept)
    assert start.started == [3, 4]
    assert session.processes[:3] == tuple(kept)
    again = processes()
    assert measured(again, finished=session.processes).processes == session.processes
    assert again.started == []


def test_progress_tells_processes_and_visits() -> None:
    seen: list[MeasuringProgress] = []
    measured(processes(), progress=seen.append)
    assert [entry.num_processes for entry in seen[:: seen[0].visits_per_process]] == [
        0,
        1,
        2,
        3,
        4,
    ]
    assert seen[-1].num_visits == seen[-1].visits_per_process == 12
    assert seen[-1].elapsed_s > seen[0].elapsed_s


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="not among the networks: b, c"):
        measure(processes(), PROTOCOL, networks=("a",), sentinel="b", name="session", front=["c"])
