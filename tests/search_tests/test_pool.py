from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paretobert.search.candidate import Candidate, StatedScore
from paretobert.search.pool import Column, Pool, cheapest_first, cost_columns
from paretobert.search.quantities import QUANTITIES

from .conftest import evaluation, latency, printed, stored


def same(found: Column, expected: Column) -> bool:
    return np.array_equal(found.values, expected.values, equal_nan=True) and np.array_equal(
        found.judged, expected.judged, equal_nan=True
    )


def test_columns_are_those_of_the_candidates(candidates: list[Candidate]) -> None:
    pool = Pool.of(candidates)
    assert list(pool) == candidates
    assert pool.keys == tuple(entry.key for entry in candidates)
    for quantity in QUANTITIES:
        column = pool.column(quantity)
        for place, entry in enumerate(candidates):
            known = entry.value(quantity)
            assert column.values[place] == known or (
                known is None and np.isnan(column.values[place])
            )
            judged = entry.judged.get(quantity)
            assert column.judged[place] == judged or (
                judged is None and np.isnan(column.judged[place])
            )


def test_published_numbers_are_left_out(candidates: list[Candidate]) -> None:
    stated = printed("stated", StatedScore("test", "search", "accuracy", 0.5))
    assert list(Pool.of([stated, *candidates])) == candidates


def test_some_of_a_pool_are_as_those_alone(candidates: list[Candidate]) -> None:
    places = np.array([4, 0, 2])
    some, alone = Pool.of(candidates).take(places), Pool.of([candidates[i] for i in places])
    assert list(some) == list(alone)
    assert some.keys == alone.keys
    assert np.array_equal(some.outcomes.predictions, alone.outcomes.predictions)
    for quantity in QUANTITIES:
        assert same(some.column(quantity), alone.column(quantity))


def test_what_is_replaced_has_its_new_costs(candidates: list[Candidate]) -> None:
    slower = [entry.timed(latency(99.0, full_ms=100.0)) for entry in candidates[1:3]]
    expected = [candidates[0], *slower, *candidates[3:]]
    found = Pool.of(candidates).replaced(slower)
    assert list(found) == expected
    assert np.array_equal(found.outcomes.predictions, Pool.of(candidates).outcomes.predictions)
    for quantity in QUANTITIES:
        assert same(found.column(quantity), Pool.of(expected).column(quantity))


def test_a_candidate_is_made_once_and_only_when_it_is_named(candidates: list[Candidate]) -> None:
    made: list[int] = []

    def make(place: int) -> Candidate:
        made.append(place)
        return candidates[place]

    whole = Pool.of(candidates)
    pool = Pool(whole.keys, make=make, columns=whole.column, outcomes=lambda: whole.outcomes)
    assert same(pool.column("score"), whole.column("score"))
    assert not made
    assert pool[3] is pool[3]
    assert made == [3]
    assert list(pool) == candidates
    assert sorted(made) == list(range(len(candidates)))


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), min_size=1, max_size=12))
@settings(deadline=None)
def test_the_cheapest_comes_first_and_equal_ones_by_key(costs: list[tuple[int, int]]) -> None:
    pool = Pool.of(
        [
            stored(str(place), evaluation(150), num_params=params, num_macs=macs)
            for place, (params, macs) in enumerate(costs)
        ]
    )
    ordered = [
        (entry.num_flops, entry.num_params, entry.key)
        for entry in (pool[int(place)] for place in cheapest_first(pool))
    ]
    assert ordered == sorted(ordered)
    assert np.isinf(cost_columns(pool)[:, 0]).all()


def test_outcomes_of_other_examples_are_not_set_side_by_side() -> None:
    other = replace(evaluation(150), task="another")
    mixed = Pool.of([stored("a", evaluation(150)), stored("b", other)])
    with pytest.raises(ValueError, match="not scored on the same examples"):
        _ = mixed.outcomes
