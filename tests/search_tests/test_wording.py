"""An answer in a few words."""

from dataclasses import replace

from paretobert.networks.subnet import SubnetConfig
from paretobert.search.budget import Budget
from paretobert.search.constraints import Constraint
from paretobert.search.pool import Pool
from paretobert.search.query import answer_query
from paretobert.search.wording import caveats, headline, reason, rows

from .conftest import SHAPE, candidate, evaluation


def at(width: float) -> SubnetConfig:
    return SubnetConfig.from_multipliers(SHAPE, width=width, depth=1.0)


BEST = candidate(at(1.0), evaluation(180, seed=1))
CLOSE = candidate(at(0.5), evaluation(178, seed=2))
FAR = candidate(at(0.25), evaluation(120, seed=3))
POOL = Pool.of([FAR, CLOSE, BEST])


def test_the_answer_stands_beside_tie_runner_up_and_full_model() -> None:
    result = replace(answer_query(POOL), full=BEST)
    assert rows(result) == [("answer", BEST), ("cheapest tie", CLOSE), ("runner-up", FAR)]
    small = Budget(limits=(Constraint("num_params", CLOSE.num_params),))
    result = replace(answer_query(POOL, small), full=BEST)
    assert rows(result) == [("answer", CLOSE), ("runner-up", FAR), ("full model", BEST)]
    assert headline(result).startswith(f"{CLOSE.name}: accuracy 0.890 [")
    assert "parameters." in headline(result)
    assert reason(result).startswith("Scores best of the 2 networks (of 3) that meet params <=")


def test_where_nothing_fits_the_nearest_is_named() -> None:
    result = answer_query(POOL, Budget(limits=(Constraint("num_params", 1000.0),)))
    assert rows(result) == [("nearest", FAR)]
    assert headline(result).startswith(f"Nothing fits. Nearest is {FAR.name}: ")
    assert reason(result).startswith("None of 3 networks meets params <= 1K. It misses params by")


def test_what_is_most_doubtful_comes_first() -> None:
    result = replace(answer_query(POOL), hints=("a unit?",), warnings=("a busy machine",))
    assert caveats(result) == ("a unit?", "a busy machine")
