import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from paretobert.intervals import Interval
from paretobert.profiling.environment import Environment
from paretobert.profiling.protocol import LatencyProtocol
from paretobert.profiling.statistics import (
    LEVEL,
    NoiseReport,
    Process,
    Round,
    Session,
    Visit,
    estimate,
    paired_ratio,
    product,
    student_quantile,
    tail_quantile,
)

ENVIRONMENT = Environment.capture()


def steady_round(index: int, **times_s: float) -> Round:
    """Five equal runs of every network, the sentinel three times."""
    others = [name for name in times_s if name != "full"]
    order = ["full", *others[:1], "full", *others[1:], "full"]
    return Round(index, tuple(Visit(name, (times_s[name],) * 5) for name in order))


def session(rounds: list[Round], *, per_process: int = 1, **protocol: float) -> Session:
    processes = [
        Process(number, tuple(rounds[start : start + per_process]), 0.1 * number)
        for number, start in enumerate(range(0, len(rounds), per_process))
    ]
    return Session(
        "full",
        dict.fromkeys(sorted(processes[0].networks), 0.05),
        tuple(processes),
        LatencyProtocol(**protocol),
        ENVIRONMENT,
        "session",
    )


def test_visit_statistics() -> None:
    visit = Visit("a", (1.0, 2.0, 3.0, 4.0, 5.0))
    assert visit.median_s == 3.0
    assert visit.spread == pytest.approx(2 / 3)
    assert Visit("a", (2.0,) * 5).spread == 0


@pytest.mark.parametrize("times_s", [(), (1.0, 0.0), (1.0, -1.0), (float("nan"),)])
def test_visit_refuses_impossible_times(times_s: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="positive times"):
        Visit("a", times_s)


def test_one_outlying_run_changes_nothing() -> None:
    assert Visit("a", (1.0, 1.0, 1.0, 1.0, 50.0)).median_s == 1.0


def test_round_medians_and_drift() -> None:
    visits = (Visit("full", (1.0,)), Visit("a", (0.5,)), Visit("full", (1.1,)))
    entry = Round(0, (*visits, Visit("full", (1.02,))))
    assert entry.median_s("full") == 1.02
    assert entry.median_s("a") == 0.5
    assert entry.drift("full") == pytest.approx(0.1)


def test_a_slow_round_cancels_in_the_ratio() -> None:
    slowness = [1, 1, 1, 3, 1, 1, 2]
    rounds = [steady_round(i, full=0.1 * s, a=0.05 * s) for i, s in enumerate(slowness)]
    measured = session(rounds)["a"]
    assert measured.ratio == Interval(0.5, 0.5, 0.5, 7, "processes")
    assert measured.time_s.low < 0.05 < measured.time_s.high
    assert measured.resolved


def test_drifting_machine_keeps_the_ratio() -> None:
    rounds = [steady_round(i, full=0.1 + 0.02 * i, a=0.07 + 0.014 * i) for i in range(7)]
    assert session(rounds)["a"].ratio.half_width == pytest.approx(0, abs=1e-12)


def test_one_slow_round_of_a_process_changes_nothing() -> None:
    rounds = [steady_round(i, full=0.1, a=0.2 if i % 3 == 1 else 0.05) for i in range(15)]
    assert session(rounds, per_process=3)["a"].ratio == Interval(0.5, 0.5, 0.5, 5, "processes")


def test_too_few_processes_are_a_range() -> None:
    rounds = [steady_round(i, full=0.1, a=0.05) for i in range(4)]
    few = session(rounds)["a"]
    assert not few.resolved
    assert few.ratio.is_range
    assert few.ratio.meaning == "range of 4 processes"
    assert not session([*rounds, rounds[0]], min_processes=6)["a"].resolved
    enough = session([*rounds, rounds[0]])["a"]
    assert enough.resolved
    assert enough.ratio.meaning == "95 % interval over 5 processes"


def test_a_range_proves_no_difference() -> None:
    assert Interval(0.5, 0.49, 0.51, 4, "processes").holds(1) is None
    assert Interval(0.5, 0.49, 0.51, 5, "processes").holds(1) is False


def test_ties_and_differences() -> None:
    noise = [0.99, 1.0, 1.01, 1.0, 0.98, 1.02, 1.0]
    rounds = [
        steady_round(i, full=0.1, a=0.05 * n, b=0.05 / n, c=0.06) for i, n in enumerate(noise)
    ]
    measured = session(rounds)
    assert measured["a"].ratio_to(measured["b"]).holds(1)
    assert measured["a"].ratio_to(measured["c"]).holds(1) is False
    assert measured["a"].ratio_to(measured["c"]).high < 1


