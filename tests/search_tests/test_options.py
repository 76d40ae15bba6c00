import pytest

from paretobert.errors import InputError
from paretobert.search.options import MAX_TRIALS, SearchOptions


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"num_trials": 0}, "num_trials must be a whole number from 1 to 100,000, not 0"),
        ({"num_trials": MAX_TRIALS + 1}, "num_trials must be .* not 100001"),
        ({"num_trials": 10**400}, r"num_trials must be .* not 1000+\.\.\.0+\."),
        ({"num_trials": 2.5}, "num_trials must be a whole number"),
        ({"num_trials": True}, "num_trials must be a whole number"),
        ({"seed": -1}, "seed must be a whole number from 0 to 4,294,967,295, not -1"),
        ({"seed": 2**32}, "seed must be a whole number from 0 to 4,294,967,295"),
        ({"sampler": "x" * 500}, r"There is no sampler 'x+\.\.\.x+': choose from grid"),
    ],
)
def test_what_no_search_can_do(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        SearchOptions(**change)


def test_the_ends_of_the_ranges() -> None:
    SearchOptions(num_trials=1, seed=0)
    SearchOptions(num_trials=MAX_TRIALS, seed=2**32 - 1)
