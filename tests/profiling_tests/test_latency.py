import gc
import os

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from paretobert.profiling.latency import Run, measure_rounds
from paretobert.profiling.protocol import LatencyProtocol
from paretobert.profiling.statistics import Round

from .fake import FakeTime

PROTOCOL = LatencyProtocol(seq_len=8, warmup_min_s=0.5)


def rounds(
    fake: FakeTime, networks: dict[str, Run], protocol: LatencyProtocol = PROTOCOL
) -> tuple[Round, ...]:
    return measure_rounds(networks, protocol, sentinel="full", process=0, clock=fake.clock())


def test_exact_times_are_measured_exactly() -> None:
    fake = FakeTime()
    found = rounds(fake, {"full": fake.network(0.040), "half": fake.network(0.020)})
    assert len(found) == 3
    assert [entry.median_s("half") for entry in found] == pytest.approx([0.020] * 3)
    assert [entry.median_s("full") for entry in found] == pytest.approx([0.040] * 3)
    assert not any(entry.discarded for entry in found)


def test_every_round_is_complete_and_shuffled_around_the_sentinel() -> None:
    names = [f"n{i}" for i in range(6)]

    def orders(process: int) -> list[list[str]]:
        fake = FakeTime()
        networks = {name: fake.network(0.03) for name in ["full", *names]}
        found = measure_rounds(
            networks, PROTOCOL, sentinel="full", process=process, clock=fake.clock()
        )
        return [[visit.network for visit in entry.visits] for entry in found]

    first = orders(0)
    for order in first:
        assert [i for i, name in enumerate(order) if name == "full"] == [0, 4, 8]
        assert sorted(set(order) - {"full"}) == names
    assert len({tuple(order) for order in (*first, *orders(1))}) == 6
    assert orders(0) == first


@given(time_s=st.floats(0.0005, 3))
@settings(max_examples=25, deadline=None)
def test_a_visit_is_long_enough_and_no_longer(time_s: float) -> None:
    fake = FakeTime()
    for visit in rounds(fake, {"full": fake.network(time_s)})[0].visits:
        assert len(visit.times_s) >= 5
        assert sum(visit.times_s) >= 0.1
        assert len(visit.times_s) == 5 or sum(visit.times_s) < 0.1 + 2 * time_s


def test_a_slow_start_of_a_visit_does_not_shorten_it() -> None:
    fake = FakeTime()
    protocol = LatencyProtocol(warmup_min_s=0.001, warmup_max_runs=10)
    network = fake.network(*[0.01] * 10, *[1.0] * 3, then_s=0.01)
    assert len(rounds(fake, {"full": network}, protocol)[0].visits[0].times_s) >= 10


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
    found = measure_rounds(
        {"full": fake.network(*first_s, then_s=then_s)},
        PROTOCOL,
        sentinel="full",
        process=0,
        on_visit=lambda done, of: visit_ends_s.append(fake.ns / 1e9),
        clock=fake.clock(),
    )
    visit_s = 3 * then_s + sum(found[0].visits[0].times_s)
    warm_up_s = (first_s + [then_s] * num_runs)[:num_runs]
    assert visit_ends_s[0] == pytest.approx(sum(warm_up_s) + visit_s)


def test_a_noisy_visit_is_repeated_once_and_counted() -> None:
    fake = FakeTime()
    noisy = [0.03, 0.03, 0.03, 0.03, 0.05, 0.03, 0.03, 0.05]
    network = fake.network(*[0.03] * 20, *noisy, then_s=0.03)
    found = rounds(fake, {"full": fake.network(0.03), "a": network})
    assert [len(entry.discarded) for entry in found] == [1, 0, 0]
    assert found[0].discarded[0].network == "a"
    assert found[0].median_s("a") == pytest.approx(0.03)


def test_an_invalid_visit_is_repeated_at_the_end_of_the_round() -> None:
    fake = FakeTime()
    invalid = [0.03, 0.03, 0.03, 0.02, 0.02, 0.03, 0.06, 0.06]
    network = fake.network(*[0.03] * 20, *invalid, *invalid, then_s=0.03)
    first = rounds(fake, {"full": fake.network(0.03), "a": network})[0]
    assert len(first.discarded) == 2
    assert all(visit.spread <= PROTOCOL.invalid_spread for visit in first.visits)


def test_a_visit_that_stays_invalid_counts() -> None:
    fake = FakeTime()
    networks = {"full": fake.network(0.03), "a": fake.network(*[0.02, 0.04] * 5000)}
    for entry in rounds(fake, networks):
        assert len(entry.discarded) == 2
        assert entry.visits_of("a")[0].spread > PROTOCOL.invalid_spread


def test_a_drifting_round_is_measured_again() -> None:
    fake = FakeTime()
    warm_up, first_visit = [0.1] * 10, [0.1] * 8
    network = fake.network(*warm_up, *first_visit, *[0.12] * 8, then_s=0.1)
    found = rounds(fake, {"full": network})
    assert [entry.num_redos for entry in found] == [1, 0, 0]
    assert len(found[0].discarded) == 3
    assert found[0].drift("full") == 0


def test_a_machine_that_always_drifts_ends() -> None:
    fake = FakeTime()
    found = rounds(fake, {"full": fake.network(*[0.1 * 1.01**i for i in range(2000)])})
    assert [entry.num_redos for entry in found] == [PROTOCOL.max_redos] * 3
    assert all(entry.drift("full") > PROTOCOL.drift_tolerance for entry in found)


def test_a_drifting_round_is_kept_when_time_is_up() -> None:
    fake = FakeTime()
    protocol = LatencyProtocol(seq_len=8, time_budget_s=1)
    found = rounds(fake, {"full": fake.network(*[0.1 * 1.01**i for i in range(2000)])}, protocol)
    assert [entry.num_redos for entry in found] == [0] * 3


def test_globals_are_set_and_restored() -> None:
    threads, cores = torch.get_num_threads(), cores_allowed()
    seen: list[tuple[int, bool, bool]] = []
    fake = FakeTime()

    def spy() -> None:
        seen.append((torch.get_num_threads(), gc.isenabled(), torch.is_inference_mode_enabled()))
        fake.ns += 30_000_000

    protocol = LatencyProtocol(seq_len=8, threads=threads + 1, warmup_min_s=0.5)
    rounds(fake, {"full": spy, "a": spy}, protocol)
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

    rounds(fake, {"full": spy})
    assert all(allowed == {max(cores)} for allowed in seen)
    assert cores_allowed() == cores


def test_globals_are_restored_after_an_error() -> None:
    threads = torch.get_num_threads()

    def broken() -> None:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        rounds(FakeTime(), {"full": broken}, LatencyProtocol(threads=threads + 1))
    assert torch.get_num_threads() == threads
    assert gc.isenabled()


def test_an_unknown_sentinel_is_refused() -> None:
    with pytest.raises(ValueError, match="the sentinel full is not among the networks"):
        rounds(FakeTime(), {"a": print})


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_events_measure() -> None:
    ones = torch.ones(256, 256, device="cuda")
    protocol = LatencyProtocol(device="cuda", seq_len=8)
    found = measure_rounds({"full": lambda: ones @ ones}, protocol, sentinel="full", process=0)
    assert found[0].median_s("full") > 0
