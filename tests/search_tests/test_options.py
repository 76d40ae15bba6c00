import pytest

from paretobert.errors import InputError
from paretobert.search.options import MAX_TRIALS, SearchOptions


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"trials": 0}, "trials must be a whole number from 1 to 100,000, not 0"),
        ({"trials": MAX_TRIALS + 1}, "trials must be .* not 100001"),
        ({"trials": 10**400}, r"trials must be .* not 1000+\.\.\.0+\."),
        ({"trials": 2.5}, "trials must be a whole number"),
        ({"trials": True}, "trials must be a whole number"),
        ({"seed": -1}, "seed must be a whole number from 0 to 4,294,967,295, not -1"),
        ({"seed": 2**32}, "seed must be a whole number from 0 to 4,294,967,295"),
        ({"engine": "x" * 500}, r"There is no engine 'x+\.\.\.x+': choose from grid"),
    ],
)
def test_what_no_search_can_do(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        SearchOptions(**change)


def test_the_ends_of_the_ranges() -> None:
    SearchOptions(trials=1, seed=0)
    SearchOptions(trials=MAX_TRIALS, seed=2**32 - 1)
