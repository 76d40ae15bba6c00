"""The W-coefficient, the blocks, and what the algorithm returns."""

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretobert.bort.architecture import multiply_adds, parameters
from paretobert.bort.published import ROBERTA_TABLES
from paretobert.bort.space import published_space
from paretobert.errors import InputError
from paretobert.search.ose import (
    Coefficient,
    Extraction,
    Point,
    Size,
    blocks_of,
    coefficient,
    extract,
    maximum_point,
)

T = Size(100.0, 1000.0)

sizes = st.builds(Size, st.integers(1, 60).map(float), st.integers(1, 60).map(float))
sets = st.lists(sizes, min_size=2, max_size=25).map(
    lambda found: [Point(str(place), size) for place, size in enumerate(found)]
)
epsilons = st.floats(1e-6, 1.0)


def one(name: str, params: float, inference: float) -> Point:
    return Point(name, Size(params, inference))


def names(blocks: list[list[list[Point]]]) -> list[list[str]]:
    return [[point.name for alike in block for point in alike] for block in blocks]


def searched(
    points: list[Point], error: Callable[[Point, float], float], epsilon: float = 0.1
) -> Extraction[float]:
    return extract(points, epsilon=epsilon, thetas=(0.1,), error=error)


def saves_something(points: list[Point]) -> bool:
    return any(coefficient(point, maximum_point(points)).saved for point in points)


def test_a_hand_computed_coefficient() -> None:
    """A quarter of the parameters and a half of the time are left: 3/4 * 1/2 / 0.25."""
    found = coefficient(one("x", 25, 500), T, error=0.25)
    assert (found.smaller, found.faster, found.error) == (0.75, 0.5, 0.25)
    assert found.value == 1.5


def test_the_maximum_point_is_worth_nothing() -> None:
    assert coefficient(Point("T", T), T, error=0.1).value == 0
    assert coefficient(one("as large", 100, 1), T, error=0.1).value == 0
    assert coefficient(one("as slow", 1, 1000), T, error=0.1).value == 0


def test_the_maximum_point_may_be_no_candidate() -> None:
    assert maximum_point([one("a", 100, 1), one("b", 1, 1000)]) == T


@pytest.mark.parametrize("size", [Size(101, 1), Size(1, 1001), Size(101, 1001)])
def test_a_candidate_beyond_the_maximum_point_is_refused(size: Size) -> None:
    with pytest.raises(ValueError, match="is beyond the maximum point"):
        coefficient(Point("x", size), T, error=0.1)


@pytest.mark.parametrize("error", [-0.1, math.nan])
def test_an_error_below_nothing_is_refused(error: float) -> None:
    with pytest.raises(ValueError, match="must be at least 0"):
        coefficient(one("x", 1, 1), T, error=error)


@pytest.mark.parametrize("value", [0, -1, math.inf, math.nan])
def test_a_size_is_positive_and_finite(value: float) -> None:
    with pytest.raises(ValueError, match="positive and finite"):
        Size(value, 1)
    with pytest.raises(ValueError, match="positive and finite"):
        Size(1, value)


@given(st.floats(1, 99), st.floats(1, 999), st.floats(0.01, 10), st.floats(0.01, 0.9))
def test_the_coefficient_falls_in_each_term(
    params: float, inference: float, error: float, share: float
) -> None:
    here = coefficient(one("x", params, inference), T, error=error).value
    smaller = coefficient(one("x", params * share, inference), T, error=error).value
    faster = coefficient(one("x", params, inference * share), T, error=error).value
    better = coefficient(one("x", params, inference), T, error=error * share).value
    assert min(smaller, faster, better) > here > 0


def test_the_coefficient_has_no_unit_of_size() -> None:
    """Parameters in millions and time in seconds give the same terms."""
    counted = coefficient(one("x", 30e6, 250e9), Size(120e6, 1e12), error=0.5)
    scaled = coefficient(one("x", 30, 0.25), Size(120, 1.0), error=0.5)
    assert counted.value == pytest.approx(scaled.value)


def test_a_diverged_training_is_worth_nothing_and_no_error_everything() -> None:
    assert coefficient(one("x", 1, 1), T, error=math.inf).value == 0
    assert coefficient(one("x", 1, 1), T, error=0.0).value == math.inf
    assert coefficient(Point("T", T), T, error=0.0).value == 0


@given(sets, epsilons)
def test_blocks_cover_the_set_once_in_order(points: list[Point], epsilon: float) -> None:
    blocks = blocks_of(points, epsilon)
    flat = [point for block in blocks for alike in block for point in alike]
    assert sorted(point.name for point in flat) == sorted(point.name for point in points)
    order = [(point.size.params, point.size.inference) for point in flat]
    assert order == sorted(order)


@given(sets, epsilons)
def test_what_a_block_saves_differs_by_no_more_than_promised(
    points: list[Point], epsilon: float
) -> None:
    maximum = maximum_point(points)
    for block in blocks_of(points, epsilon):
        saved = [coefficient(alike[0], maximum).saved for alike in block]
        assert min(saved) >= (1 - epsilon) * max(saved)


@given(sets)
def test_blocks_of_nothing_are_single_sizes(points: list[Point]) -> None:
    """As epsilon goes to 0, of sizes that save different amounts."""
    maximum = maximum_point(points)
    for block in blocks_of(points, 1e-9):
        assert len({round(coefficient(alike[0], maximum).saved, 9) for alike in block}) == 1


def test_equal_sizes_stand_for_their_block_together() -> None:
    points = [one("a", 1, 1), one("b", 50, 50), one("c", 50, 50), one("T", 100, 100)]
    assert names(blocks_of(points, 1.0)) == [["a", "b", "c"], ["T"]]
    tried = []

    def error(point: Point, theta: float) -> float:
        tried.append(point.name)
        return 0.5 if point.name == "c" else 1.0

    found = searched(points, error, epsilon=1.0)
    assert tried == ["b", "c"]
    assert [entry.point.name for entry in found.ranking] == ["c", "b", "T"]


