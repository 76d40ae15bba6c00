import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paretobert.errors import InputError
from paretobert.networks.subnet import SubnetConfig
from paretobert.profiling.table import LatencySummary
from paretobert.search.candidate import Candidate
from paretobert.search.constraints import Constraint
from paretobert.search.query import QueryResult, Timing, answer_query, deliver
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
    assert f", distinguishable on {NUM_EXAMPLES} examples" in text
    assert (
        f"The cheapest of these that is not distinguishable from the answer is {close.key}" in text
    )


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
        "latency_ms": pytest.approx(smallest.latency.time_ms.high - 1.0),
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
    limit = [Constraint("num_params", 1_000_000)]
    again = Again({}, default=latency(4.0, width=0.1))
    result = deliver(candidates, limit, time_again=again, report=reported)
    record = json.loads(json.dumps(result.to_dict()))
    assert list(record) == [
        "warnings",
        "answer",
        "runners_up",
        "nearest",
        "passed_over",
        "alternatives",
        "hints",
    ]
    answer = record["answer"]
    assert result.answer is not None
    assert answer["key"] == result.answer.key
    assert answer["layers"][0].keys() == {"index", "heads", "neurons"}
    assert answer["latency_ms"] == {
        "value": pytest.approx(4.0),
        "low": pytest.approx(4.0 / 1.1),
        "high": pytest.approx(4.4),
        "interval": "95 % interval over 5 processes",
        "resolved": True,
    }
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


class Again:
    """A second timing with the latencies given, by key; it notes what it is asked."""

    def __init__(
        self,
        latencies: dict[str, LatencySummary],
        *,
        default: LatencySummary | None = None,
        longer: dict[str, LatencySummary] | None = None,
    ) -> None:
        self.latencies = latencies
        self.default = default
        self.longer = longer or {}
        self.asked: list[list[str]] = []
        self.measured_longer = 0

    def __call__(
        self,
        networks: Sequence[Candidate],
        *,
        decided: Callable[[Mapping[str, LatencySummary]], bool],
    ) -> Timing:
        self.asked.append([entry.key for entry in networks])
        found = {}
        for entry in networks:
            latency = self.latencies.get(entry.key, self.default or entry.latency)
            assert latency is not None
            found[entry.key] = replace(latency, session=f"session {len(self.asked)}")
        if not decided(found):
            self.measured_longer += 1
            found |= {key: entry for key, entry in self.longer.items() if key in found}
        return Timing(found, ("The machine was busy.",))


def reported(candidate: Candidate) -> Evaluation:
    return evaluation(160, split="report")


def sessions(result: QueryResult) -> set[str]:
    named = [*result.named, *(entry.candidate for entry in result.passed_over)]
    return {entry.latency.session for entry in named if entry.latency is not None}


def test_every_number_of_an_answer_is_of_one_session(candidates: list[Candidate]) -> None:
    again = Again({})
    limit = [Constraint("latency_ms", 6.0)]
    result = deliver(candidates, limit, time_again=again, report=reported)
    assert len(again.asked) == 1
    assert sessions(result) == {"session 1"}
    assert {entry.key for entry in result.named} <= set(again.asked[0])
    assert result.report is not None
    assert result.num_candidates == len(candidates)
    assert result.sentences()[0] == "The machine was busy."
    assert result.to_dict()["warnings"] == ["The machine was busy."]


def test_an_answer_that_breaks_its_budget_is_passed_over(candidates: list[Candidate]) -> None:
    limit = [Constraint("latency_ms", 6.0)]
    first = answer_query(candidates, limit)
    assert first.answer is not None
    again = Again({first.answer.key: latency(7.0)})
    result = deliver(candidates, limit, time_again=again, report=reported)
    assert result.answer is not None
    assert result.answer.key == first.runners_up[0].candidate.key
    assert [entry.candidate.key for entry in result.passed_over] == [first.answer.key]
    assert not result.passed_over[0].undecided
    assert len(sessions(result)) == 1
    assert result.to_dict()["passed_over"][0]["latency_ms"]["value"] == pytest.approx(7.0)
    assert any(line.startswith(f"Passed over: {first.answer.key}") for line in result.sentences())


