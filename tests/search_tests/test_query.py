import json
from dataclasses import replace

import pytest

from paretobert.deploy.deployment import EAGER_FP32, Deployment
from paretobert.errors import InputError
from paretobert.networks.subnet import SubnetConfig
from paretobert.search.budget import Budget
from paretobert.search.candidate import Candidate
from paretobert.search.constraints import Constraint, LossLimit
from paretobert.search.pool import Pool
from paretobert.search.query import answer_query
from paretobert.search.wording import caveats
from paretobert.tasks.comparison import compare

from .conftest import (
    NUM_EXAMPLES,
    SHAPE,
    SPACE,
    at,
    candidate,
    evaluation,
    latency,
    limits,
    profile,
    stored,
)


def test_without_a_budget_the_best_score_wins(candidates: list[Candidate]) -> None:
    result = answer_query(Pool.of(candidates))
    assert result.answer is not None
    assert result.answer.is_full
    assert result.num_feasible == result.num_candidates == len(candidates)
    scores = [entry.candidate.evaluation.value for entry in result.rivals]
    assert scores == sorted(scores, reverse=True)


def test_the_answer_is_the_best_that_keeps_every_limit(candidates: list[Candidate]) -> None:
    """Brute force: of those within both limits, none scores higher."""
    budget = limits(Constraint("latency_ms", 6.0), Constraint("num_params", 900_000))
    result = answer_query(Pool.of(candidates), budget)
    within = [
        entry
        for entry in candidates
        if entry.latency is not None
        and entry.latency.time_ms.high <= 6.0
        and entry.num_params is not None
        and entry.num_params <= 900_000
    ]
    assert 0 < len(within) < len(candidates)
    assert result.num_feasible == len(within)
    assert result.answer in within
    assert result.answer.evaluation.value == max(entry.evaluation.value for entry in within)


def test_a_latency_is_judged_by_the_upper_end_of_its_interval() -> None:
    entry = candidate(SubnetConfig.full(SHAPE))
    assert entry.latency == latency(10.0)
    assert answer_query(Pool.of([entry]), limits(Constraint("latency_ms", 10.2))).answer == entry
    assert answer_query(Pool.of([entry]), limits(Constraint("latency_ms", 10.1))).answer is None


def test_of_equal_scores_the_cheaper_wins() -> None:
    outcome = evaluation(150)
    entries = [candidate(at(width, 1.0), outcome) for width in (1.0, 0.25, 0.5)]
    result = answer_query(Pool.of(entries))
    assert result.answer == entries[1]
    assert not any(entry.is_cheaper for entry in result.rivals)


def test_runners_up_are_compared_on_the_same_examples() -> None:
    best = candidate(at(1.0, 1.0), evaluation(180, seed=1))
    close = candidate(at(0.5, 1.0), evaluation(178, seed=2))
    far = candidate(at(0.25, 1.0), evaluation(120, seed=3))
    result = answer_query(Pool.of([far, close, best]))
    assert [entry.candidate for entry in result.rivals] == [close, far]
    assert [entry.comparison.tie for entry in result.rivals] == [True, False]
    assert result.rivals[0].comparison.interval.value == pytest.approx(2 / NUM_EXAMPLES)
    text = "\n".join(result.sentences())
    assert f"not distinguishable on {NUM_EXAMPLES} examples" in text
    assert f", distinguishable on {NUM_EXAMPLES} examples" in text
    assert (
        f"The cheapest of these that is not distinguishable from the answer is {close.name}"
        in text
    )


def test_nothing_fits_names_the_nearest_and_what_it_misses(candidates: list[Candidate]) -> None:
    budget = limits(Constraint("latency_ms", 1.0), Constraint("num_params", 100_000))
    result = answer_query(Pool.of(candidates), budget)
    assert result.answer is None
    smallest = candidate(at(0.25, 0.5))
    assert result.nearest == smallest
    missed = {miss.constraint.quantity: miss.excess for miss in result.misses(smallest)}
    assert smallest.latency is not None
    assert smallest.num_params is not None
    assert missed == {
        "latency_ms": pytest.approx(smallest.latency.time_ms.high - 1.0),
        "num_params": smallest.num_params - 100_000,
    }
    record = result.to_dict()
    assert record["answer"] is None
    assert record["nearest"]["key"] == smallest.name
    assert record["nearest"]["network"] == smallest.network.id
    assert "None of the 6 networks meets" in result.sentences()[0]