@given(sets, epsilons, st.integers(0, 100))
def test_the_promise_holds_where_larger_is_no_worse(
    points: list[Point], epsilon: float, seed: int
) -> None:
    """Errors that never rise in the order of the sizes, of equal sizes at random."""
    if not saves_something(points):
        return
    generator = random.Random(seed)
    ordered = sorted(points, key=lambda point: (point.size.params, point.size.inference))
    falling = sorted((generator.uniform(0.1, 5) for _ in ordered), reverse=True)
    errors = dict(zip((point.name for point in ordered), falling, strict=True))
    maximum = maximum_point(points)
    best = max(coefficient(point, maximum, error=errors[point.name]).value for point in points)
    found = searched(points, lambda point, theta: errors[point.name], epsilon)
    assert found.winner.value >= (1 - epsilon) * best * (1 - 1e-12)


def test_the_promise_can_fail_where_a_larger_candidate_is_worse() -> None:
    points = [one("small", 10, 10), one("large", 11, 11), one("T", 100, 100)]
    errors = {"small": 0.1, "large": 1.0}
    found = searched(points, lambda point, theta: errors[point.name])
    best = coefficient(points[0], maximum_point(points), error=0.1).value
    assert found.winner.point.name == "large"
    assert found.winner.value < (1 - 0.1) * best


def test_the_largest_candidates_are_not_trained() -> None:
    """W is 0 there whatever the error; training them would cost the most."""
    points = [one("a", 1, 1), one("T", 100, 100)]
    asked = []
    found = searched(points, lambda point, theta: asked.append(point.name) or 1.0)
    assert asked == ["a"]
    assert found.ranking[-1].error is None
    assert found.ranking[-1].value == 0


def test_equal_coefficients_go_to_the_smaller_candidate() -> None:
    """With epsilon so small that both are tried: 0.5 * 0.5 / 1 = 0.75 * 0.5 / 1.5."""
    points = [one("larger", 50, 50), one("smaller", 25, 50), one("T", 100, 100)]
    errors = {"larger": 1.0, "smaller": 1.5}
    found = searched(points, lambda point, theta: errors[point.name], 1e-9)
    assert [entry.point.name for entry in found.ranking] == ["smaller", "larger", "T"]
    assert found.ranking[0].value == found.ranking[1].value


def test_the_best_theta_of_each_candidate_counts() -> None:
    points = [one("a", 1, 1), one("b", 2, 50), one("T", 100, 100)]
    errors = {("a", 1): 3.0, ("a", 2): 2.0, ("b", 1): 4.0, ("b", 2): 5.0}
    found = extract(
        points, epsilon=0.1, thetas=(1, 2), error=lambda point, theta: errors[point.name, theta]
    )
    assert {entry.point.name: entry.theta for entry in found.ranking} == {
        "a": 2,
        "b": 1,
        "T": None,
    }


def test_the_ranking_depends_on_nothing_but_its_input() -> None:
    points = [one(f"{i}", 1 + i % 7, 1 + i % 5) for i in range(30)]
    shuffled = random.Random(0).sample(points, len(points))

    def error(point: Point, theta: float) -> float:
        return 1 + random.Random(f"{point.name}/{theta}").random()

    first, again, other = (searched(given, error) for given in (points, points, shuffled))
    assert first == again
    assert {entry.to_dict()["name"]: entry.value for entry in first.ranking} == {
        entry.point.name: entry.value for entry in other.ranking
    }


@pytest.mark.parametrize("epsilon", [0, -0.1, 1.01, math.nan, math.inf])
def test_an_epsilon_that_promises_nothing(epsilon: float) -> None:
    with pytest.raises(InputError, match="epsilon must be above 0 and at most 1"):
        blocks_of([one("a", 1, 1), one("T", 2, 2)], epsilon)


def test_sets_that_have_no_best() -> None:
    def error(point: Point, theta: float) -> float:
        raise AssertionError(point.name)

    with pytest.raises(InputError, match="The candidate set is empty"):
        searched([], error)
    with pytest.raises(InputError, match="W is 0 for all of them"):
        searched([one("a", 1, 1)], error)
    with pytest.raises(InputError, match="W is 0 for all of them"):
        searched([one("a", 1, 2), one("b", 2, 1), one("c", 2, 2)][1:], error)
    with pytest.raises(InputError, match="have the same name"):
        searched([one("a", 1, 1), one("a", 2, 2)], error)


def test_a_record_holds_the_terms() -> None:
    record = Coefficient(one("x", 25, 500), 0.1, 0.75, 0.5, 0.25).to_dict()
    assert record == {
        **{"name": "x", "params": 25, "inference": 500, "theta": 0.1},
        **{"smaller": 0.75, "faster": 0.5, "error": 0.25, "w": 1.5},
    }
    assert Coefficient(one("x", 1, 1), 0.1, 0.9, 0.9, math.inf).to_dict()["error"] is None


def test_bort_is_among_what_is_tried_in_the_published_set_as_epsilon_goes_to_0() -> None:
    points = [
        one(c.key, parameters(c, ROBERTA_TABLES), multiply_adds(c, seq_len=512))
        for c in published_space()
    ]
    assert maximum_point(points) == max(
        (point.size for point in points), key=lambda size: size.params
    )
    tried = {point.name for block in blocks_of(points, 1e-12) for point in block[-1]}
    assert tried == {point.name for point in points}
    coarse = {point.name for block in blocks_of(points, 0.2) for point in block[-1]}
    assert len(coarse) < len(tried) / 2
