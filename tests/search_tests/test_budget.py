import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paretobert.errors import InputError
from paretobert.search.budget import Budget
from paretobert.search.constraints import Constraint, LossLimit
from paretobert.search.pool import Pool
from paretobert.search.query import answer_query
from paretobert.tasks.comparison import compare

from .conftest import (
    at,
    candidate,
    evaluation,
    limits,
    stored,
)


def test_a_loss_needs_the_full_model() -> None:
    with pytest.raises(InputError, match="is not scored yet: search first"):
        Budget(loss=LossLimit(0.01))


@given(st.lists(st.integers(100, 200), min_size=1, max_size=8), st.floats(0.001, 0.4))
@settings(deadline=None, max_examples=50)
def test_many_losses_are_those_of_single_comparisons(rights: list[int], limit: float) -> None:
    full = evaluation(180)
    pool = [
        stored(str(place), evaluation(right, seed=place)) for place, right in enumerate(rights)
    ]
    budget = Budget((Constraint("num_params", 500),), loss=LossLimit(limit), full=full)
    most_lost = [compare(full, entry.evaluation).interval.high for entry in pool]
    alone = [1.0 + max(0.0, lost / limit - 1) for lost in most_lost]
    assert budget.violations(Pool.of(pool)) == pytest.approx(alone)
    assert [budget.violation(entry) for entry in pool] == pytest.approx(alone)
    assert not len(budget.feasible(Pool.of(pool)))
    nearest = answer_query(Pool.of(pool), budget).nearest
    assert nearest is not None
    assert budget.violation(nearest) == pytest.approx(min(alone))


@pytest.mark.parametrize(
    ("quantity", "straddled", "kept", "missed"),
    [
        ("latency_ms", 5.01, 5.2, 4.8),
        ("throughput_per_s", 199.0, 190.0, 210.0),
        ("speedup", 1.99, 1.9, 2.1),
    ],
)
def test_an_interval_that_holds_the_limit_straddles_it(
    quantity: str, straddled: float, kept: float, missed: float
) -> None:
    """5 ms of the full model's 10 ms, give or take 2 %: half of what the limits are around."""
    entry = candidate(at(0.5, 1.0))
    assert entry.latency is not None
    assert entry.latency.time_ms.value == pytest.approx(5.0)
    assert limits(Constraint(quantity, straddled)).straddles(entry)
    for limit in (kept, missed):
        assert not limits(Constraint(quantity, limit)).straddles(entry)
    assert not limits(Constraint(quantity, kept)).violation(entry)
    assert limits(Constraint(quantity, straddled)).violation(entry) > 0
    assert limits(Constraint(quantity, missed)).violation(entry) > 0
    untimed = entry.timed(None)
    assert not limits(Constraint(quantity, straddled)).straddles(untimed)
