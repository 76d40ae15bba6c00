"""Why an answer is what it is: limits that bind, what more buys, what became of each layer."""

import json

import pytest

from paretobert.deploy.deployment import Deployment
from paretobert.dynabert.losses import LayerLosses, RepairLosses
from paretobert.networks.subnet import SubnetConfig
from paretobert.search.budget import Budget
from paretobert.search.candidate import Candidate
from paretobert.search.constraints import Constraint, LossLimit
from paretobert.search.explanation import MORE, explain
from paretobert.search.pool import Pool
from paretobert.search.query import answer_query

from .conftest import SHAPE, SPACE, candidate, evaluation

FULL = SubnetConfig.full(SHAPE)
HALF = SubnetConfig((0, 1, 2, 3), (2, 2, 2, 2), (64, 64, 64, 64))
SHALLOW = SubnetConfig((0, 3), (4, 2), (128, 64))
ANY = Constraint("num_flops", 1e12)


@pytest.fixture
def three() -> Pool:
    """Three networks of 10, 5 and 3.75 ms, the faster the worse."""
    scores = {FULL: 180, HALF: 170, SHALLOW: 150}
    return Pool.of([candidate(config, evaluation(right)) for config, right in scores.items()])


def named(pool: Pool) -> dict[str, Candidate]:
    return dict(zip(("full", "half", "shallow"), pool, strict=True))


def test_the_limit_that_binds_is_named(three: Pool) -> None:
    budget = Budget(limits=(Constraint("latency_ms", 5.5), ANY))
    found = explain(three, answer_query(three, budget))
    networks = named(three)
    assert found.candidate is networks["half"]
    latency, flops = found.limits
    assert (latency.binds, flops.binds) == (True, False)
    assert latency.without.candidate is networks["full"]
    assert latency.without.comparison is not None
    assert latency.without.comparison.interval.value == pytest.approx(0.05)
    assert latency.left == pytest.approx(1 - 5.1 / 5.5)
    assert flops.without.comparison is None


def test_a_tenth_more_is_judged_by_the_query_itself(three: Pool) -> None:
    networks = named(three)
    for limit_ms, wanted in ((4.9, "half"), (9.4, "full"), (3.3, None), (5.2, "half")):
        budget = Budget(limits=(Constraint("latency_ms", limit_ms), ANY))
        first, second = explain(three, answer_query(three, budget)).more
        relaxed = Budget(limits=(Constraint("latency_ms", limit_ms * MORE), ANY))
        assert first.candidate is answer_query(three, relaxed).answer
        assert first.candidate is (networks[wanted] if wanted else None)
        assert second.candidate is answer_query(three, budget).answer


def test_more_of_what_is_better_when_larger_is_a_lower_limit(three: Pool) -> None:
    limit = Constraint("throughput_per_s", 200)
    assert limit.relaxed(MORE).limit == pytest.approx(200 / MORE)
    assert LossLimit(0.95).relaxed(MORE).limit < 1
    budget = Budget(limits=(limit,), loss=LossLimit(0.2), full=evaluation(180))
    found = explain(three, answer_query(three, budget))
    assert [entry.asked for entry in found.more] == [
        "with throughput >= 181.8 per s",
        "with a loss of at most 22 points, surely, against the full model",
    ]


def test_layers_are_held_against_the_best_network_that_treats_them_otherwise(three: Pool) -> None:
    networks = named(three)
    found = explain(three, answer_query(three, Budget(limits=(Constraint("latency_ms", 5.5),))))
    assert [(entry.heads, entry.neurons) for entry in found.layers] == [(2, 64)] * 4
    kept, dropped = found.layers[0], found.layers[1]
    assert kept.otherwise is None
    assert dropped.otherwise is not None
    assert dropped.otherwise.candidate is networks["shallow"]
    assert dropped.otherwise.comparison is not None
    assert dropped.otherwise.comparison.interval.value == pytest.approx(-0.1)
    assert dropped.otherwise.asked == "without layer 1"
    fast = explain(three, answer_query(three, Budget(limits=(Constraint("latency_ms", 4),))))
    assert [entry.heads for entry in fast.layers] == [4, 0, 0, 2]
    assert fast.layers[1].otherwise is None


def test_losses_are_those_of_halves_and_gaps(three: Pool) -> None:
    halves = LayerLosses(heads=((0, 1.0), (4, 0.0)), neurons=((0, 2.0), (128, 0.0)))
    gaps = tuple(tuple(0.25 * missing for missing in range(length)) for length in (4, 4, 3, 2, 1))
    losses = RepairLosses((halves,) * 4, gaps)
    budget = Budget(limits=(Constraint("latency_ms", 4),))
    found = explain(three, answer_query(three, budget), losses=losses)
    assert [entry.lost for entry in found.layers] == [0.0, 0.5, 0.5, 0.5 + 1.0]
    assert losses.estimate(SHALLOW) == pytest.approx(0.5 + 1.5)


def test_elsewhere_the_best_comes_first_and_what_is_not_measured_is_none(three: Pool) -> None:
    fast = Deployment("onnxruntime", "int8")
    other = Pool.of([candidate(config, deployment=fast) for config in SPACE.landmarks])
    budget = Budget(limits=(Constraint("latency_ms", 4), Constraint("energy_j", 1)))
    with pytest.raises(Exception, match="energy"):
        answer_query(three, budget)
    budget = Budget(limits=(Constraint("latency_ms", 5.5),))
    found = explain(
        three, answer_query(three, budget), elsewhere={"shallow": three, "int8": other}
    )
    first, second = found.elsewhere
    assert first.candidate is not None
    assert second.candidate is not None
    assert first.candidate.evaluation.value >= second.candidate.evaluation.value
    assert {first.asked, second.asked} == {"shallow", "int8"}


def test_what_nothing_fits_is_explained_by_the_nearest(three: Pool) -> None:
    found = explain(three, answer_query(three, Budget(limits=(Constraint("latency_ms", 3.6),))))
    (limit,) = found.limits
    assert found.candidate is named(three)["shallow"]
    assert limit.left < 0
    assert limit.binds
    assert found.more[0].candidate is named(three)["shallow"]
    assert json.loads(json.dumps(found.to_dict()))["limits"][0]["binds"] is True