def test_headroom_is_what_the_answer_leaves(candidates: list[Candidate]) -> None:
    budget = limits(Constraint("num_params", 2_000_000), Constraint("score", 0.5))
    result = answer_query(Pool.of(candidates), budget)
    assert result.answer is not None
    assert result.headroom(result.answer) == {
        "num_params": 2_000_000 - 1_200_000,
        "score": pytest.approx(0.9 - 0.5),
    }


def beside(num_correct: int, *, num_macs: int = 500, num_params: int = 1000) -> Candidate:
    """A network that was made beside the supernet."""
    return stored(
        f"PoWER-BERT ({num_correct})",
        evaluation(num_correct, seed=num_correct),
        num_params=num_params,
        num_macs=num_macs,
        latency=latency(4.0),
    )


def test_any_network_may_be_the_answer() -> None:
    entry = candidate(at(1.0, 1.0), evaluation(150, seed=1))
    assert entry.num_flops is not None
    budget = limits(Constraint("num_flops", entry.num_flops))
    close, better = beside(152), beside(190)
    dear = beside(199, num_macs=entry.num_flops)
    result = answer_query(Pool.of([close, entry, dear, better]), budget)
    assert result.answer == better
    assert result.num_candidates == 4
    assert [found.candidate for found in result.rivals] == [close, entry]
    assert [found.comparison.tie for found in result.rivals] == [False, False]
    assert result.sentences()[0].startswith(
        "PoWER-BERT (190) scores best of the 3 networks (of 4)"
    )
    record = json.loads(json.dumps(result.to_dict()))
    assert record["answer"]["key"] is None
    assert record["answer"]["label"] == "PoWER-BERT (190)"


def test_a_network_on_several_deployments_is_named_with_its_own() -> None:
    quick = Deployment("openvino", "int8")
    pool = [
        candidate(at(1.0, 1.0), evaluation(180)),
        candidate(at(1.0, 1.0), evaluation(179), deployment=quick).timed(latency(3.0)),
    ]
    result = answer_query(Pool.of(pool))
    assert result.answer == pool[0]
    assert "on eager fp32 scores best of the 2 networks" in result.sentences()[0]
    budget = limits(Constraint("latency_ms", 5.0))
    found = answer_query(Pool.of(pool), budget)
    assert found.answer == pool[1]
    assert "L0.1.2.3-H4-F128 on openvino int8 scores best" in found.sentences()[0]
    assert found.to_dict()["answer"]["runtime"] == "openvino"
    assert "on openvino int8" in repr(found)


def test_the_cheapest_is_asked_for(candidates: list[Candidate]) -> None:
    result = answer_query(Pool.of(candidates), Budget(cheapest="latency_ms"))
    assert result.answer is not None
    assert result.answer.value("latency_ms") == min(e.value("latency_ms") for e in candidates)
    assert "is best by latency of the 6 networks" in result.sentences()[0]
    fastest = answer_query(Pool.of(candidates), Budget(cheapest="throughput_per_s"))
    assert fastest.answer == result.answer
    assert "in time a tie" not in " ".join(result.sentences())
    same = [candidate(at(1.0, 1.0)), candidate(at(0.5, 1.0)).timed(latency(10.0))]
    assert "; in time a tie." in " ".join(
        answer_query(Pool.of(same), Budget(cheapest="latency_ms")).sentences()
    )


def test_a_loss_is_judged_in_pairs_and_surely() -> None:
    full = candidate(at(1.0, 1.0), evaluation(180, seed=1))
    pool = [
        full,
        candidate(at(0.5, 1.0), evaluation(178, seed=1)),
        candidate(at(0.25, 1.0), evaluation(120, seed=1)),
    ]
    budget = Budget(loss=LossLimit(0.05), cheapest="num_params", full=full.evaluation)
    high = {entry.key: compare(full.evaluation, entry.evaluation).interval.high for entry in pool}
    result = answer_query(Pool.of(pool), budget)
    assert result.answer == pool[1]
    assert result.num_feasible == sum(value <= 0.05 for value in high.values()) == 2
    assert result.headroom(pool[1])["loss"] == pytest.approx(0.05 - high[pool[1].key])
    text = " ".join(result.sentences())
    assert "a loss of at most 5 points, surely, against the full model" in text
    assert "Against the full model it loses 1.00 points [" in text
    strict = Budget(loss=LossLimit(1e-6), full=full.evaluation)
    refused = answer_query(Pool.of(pool), strict)
    assert refused.answer is None
    assert refused.nearest == full
    assert "It misses a loss of at most" in " ".join(refused.sentences())
    assert refused.to_dict()["nearest"]["loss"]["high"] > 0