def test_tail_quantiles_need_enough_runs() -> None:
    times_s = [0.01 * (1 + i % 10) for i in range(459)]
    assert tail_quantile(times_s[:43], 0.90) is None
    assert tail_quantile(times_s[:44], 0.90) == pytest.approx(0.09)
    assert tail_quantile(times_s[:458], 0.99) is None
    assert tail_quantile(times_s, 0.99) == pytest.approx(0.1)


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=12), st.floats(0.1, 10))
def test_estimates_scale_and_enclose(values: list[float], factor: float) -> None:
    plain, scaled = estimate(values), estimate(np.multiply(values, factor))
    assert plain.low <= plain.value <= plain.high
    assert min(values) * 0.999999 <= plain.value <= max(values) * 1.000001
    assert scaled.value == pytest.approx(plain.value * factor)
    assert scaled.high == pytest.approx(plain.high * factor)


def test_the_interval_is_students_on_the_logarithm() -> None:
    from scipy import stats

    values = np.array([0.51, 0.49, 0.5, 0.53, 0.5, 0.48])
    found = estimate(values)
    low, high = stats.t.interval(
        LEVEL, 5, loc=np.log(values).mean(), scale=stats.sem(np.log(values))
    )
    assert (found.low, found.high) == pytest.approx((np.exp(low), np.exp(high)))


@given(st.lists(st.floats(0.5, 2), min_size=5, max_size=9))
def test_a_ratio_and_its_inverse_agree(ours: list[float]) -> None:
    theirs = [1.0] * len(ours)
    ratio, inverse = paired_ratio(ours, theirs), paired_ratio(theirs, ours)
    assert ratio.value == pytest.approx(1 / inverse.value)
    assert ratio.low == pytest.approx(1 / inverse.high)


@given(
    st.floats(0.1, 2), st.floats(1, 1.2), st.floats(1, 50), st.floats(1, 1.2), st.floats(1, 1.2)
)
def test_a_product_is_wider_than_either_factor(
    ratio: float, wide: float, time_ms: float, below: float, above: float
) -> None:
    one = Interval(ratio, ratio / wide, ratio * wide, 5, "processes")
    other = Interval(time_ms, time_ms / below, time_ms * above, 5, "processes")
    both = product(one, other)
    assert both.value == pytest.approx(ratio * time_ms)
    assert both.high / both.value >= max(wide, above) * 0.999999
    assert both.value / both.low >= max(wide, below) * 0.999999
    exact = product(Interval(1.0, 1.0, 1.0, 5, "processes"), other)
    assert (exact.low, exact.high) == pytest.approx((other.low, other.high))


def test_processes_must_pair() -> None:
    with pytest.raises(ValueError, match="paired processes differ in number: 2 and 3"):
        paired_ratio([1.0, 1.0], [1.0, 1.0, 1.0])


def test_a_process_has_rounds_of_the_same_networks() -> None:
    one, other = steady_round(0, full=1.0, a=0.5), steady_round(1, full=1.0, b=0.5)
    with pytest.raises(ValueError, match="rounds that all visit the same networks"):
        Process(0, (one, other))
    with pytest.raises(ValueError, match="process 3 needs rounds"):
        Process(3, ())
    process = Process(1, (one,), 0.25, {"full": 2.0})
    assert Process.from_dict(process.to_dict()) == process


def test_noise_is_counted() -> None:
    noisy = Visit("a", (1.0, 1.0, 2.0, 3.0, 3.0))
    drifted = Round(
        0,
        (Visit("full", (1.0,)), noisy, Visit("full", (1.2,)), Visit("full", (1.0,))),
        discarded=(noisy, noisy),
        num_redos=2,
    )
    report = session([drifted, steady_round(1, full=1.0, a=0.5)]).noise
    assert report == NoiseReport(
        num_processes=2,
        num_rounds=2,
        num_visits=8,
        num_discarded_visits=2,
        num_noisy_visits=1,
        num_redos=2,
        num_drifted_rounds=1,
        foreign_share=pytest.approx(0.05),
    )
    assert NoiseReport.from_dict(report.to_dict()) == report
    assert Round.from_dict(drifted.to_dict()) == drifted


@pytest.mark.parametrize("freedom", range(4, 20))
def test_quantiles_at_hand_are_those_of_scipy(freedom: int) -> None:
    expected = stats.t.ppf((1 + LEVEL) / 2, freedom)
    assert student_quantile(freedom) == pytest.approx(expected, rel=1e-12)
