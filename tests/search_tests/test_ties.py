from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from paretobert.search.candidate import Candidate
from paretobert.search.pool import Pool
from paretobert.search.query import answer_query
from paretobert.search.ties import ties
from paretobert.tasks.comparison import compare
from paretobert.tasks.scores import Evaluation, score_predictions

from .conftest import stored


def right_where(row: Sequence[int]) -> Evaluation:
    """A score of examples that are right where there is a 1."""
    return score_predictions(
        task="test",
        split="search",
        metrics=("accuracy",),
        labels=(1,) * len(row),
        predictions=tuple(row),
    )


def discordant_with_all_right(only_first: int, only_second: int, *, n: int) -> list[Candidate]:
    """Two networks that differ on so many of n examples."""
    rest = n - only_first - only_second
    rows = (
        (1,) * only_first + (0,) * only_second + (1,) * rest,
        (0,) * only_first + (1,) * only_second + (1,) * rest,
    )
    return [stored(str(place), right_where(row)) for place, row in enumerate(rows)]


@given(st.integers(0, 150), st.integers(0, 150))
@settings(deadline=None)
def test_ties_with_the_answer_are_those_of_the_paired_test(
    only_first: int, only_second: int
) -> None:
    first, second = discordant_with_all_right(only_first, only_second, n=300)
    pair = compare(first.evaluation, second.evaluation)
    assert pair.discordant == (only_first, only_second)
    assert list(ties(first.evaluation, Pool.of([second]))) == ([0] if pair.tie else [])


outcomes_of_ten = st.lists(st.integers(0, 1), min_size=30, max_size=30)


@given(st.lists(outcomes_of_ten, min_size=2, max_size=6))
@settings(deadline=None, max_examples=50)
def test_the_cheapest_tie_is_that_of_brute_force(rows: list[list[int]]) -> None:
    pool = [
        stored(
            str(place),
            right_where(row),
            num_params=1000 + place,
            num_macs=1000 + place,
        )
        for place, row in enumerate(rows)
    ]
    result = answer_query(Pool.of(pool))
    assert result.answer is not None
    ties = [
        entry
        for entry in pool
        if entry.num_params is not None
        and entry.num_params < (result.answer.num_params or 0)
        and compare(result.answer.evaluation, entry.evaluation).tie
    ]
    expected = min(ties, key=lambda entry: entry.num_params or 0, default=None)
    found = result.cheapest_tie
    assert (None if found is None else found.candidate) == expected
