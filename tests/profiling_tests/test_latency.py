import gc
import os

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from paretobert.profiling.latency import Progress, measure
from paretobert.profiling.protocol import LatencyProtocol
from paretobert.profiling.statistics import Round

from .fake import FakeTime

PROTOCOL = LatencyProtocol(seq_len=8, time_budget_s=1000)


def test_exact_times_are_measured_exactly() -> None:
    fake = FakeTime()
    networks = {"full": fake.network(0.040), "half": fake.network(0.020)}
    session = measure(networks, PROTOCOL, sentinel="full", clock=fake.clock())
    assert len(session.rounds) == 7
    assert session.resolved
    half = session["half"]
    assert half.time_s.value == pytest.approx(0.020)
    assert half.ratio.value == pytest.approx(0.5)
    assert half.p90_s is None
    assert session["full"].ratio.value == 1
    assert session.noise.num_discarded_visits == 0


def test_every_round_is_complete_and_shuffled_around_the_sentinel() -> None:
    fake = FakeTime()
    names = [f"n{i}" for i in range(6)]
    networks = {name: fake.network(0.03) for name in ["full", *names]}
    rounds = measure(networks, PROTOCOL, sentinel="full", clock=fake.clock()).rounds
    orders = [[visit.network for visit in entry.visits] for entry in rounds]
    for order in orders:
        assert [i for i, name in enumerate(order) if name == "full"] == [0, 4, 8]
        assert sorted(set(order) - {"full"}) == names
    assert len({tuple(order) for order in orders}) > 1


@given(time_s=st.floats(0.0005, 3))
@settings(max_examples=25, deadline=None)
def test_a_visit_is_long_enough_and_no_longer(time_s: float) -> None:
    fake = FakeTime()
    session = measure(
        {"full": fake.network(time_s)}, PROTOCOL, sentinel="full", clock=fake.clock()
    )
    for visit in session.rounds[0].visits:
        assert len(visit.times_s) >= 5
        assert sum(visit.times_s) >= 0.1
        assert len(visit.times_s) == 5 or sum(visit.times_s) < 0.1 + 2 * time_s


def test_a_slow_start_of_a_visit_does_not_shorten_it() -> None:
    fake = FakeTime()
    protocol = LatencyProtocol(warmup_min_s=0.001, warmup_max_runs=10, min_rounds=1)
    network = fake.network(*[0.01] * 10, *[1.0] * 3, then_s=0.01)
    visit = (
        measure({"full": network}, protocol, sentinel="full", clock=fake.clock())
        .rounds[0]
        .visits[0]
    )
    assert len(visit.times_s) >= 10


@pytest.mark.parametrize(
    ("first_s", "then_s", "num_runs"),
    [
        ([], 0.2, 10),  # two groups agree, half a second is over
        ([], 0.0055, 95),  # steady from the start, half a second is over after 95 runs
        ([0.3] * 5 + [0.25] * 5 + [0.22] * 5, 0.2, 25),  # slow at first
        ([0.2 * 0.97**i for i in range(50)], 0.2, 50),  # never steady
        ([], 3.0, 5),  # runs so long that one group is enough
    ],
)
def test_warm_up_rule(first_s: list[float], then_s: float, num_runs: int) -> None:
    fake = FakeTime()
    visit_ends_s: list[float] = []

    def note(progress: Progress) -> None:
        visit_ends_s.append(progress.elapsed_s)

    session = measure(
        {"full": fake.network(*first_s, then_s=then_s)},
        LatencyProtocol(min_rounds=1),
        sentinel="full",
        clock=fake.clock(),
        progress=note,
    )
    visit_s = 3 * then_s + sum(session.rounds[0].visits[0].times_s)
    warm_up_s = (first_s + [then_s] * num_runs)[:num_runs]
    assert visit_ends_s[0] == pytest.approx(sum(warm_up_s) + visit_s)


def test_a_noisy_visit_is_repeated_once_and_counted() -> None:
    fake = FakeTime()
    noisy = [0.03, 0.03, 0.03, 0.03, 0.05, 0.03, 0.03, 0.05]
    network = fake.network(*[0.03] * 20, *noisy, then_s=0.03)
    session = measure(
        {"full": fake.network(0.03), "a": network}, PROTOCOL, sentinel="full", clock=fake.clock()
    )
    assert session.noise.num_discarded_visits == 1
    assert session.noise.num_noisy_visits == 0
    assert session.rounds[0].discarded[0].network == "a"
    assert session["a"].time_s.high == pytest.approx(0.03)


def test_an_invalid_visit_is_repeated_at_the_end_of_the_round() -> None:
    fake = FakeTime()
    invalid = [0.03, 0.03, 0.03, 0.02, 0.02, 0.03, 0.06, 0.06]
    network = fake.network(*[0.03] * 20, *invalid, *invalid, then_s=0.03)
    session = measure(
        {"full": fake.network(0.03), "a": network}, PROTOCOL, sentinel="full", clock=fake.clock()
    )
    assert session.noise.num_discarded_visits == 2
    assert session.noise.num_noisy_visits == 0


def test_a_visit_that_stays_invalid_counts_and_is_reported() -> None:
    fake = FakeTime()
    session = measure(
        {"full": fake.network(0.03), "a": fake.network(*[0.02, 0.04] * 5000)},
        LatencyProtocol(time_budget_s=1),
        sentinel="full",
        clock=fake.clock(),
    )
    assert session.noise.num_noisy_visits == len(session.rounds) == 3
    assert session.noise.num_discarded_visits == 6


