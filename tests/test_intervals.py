"""A value with its interval: what it concludes, and its one way to be printed."""

import doctest
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretobert import intervals
from paretobert.intervals import FEWEST_PROCESSES, Interval, Unit, bracketed

SCORE = Interval(0.8931, 0.8714, 0.9122, 1_821, "examples")
RATIO = Interval(0.5, 0.49, 0.52, FEWEST_PROCESSES, "processes")
RANGE = Interval(0.5, 0.49, 0.52, FEWEST_PROCESSES - 1, "processes")


def test_what_the_ends_are() -> None:
    assert SCORE.meaning == "95 % interval over 1,821 examples"
    assert RATIO.meaning == "95 % interval over 5 processes"
    assert RANGE.meaning == "range of 4 processes"
    assert Interval(1.0, 1.0, 1.0, 1, "processes").meaning == "range of 1 process"


def test_few_examples_are_an_interval_yet_few_processes_are_a_range() -> None:
    assert not Interval(0.5, 0.1, 0.9, 2, "examples").is_range
    assert not RATIO.is_range
    assert RANGE.is_range


def test_an_interval_decides_what_a_range_does_not() -> None:
    assert [RATIO.holds(number) for number in (0.48, 1)] == [False, False]
    assert all(map(RATIO.holds, (0.49, 0.5, 0.52)))
    assert {RANGE.holds(number) for number in (RANGE.value, 1)} == {None}


def test_one_way_to_print_it() -> None:
    assert SCORE.text(".4f") == "0.8931 [0.8714, 0.9122]"
    assert SCORE.scaled(100).text(".1f", unit=" points") == "89.3 points [87.1, 91.2]"
    assert SCORE.text(lambda share: f"{share:.0%}") == "89% [87%, 91%]"
    assert SCORE.ends(".3f") == "0.871 to 0.912"
    assert bracketed(2, 1.5, 3, show=".2f", unit=" ms") == "2.00 ms [1.50, 3.00]"


def test_documented_examples() -> None:
    assert doctest.testmod(intervals).failed == 0


def test_a_negative_factor_swaps_the_ends_and_leaves_no_negative_zero() -> None:
    loss = Interval(0.0, -0.25, 0.5, 10, "examples")
    assert loss.scaled(-1) == Interval(0.0, -0.5, 0.25, 10, "examples")
    assert loss.scaled(-1).text("+.2f") == "+0.00 [-0.50, +0.25]"


def test_a_speed_is_one_divided_by_a_time() -> None:
    speed = RATIO.dividing(1)
    assert (speed.value, speed.low, speed.high) == (2, 1 / 0.52, 1 / 0.49)
    assert (speed.n, speed.over) == (RATIO.n, RATIO.over)
    assert speed.dividing(1).half_width == pytest.approx(RATIO.half_width)


@given(
    st.tuples(*[st.floats(allow_nan=False)] * 3),
    st.integers(1),
    st.sampled_from(["examples", "processes"]),
)
def test_a_record_is_read_back(ends: tuple[float, float, float], n: int, over: Unit) -> None:
    interval = Interval(*ends, n, over)
    assert Interval.from_dict(json.loads(json.dumps(interval.to_dict()))) == interval


def test_a_record_says_what_it_is_over() -> None:
    assert RATIO.to_dict() == {"value": 0.5, "low": 0.49, "high": 0.52, "num_processes": 5}
    assert SCORE.to_dict()["num_examples"] == 1_821
    with pytest.raises(KeyError, match="num_processes"):
        Interval.from_dict(RATIO.numbers)
