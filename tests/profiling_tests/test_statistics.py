import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretobert.profiling.environment import Environment
from paretobert.profiling.protocol import LatencyProtocol
from paretobert.profiling.statistics import (
    Estimate,
    NoiseReport,
    Round,
    Session,
    Visit,
    estimate,
    paired_ratio,
    tail_quantile,
)

ENVIRONMENT = Environment.capture()


def steady_round(index: int, **times_s: float) -> Round:
    """Five equal runs of every network, the sentinel three times."""
    others = [name for name in times_s if name != "full"]
    order = ["full", *others[:1], "full", *others[1:], "full"]
    return Round(index, tuple(Visit(name, (times_s[name],) * 5) for name in order))


def session(rounds: list[Round], **protocol: float) -> Session:
    names = {visit.network for visit in rounds[0].visits}
    return Session(
        "full",
        dict.fromkeys(sorted(names), 0.05),
        tuple(rounds),
        LatencyProtocol(**protocol),
        ENVIRONMENT,
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
    assert measured.ratio == Estimate(0.5, 0.5, 0.5)
    assert measured.time_s.value == pytest.approx(0.05)
    assert measured.time_s.high > 0.05
    assert measured.resolved


def test_drifting_machine_keeps_the_ratio() -> None:
    rounds = [steady_round(i, full=0.1 + 0.02 * i, a=0.07 + 0.014 * i) for i in range(7)]
    assert session(rounds)["a"].ratio.half_width == pytest.approx(0, abs=1e-12)


def test_too_few_rounds_are_not_resolved() -> None:
    rounds = [steady_round(i, full=0.1, a=0.05) for i in range(6)]
    assert not session(rounds)["a"].resolved
    assert session(rounds, min_rounds=6)["a"].resolved


def test_ties_and_differences() -> None:
    noise = [0.99, 1.0, 1.01, 1.0, 0.98, 1.02, 1.0]
    rounds = [
        steady_round(i, full=0.1, a=0.05 * n, b=0.05 / n, c=0.06) for i, n in enumerate(noise)
    ]
    measured = session(rounds)
    assert measured["a"].ties_with(measured["b"])
    assert not measured["a"].ties_with(measured["c"])
    assert measured["a"].ratio_to(measured["c"]).high < 1


def test_tail_quantiles_need_enough_runs() -> None:
    times_s = [0.01 * (1 + i % 10) for i in range(459)]
    assert tail_quantile(times_s[:43], 0.90) is None
    assert tail_quantile(times_s[:44], 0.90) == pytest.approx(0.09)
    assert tail_quantile(times_s[:458], 0.99) is None
    assert tail_quantile(times_s, 0.99) == pytest.approx(0.1)


@given(st.lists(st.floats(0.01, 100), min_size=3, max_size=12), st.floats(0.1, 10))
def test_estimates_scale_and_enclose(values: list[float], factor: float) -> None:
    plain, scaled = estimate(values, seed=1), estimate(np.multiply(values, factor), seed=1)
    assert min(values) <= plain.low <= plain.value <= plain.high <= max(values)
    assert scaled.value == pytest.approx(plain.value * factor)
    assert scaled.high == pytest.approx(plain.high * factor)


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    generator = np.random.default_rng(5)
    covered = 0
    for seed in range(200):
        interval = estimate(generator.normal(1.0, 0.02, size=15), seed=seed)
        covered += interval.low <= 1.0 <= interval.high
    assert 0.88 <= covered / 200 <= 0.99


@given(st.lists(st.floats(0.5, 2), min_size=3, max_size=9))
def test_a_ratio_and_its_inverse_agree(ours: list[float]) -> None:
    theirs = [1.0] * len(ours)
    ratio, inverse = paired_ratio(ours, theirs, seed=3), paired_ratio(theirs, ours, seed=3)
    if len(ours) % 2:
        assert ratio.value == pytest.approx(1 / inverse.value)


def test_rounds_must_pair() -> None:
    with pytest.raises(ValueError, match="paired rounds differ in number: 2 and 3"):
        paired_ratio([1.0, 1.0], [1.0, 1.0, 1.0], seed=0)


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
        num_rounds=2,
        num_visits=8,
        num_discarded_visits=2,
        num_noisy_visits=1,
        num_redos=2,
        num_drifted_rounds=1,
    )
    assert NoiseReport.total([report, report]).num_visits == 16
    assert NoiseReport.from_dict(report.to_dict()) == report
    assert Round.from_dict(drifted.to_dict()) == drifted