@pytest.mark.parametrize(
    ("constraint", "meant"),
    [
        (Constraint("num_params", 15), "15M"),
        (Constraint("num_flops", 1), "1G"),
        (Constraint("latency_ms", 0.005), "5 ms"),
    ],
)
def test_a_limit_without_its_unit_is_asked_about(
    candidates: list[Candidate], constraint: Constraint, meant: str
) -> None:
    result = answer_query(Pool.of(candidates), limits(constraint))
    assert result.answer is None
    assert f"did you mean {meant}?" in result.sentences()[1]
    assert answer_query(Pool.of(candidates), limits(Constraint("num_params", 100_000))).hints == ()


def test_the_full_model_is_not_said_to_be_as_fast_as_itself() -> None:
    line = answer_query(Pool.of([candidate(at(1.0, 1.0))])).sentences()[2]
    assert ", the full model, " in line
    assert "times the full model" not in line


def test_seconds_are_printed_as_seconds() -> None:
    entry = candidate(at(0.5, 1.0)).timed(latency(1250, full_ms=2500))
    assert "1.25 s [" in answer_query(Pool.of([entry])).sentences()[2]


def test_what_is_not_resolved_says_so_beside_its_number(candidates: list[Candidate]) -> None:
    entry = candidates[1]
    assert entry.latency is not None
    wide = entry.timed(replace(entry.latency, resolved=False))
    assert "] (not resolved), " in answer_query(Pool.of([wide])).sentences()[2]
    assert not answer_query(Pool.of([wide])).to_dict()["answer"]["latency_ms"]["resolved"]


def test_a_limit_on_what_was_not_measured_is_refused() -> None:
    untimed = Candidate(profile(at(1.0, 1.0), timed=False), EAGER_FP32, evaluation(150))
    with pytest.raises(InputError, match="The budget names latency, which was not measured"):
        answer_query(Pool.of([untimed]), limits(Constraint("latency_ms", 5.0)))
    with pytest.raises(InputError, match="takes 459 runs, so measure longer"):
        answer_query(Pool.of([untimed]), Budget(cheapest="p99_ms"))
    limit = limits(Constraint("num_params", 2_000_000))
    assert answer_query(Pool.of([untimed]), limit).answer == untimed


def test_what_nobody_measured_is_passed_over_where_the_budget_names_it() -> None:
    timed = [candidate(at(width, 1.0), evaluation(150, seed=1)) for width in (1.0, 0.5)]
    better = Candidate(profile(at(0.25, 1.0), timed=False), EAGER_FP32, evaluation(190, seed=2))
    pool = Pool.of([*timed, better])
    budget = limits(Constraint("latency_ms", 6.0), Constraint("num_params", 2_000_000))
    result = answer_query(pool, budget)
    assert result.answer == timed[1]
    assert (result.num_candidates, result.num_feasible) == (3, 1)
    sentence = (
        "Passed over: 1 of 3 networks, of which not everything was measured that this budget "
        "names."
    )
    assert caveats(result) == (sentence,)
    assert sentence in result.sentences()
    assert result.to_dict()["num_unmeasured"] == 1
    refused = answer_query(pool, limits(Constraint("latency_ms", 1e-9)))
    assert refused.nearest == timed[1]
    assert refused.sentences()[-1] == sentence
    assert answer_query(pool).answer == better
    assert answer_query(pool, Budget(cheapest="latency_ms")).answer == timed[1]
    both = limits(Constraint("latency_ms", 6.0), Constraint("p99_ms", 6.0))
    with pytest.raises(InputError, match="names p99, which was not measured"):
        answer_query(pool, both)


def test_there_must_be_something_to_choose_from() -> None:
    with pytest.raises(InputError, match="no scored networks"):
        answer_query(Pool.of([]))


def test_the_space_has_six_pairs() -> None:
    assert len(SPACE.landmarks) == 6