def test_the_budget_is_judged_by_the_upper_end_at_delivery_too(
    candidates: list[Candidate],
) -> None:
    """Limit 6 ms, measured again 7 [5.5, 8.9] ms: not delivered, though the lower end fits."""
    limit = [Constraint("latency_ms", 6.0)]
    first = answer_query(candidates, limit)
    assert first.answer is not None
    again = Again({first.answer.key: latency(7.0, width=0.27)})
    result = deliver(candidates, limit, time_again=again, report=reported)
    assert again.measured_longer == 1
    assert result.answer is not None
    assert result.answer.latency is not None
    assert result.answer.latency.time_ms.high <= 6.0
    assert [entry.undecided for entry in result.passed_over] == [True]
    assert "still straddles the latency limit" in result.passed_over[0].sentence()


def test_an_interval_that_straddles_the_limit_is_measured_longer(
    candidates: list[Candidate],
) -> None:
    limit = [Constraint("latency_ms", 6.0)]
    first = answer_query(candidates, limit)
    assert first.answer is not None
    key = first.answer.key
    again = Again({key: latency(4.9, width=0.3)}, longer={key: latency(4.9, width=0.05)})
    result = deliver(candidates, limit, time_again=again, report=reported)
    assert again.measured_longer == 1
    assert result.answer is not None
    assert result.answer.key == key
    assert result.passed_over == ()


def test_when_every_answer_breaks_its_budget_none_is_given(candidates: list[Candidate]) -> None:
    limit = [Constraint("latency_ms", 6.0)]
    num_feasible = answer_query(candidates, limit).num_feasible
    again = Again({}, default=latency(50.0))
    result = deliver(candidates, limit, time_again=again, report=reported)
    assert result.answer is None
    assert len({entry.candidate.key for entry in result.passed_over}) >= num_feasible - 1
    assert result.nearest is not None
    assert any("Passed over" in line for line in result.sentences())


def test_a_network_beside_the_supernet_must_keep_the_limit_again(
    candidates: list[Candidate],
) -> None:
    limit = [Constraint("latency_ms", 6.0)]
    other = beside(150)
    again = Again({other.key: latency(6.5)})
    result = deliver([*candidates, other], limit, time_again=again, report=reported)
    assert result.alternatives == ()
    assert other.key in [entry.candidate.key for entry in result.passed_over]


@given(st.lists(st.floats(0.7, 1.4), min_size=6, max_size=6), st.floats(1.5, 12))
@settings(deadline=None)
def test_no_answer_is_over_the_limit_and_none_is_of_two_sessions(
    factors: list[float], limit_ms: float
) -> None:
    pool = [candidate(config) for config in SPACE.configs(SHAPE)]
    again = Again(
        {
            entry.key: latency(entry.known_value("latency_ms") * factor, width=0.1)
            for entry, factor in zip(pool, factors, strict=True)
        }
    )
    limit = [Constraint("latency_ms", limit_ms)]
    result = deliver(pool, limit, time_again=again, report=reported)
    assert len(sessions(result)) <= 1
    if result.answer is not None:
        assert result.answer.judged["latency_ms"] <= limit_ms
    else:
        assert all(again.latencies[key].time_ms.high > limit_ms for key in sum(again.asked, []))


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
    result = answer_query(candidates, [constraint])
    assert result.answer is None
    assert f"did you mean {meant}?" in result.sentences()[1]
    assert answer_query(candidates, [Constraint("num_params", 100_000)]).hints == ()


def test_the_full_model_is_not_said_to_be_as_fast_as_itself() -> None:
    line = answer_query([candidate(at(1.0, 1.0))]).sentences()[2]
    assert ", the full model, " in line
    assert "times the full model" not in line


def test_seconds_are_printed_as_seconds() -> None:
    entry = replace(candidate(at(0.5, 1.0)), latency=latency(1250, full_ms=2500))
    assert "1.25 s [" in answer_query([entry]).sentences()[2]


def test_what_is_not_resolved_says_so_beside_its_number(candidates: list[Candidate]) -> None:
    entry = candidates[1]
    assert entry.latency is not None
    wide = replace(entry, latency=replace(entry.latency, resolved=False))
    assert "] (not resolved), " in answer_query([wide]).sentences()[2]
    assert not answer_query([wide]).to_dict()["answer"]["latency_ms"]["resolved"]


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


def test_the_space_has_six_pairs() -> None:
    assert len(SPACE.configs(SHAPE)) == 6