def test_a_drifting_round_is_measured_again() -> None:
    fake = FakeTime()
    warm_up, first_visit = [0.1] * 10, [0.1] * 8
    network = fake.network(*warm_up, *first_visit, *[0.12] * 8, then_s=0.1)
    session = measure({"full": network}, PROTOCOL, sentinel="full", clock=fake.clock())
    assert session.noise.num_redos == 1
    assert session.noise.num_drifted_rounds == 0
    assert session.noise.num_discarded_visits == 3
    assert len(session.rounds) == 7


def test_a_machine_that_always_drifts_ends_and_says_so() -> None:
    fake = FakeTime()
    network = fake.network(*[0.1 * 1.01**i for i in range(2000)])
    session = measure(
        {"full": network}, LatencyProtocol(min_rounds=3), sentinel="full", clock=fake.clock()
    )
    assert len(session.rounds) == 3
    assert session.noise.num_drifted_rounds == 3
    assert session.noise.num_redos >= 1


def test_the_time_budget_ends_unresolved_measuring() -> None:
    fake = FakeTime()
    alternating = [0.03] * 20 + ([0.03] * 8 + [0.06] * 8) * 500
    networks = {"full": fake.network(0.03), "a": fake.network(*alternating)}
    protocol = LatencyProtocol(time_budget_s=20)
    session = measure(networks, protocol, sentinel="full", clock=fake.clock())
    assert not session["a"].resolved
    assert session["full"].resolved
    assert len(session.rounds) > 7
    assert fake.ns / 1e9 <= 20


def test_the_front_is_measured_to_a_narrower_interval() -> None:
    def rounds(front: tuple[str, ...]) -> int:
        fake = FakeTime()
        wobble = [0.03] * 20 + [0.03 * f for f in (1, 1.05, 0.96, 1.02) * 9 for _ in range(8)]
        networks = {"full": fake.network(0.03), "a": fake.network(*wobble)}
        session = measure(networks, PROTOCOL, sentinel="full", front=front, clock=fake.clock())
        assert session.resolved
        return len(session.rounds)

    assert rounds(front=("a",)) > rounds(front=()) >= 7


def test_an_interrupted_session_goes_on_where_it_was() -> None:
    fake = FakeTime()
    kept: list[Round] = []

    def keep(entry: Round) -> None:
        kept.append(entry)
        if len(kept) == 4:
            raise KeyboardInterrupt

    def networks() -> dict[str, object]:
        return {"full": fake.network(0.03), "a": fake.network(0.02)}

    with pytest.raises(KeyboardInterrupt):
        measure(networks(), PROTOCOL, sentinel="full", on_round=keep, clock=fake.clock())
    assert len(kept) == 4
    more: list[Round] = []
    session = measure(
        networks(),
        PROTOCOL,
        sentinel="full",
        finished=kept,
        on_round=more.append,
        clock=fake.clock(),
    )
    assert [entry.index for entry in more] == [4, 5, 6]
    assert session.rounds == (*kept, *more)
    before = fake.ns
    measure(networks(), PROTOCOL, sentinel="full", finished=session.rounds, clock=fake.clock())
    assert fake.ns == before


def test_globals_are_set_and_restored() -> None:
    threads, cores = torch.get_num_threads(), cores_allowed()
    seen: list[tuple[int, bool, bool]] = []
    fake = FakeTime()

    def spy() -> None:
        seen.append((torch.get_num_threads(), gc.isenabled(), torch.is_inference_mode_enabled()))
        fake.ns += 30_000_000

    protocol = LatencyProtocol(seq_len=8, threads=threads + 1, min_rounds=3)
    session = measure({"full": spy, "a": spy}, protocol, sentinel="full", clock=fake.clock())
    assert session["a"].ratio.value == pytest.approx(1)
    assert len(seen) == 2 * 20 + 4 * 3 * 8
    assert set(seen) == {(threads + 1, False, True)}
    assert torch.get_num_threads() == threads
    assert gc.isenabled()
    assert cores_allowed() == cores


def cores_allowed() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system cannot pin threads")
def test_one_thread_stays_on_one_core() -> None:
    fake, cores = FakeTime(), cores_allowed()
    seen: list[set[int]] = []

    def spy() -> None:
        seen.append(cores_allowed())
        fake.ns += 30_000_000

    measure({"full": spy}, PROTOCOL, sentinel="full", clock=fake.clock())
    assert all(allowed == {max(cores)} for allowed in seen)
    assert cores_allowed() == cores


def test_globals_are_restored_after_an_error() -> None:
    threads = torch.get_num_threads()

    def broken() -> None:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        measure({"full": broken}, LatencyProtocol(threads=threads + 1), sentinel="full")
    assert torch.get_num_threads() == threads
    assert gc.isenabled()


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="not among the networks: b, c"):
        measure({"a": print}, PROTOCOL, sentinel="b", front=["c"])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_events_measure() -> None:
    ones = torch.ones(256, 256, device="cuda")
    protocol = LatencyProtocol(device="cuda", seq_len=8, time_budget_s=1)
    session = measure({"full": lambda: ones @ ones}, protocol, sentinel="full")
    assert session["full"].time_s.value > 0
    assert session.environment.gpu
