import json

import pytest

from paretobert.dynabert.subnet import SubnetConfig
from paretobert.errors import InputError
from paretobert.profiling.table import LatencySummary
from paretobert.search.candidate import Candidate
from paretobert.search.constraints import Constraint
from paretobert.search.query import answer_query, deliver
from paretobert.tasks.metrics import Evaluation

from .conftest import NUM_EXAMPLES, SHAPE, SPACE, candidate, evaluation, latency, profile


def at(width: float, depth: float) -> SubnetConfig:
    return SubnetConfig.from_multipliers(SHAPE, width, depth)


def test_without_a_budget_the_best_score_wins(candidates: list[Candidate]) -> None:
    result = answer_query(candidates)
    assert result.answer is not None
    assert result.answer.key == SubnetConfig.full(SHAPE).key
    assert result.num_feasible == result.num_candidates == len(result.runners_up) + 1
    scores = [entry.candidate.evaluation.value for entry in result.runners_up]
    assert scores == sorted(scores, reverse=True)


def test_the_answer_is_the_best_that_keeps_every_limit(candidates: list[Candidate]) -> None:
    """Brute force: of those within both limits, none scores higher."""
    budget = (Constraint("latency_ms", 6.0), Constraint("num_params", 900_000))
    result = answer_query(candidates, budget)
    within = [
        entry
        for entry in candidates
        if entry.latency is not None
        and entry.latency.high_ms <= 6.0
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
    assert answer_query([entry], [Constraint("latency_ms", 10.2)]).answer == entry
    assert answer_query([entry], [Constraint("latency_ms", 10.1)]).answer is None


def test_of_equal_scores_the_cheaper_wins() -> None:
    outcome = evaluation(150)
    entries = [candidate(at(width, 1.0), outcome) for width in (1.0, 0.25, 0.5)]
    result = answer_query(entries)
    assert result.answer == entries[1]
    assert not any(entry.is_cheaper for entry in result.runners_up)


def test_runners_up_are_compared_on_the_same_examples() -> None:
    best = candidate(at(1.0, 1.0), evaluation(180, seed=1))
    close = candidate(at(0.5, 1.0), evaluation(178, seed=2))
    far = candidate(at(0.25, 1.0), evaluation(120, seed=3))
    result = answer_query([far, close, best])
    assert [entry.candidate for entry in result.runners_up] == [close, far]
    assert [entry.comparison.tie for entry in result.runners_up] == [True, False]
    assert result.runners_up[0].comparison.difference == pytest.approx(2 / NUM_EXAMPLES)
    text = "\n".join(result.sentences())
    assert f"not distinguishable on {NUM_EXAMPLES} examples" in text
    assert f"worse on {NUM_EXAMPLES} examples" in text
    assert f"The cheapest that is not distinguishable from the answer is {close.key}" in text


def test_nothing_fits_names_the_nearest_and_what_it_misses(candidates: list[Candidate]) -> None:
    budget = (Constraint("latency_ms", 1.0), Constraint("num_params", 100_000))
    result = answer_query(candidates, budget)
    assert result.answer is None
    smallest = candidate(at(0.25, 0.5))
    assert result.nearest == smallest
    missed = {miss.constraint.quantity: miss.excess for miss in result.misses(smallest)}
    assert smallest.latency is not None
    assert smallest.num_params is not None
    assert missed == {
        "latency_ms": pytest.approx(smallest.latency.high_ms - 1.0),
        "num_params": smallest.num_params - 100_000,
    }
    record = result.to_dict()
    assert record["answer"] is None
    assert record["nearest"]["key"] == smallest.key
    assert "None of the 6 sub-networks meets" in result.sentences()[0]


def test_headroom_is_what_the_answer_leaves(candidates: list[Candidate]) -> None:
    budget = (Constraint("num_params", 2_000_000), Constraint("accuracy", 0.5))
    result = answer_query(candidates, budget)
    assert result.answer is not None
    assert result.headroom(result.answer) == {
        "num_params": 2_000_000 - 1_200_000,
        "accuracy": pytest.approx(0.9 - 0.5),
    }


def test_the_record_has_the_promised_form(candidates: list[Candidate]) -> None:
    result = answer_query(candidates, [Constraint("num_params", 1_000_000)])
    delivered = result.with_delivery(
        report=evaluation(160, split="report"), latency=latency(4.0, width=0.1)
    )
    record = json.loads(json.dumps(delivered.to_dict()))
    assert list(record) == [
        "answer",
        "runners_up",
        "nearest",
        "passed_over",
        "alternatives",
    ]
    answer = record["answer"]
    assert result.answer is not None
    assert answer["key"] == result.answer.key
    assert answer["layers"][0].keys() == {"index", "heads", "neurons"}
    assert answer["latency_ms"] == pytest.approx({"median": 4.0, "low": 3.6, "high": 4.4})
    assert answer["speedup"] == pytest.approx(2.5)
    assert answer["metric"] == "accuracy"
    assert answer["report"]["value"] == pytest.approx(0.8)
    assert answer["report"].keys() == answer["search"].keys() == {"value", "low", "high", "n"}
    assert record["nearest"] is None


def beside(num_correct: int, *, num_flops: int = 1000) -> Candidate:
    """A network that was trained beside the supernet."""
    return Candidate(
        label=f"PoWER-BERT ({num_correct})",
        origin="baseline",
        config=None,
        num_params=1000,
        num_flops=num_flops,
        latency=latency(4.0),
        evaluation=evaluation(num_correct, seed=num_correct),
        source="P80.50.1 in power/speedup2-percent/network",
    )


def test_networks_beside_the_supernet_that_fit_are_named_and_compared() -> None:
    entry = candidate(at(1.0, 1.0), evaluation(150, seed=1))
    assert entry.num_flops is not None
    budget = [Constraint("num_flops", entry.num_flops)]
    close, better, dear = beside(152), beside(190), beside(199, num_flops=entry.num_flops + 1)
    result = answer_query([close, entry, dear, better], budget)
    assert result.answer == entry
    assert result.num_candidates == 1
    assert [found.candidate for found in result.alternatives] == [better, close]
    comparisons = [found.comparison for found in result.alternatives]
    assert [found and found.tie for found in comparisons] == [False, True]
    lines = result.sentences()[-2:]
    assert "PoWER-BERT (190) meets the budget: accuracy 0.9500, +0.2000 [+" in lines[0]
    assert f"against the answer, distinguishable on {NUM_EXAMPLES} examples" in lines[0]
    assert "P80.50.1 in power/speedup2-percent/network" in lines[0]
    assert f"not distinguishable on {NUM_EXAMPLES} examples" in lines[1]
    record = json.loads(json.dumps(result.to_dict()))["alternatives"][0]
    assert record["key"] == better.label
    assert record["difference"]["value"] == pytest.approx(-0.2)
    assert not record["tie"]


def test_a_network_beside_the_supernet_may_fit_where_no_subnet_does() -> None:
    entry = candidate(at(1.0, 1.0))
    result = answer_query([entry, beside(150)], [Constraint("num_flops", 1000)])
    assert result.answer is None
    assert result.nearest == entry
    assert result.sentences()[-1].startswith("Beside the supernet, PoWER-BERT (150) meets")
    assert "difference" not in result.to_dict()["alternatives"][0]


def test_a_second_timing_over_the_limit_is_noticed(candidates: list[Candidate]) -> None:
    result = answer_query(candidates, [Constraint("latency_ms", 6.0)])
    report = evaluation(160, split="report")
    assert result.with_delivery(report=report, latency=latency(7.0)).breaks_budget
    assert not result.with_delivery(report=report, latency=latency(6.05)).breaks_budget


def test_an_answer_that_breaks_its_budget_is_passed_over(candidates: list[Candidate]) -> None:
    limit = [Constraint("latency_ms", 6.0)]
    first = answer_query(candidates, limit)
    assert first.answer is not None
    assert first.answer.config is not None
    asked: list[SubnetConfig] = []

    def outcome(config: SubnetConfig) -> tuple[Evaluation, LatencySummary | None]:
        asked.append(config)
        again = latency(7.0 if len(asked) == 1 else 5.0)
        return evaluation(160, split="report"), again

    result = deliver(candidates, limit, outcome=outcome)
    assert asked[0] == first.answer.config
    assert len(asked) == 2
    assert result.answer is not None
    assert result.answer.config == asked[1] != asked[0]
    assert [entry.key for entry in result.passed_over] == [asked[0].key]
    assert result.to_dict()["passed_over"][0]["latency_ms"]["median"] == 7.0
    assert any(line.startswith(f"Passed over: {asked[0].key}") for line in result.sentences())


def test_when_every_answer_breaks_its_budget_none_is_given(candidates: list[Candidate]) -> None:
    limit = [Constraint("latency_ms", 6.0)]
    report = evaluation(160, split="report")
    num_feasible = answer_query(candidates, limit).num_feasible
    result = deliver(candidates, limit, outcome=lambda config: (report, latency(50.0)))
    assert result.answer is None
    assert len(result.passed_over) == num_feasible
    assert result.nearest is not None
    assert "Passed over" in result.sentences()[-1]


def test_a_limit_on_what_was_not_measured_is_refused() -> None:
    config = at(1.0, 1.0)
    untimed = Candidate.from_profile(
        profile(config, timed=False), evaluation(150), label=config.key
    )
    with pytest.raises(InputError, match="The budget limits latency, which was not measured"):
        answer_query([untimed], [Constraint("latency_ms", 5.0)])
    assert answer_query([untimed], [Constraint("num_params", 2_000_000)]).answer == untimed


def test_there_must_be_something_to_choose_from() -> None:
    with pytest.raises(InputError, match="no scored sub-networks"):
        answer_query([])


def test_nothing_is_delivered_without_an_answer(candidates: list[Candidate]) -> None:
    result = answer_query(candidates, [Constraint("num_params", 1)])
    with pytest.raises(ValueError, match="nothing to deliver"):
        result.with_delivery(report=evaluation(150, split="report"), latency=None)


def test_the_space_has_six_pairs() -> None:
    assert len(SPACE.configs(SHAPE)) == 6
