import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paretobert.deploy.deployment import EAGER_FP32, Deployment
from paretobert.errors import InputError
from paretobert.networks.subnet import SubnetConfig
from paretobert.profiling.table import LatencySummary
from paretobert.search.candidate import Candidate
from paretobert.search.constraints import Constraint, LossLimit
from paretobert.search.pool import Pool
from paretobert.search.query import (
    Budget,
    QueryResult,
    Timing,
    _ties,
    answer_query,
    deliver,
)
from paretobert.tasks.metrics import Evaluation, compare, score_predictions

from .conftest import (
    NUM_EXAMPLES,
    SHAPE,
    SPACE,
    candidate,
    evaluation,
    latency,
    profile,
    stored,
)


def limits(*entries: Constraint) -> Budget:
    return Budget(tuple(entries))


def at(width: float, depth: float) -> SubnetConfig:
    return SubnetConfig.from_multipliers(SHAPE, width, depth)


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


def test_the_record_has_the_promised_form(candidates: list[Candidate]) -> None:
    limit = limits(Constraint("num_params", 1_000_000))
    again = Again({}, default=latency(4.0, width=0.1))
    result = deliver(Pool.of(candidates), limit, time_again=again, report=reported)
    record = json.loads(json.dumps(result.to_dict()))
    assert list(record) == [
        "warnings",
        *("limits", "max_loss", "cheapest", "conditions", "num_candidates", "num_feasible"),
        "answer",
        "runners_up",
        "nearest",
        "passed_over",
        "hints",
        "full",
    ]
    answer = record["answer"]
    assert result.answer is not None
    assert answer["key"] == result.answer.name
    assert (answer["runtime"], answer["precision"]) == ("eager", "fp32")
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
    assert "a tie in time" not in " ".join(result.sentences())
    same = [candidate(at(1.0, 1.0)), candidate(at(0.5, 1.0)).timed(latency(10.0))]
    assert "; a tie in time." in " ".join(
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
    delivered = deliver(
        Pool.of(pool), strict, time_again=lambda networks, decided: Timing({}), report=reported
    )
    assert (delivered.nearest, delivered.passed_over) == (full, ())


def test_a_loss_needs_the_full_model() -> None:
    with pytest.raises(InputError, match="is not scored yet: search first"):
        Budget(loss=LossLimit(0.01))


def discordant_with_all_right(only_first: int, only_second: int, *, n: int) -> list[Candidate]:
    """Two networks that differ on so many of n examples."""
    rest = n - only_first - only_second
    rows = (
        (1,) * only_first + (0,) * only_second + (1,) * rest,
        (0,) * only_first + (1,) * only_second + (1,) * rest,
    )
    return [
        stored(
            str(place),
            score_predictions(
                task="test",
                split="search",
                metrics=("accuracy",),
                labels=(1,) * n,
                predictions=row,
            ),
        )
        for place, row in enumerate(rows)
    ]


@given(st.integers(0, 150), st.integers(0, 150))
@settings(deadline=None)
def test_ties_with_the_answer_are_those_of_the_paired_test(
    only_first: int, only_second: int
) -> None:
    first, second = discordant_with_all_right(only_first, only_second, n=300)
    pair = compare(first.evaluation, second.evaluation)
    assert pair.discordant == (only_first, only_second)
    assert list(_ties(first.evaluation, Pool.of([second]))) == ([0] if pair.tie else [])


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


outcomes_of_ten = st.lists(st.integers(0, 1), min_size=30, max_size=30)


@given(st.lists(outcomes_of_ten, min_size=2, max_size=6))
@settings(deadline=None, max_examples=50)
def test_the_cheapest_tie_is_that_of_brute_force(rows: list[list[int]]) -> None:
    pool = [
        stored(
            str(place),
            score_predictions(
                task="test",
                split="search",
                metrics=("accuracy",),
                labels=(1,) * 30,
                predictions=tuple(row),
            ),
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
    limit = limits(Constraint("latency_ms", 6.0))
    result = deliver(Pool.of(candidates), limit, time_again=again, report=reported)
    assert len(again.asked) == 1
    assert sessions(result) == {"session 1"}
    assert {entry.key for entry in result.named} <= set(again.asked[0])
    assert result.report is not None
    assert result.num_candidates == len(candidates)
    assert result.sentences()[0] == "The machine was busy."
    assert result.to_dict()["warnings"] == ["The machine was busy."]


def test_an_answer_that_breaks_its_budget_is_passed_over(candidates: list[Candidate]) -> None:
    limit = limits(Constraint("latency_ms", 6.0))
    first = answer_query(Pool.of(candidates), limit)
    assert first.answer is not None
    again = Again({first.answer.key: latency(7.0)})
    result = deliver(Pool.of(candidates), limit, time_again=again, report=reported)
    assert result.answer is not None
    assert result.answer.key == first.rivals[0].candidate.key
    assert [entry.candidate.key for entry in result.passed_over] == [first.answer.key]
    assert not result.passed_over[0].undecided
    assert len(sessions(result)) == 1
    assert result.to_dict()["passed_over"][0]["latency_ms"]["value"] == pytest.approx(7.0)
    assert any(line.startswith(f"Passed over: {first.answer.name}") for line in result.sentences())


def test_the_budget_is_judged_by_the_upper_end_at_delivery_too(
    candidates: list[Candidate],
) -> None:
    """Limit 6 ms, measured again 7 [5.5, 8.9] ms: not delivered, though the lower end fits."""
    limit = limits(Constraint("latency_ms", 6.0))
    first = answer_query(Pool.of(candidates), limit)
    assert first.answer is not None
    again = Again({first.answer.key: latency(7.0, width=0.27)})
    result = deliver(Pool.of(candidates), limit, time_again=again, report=reported)
    assert again.measured_longer == 1
    assert result.answer is not None
    assert result.answer.latency is not None
    assert result.answer.latency.time_ms.high <= 6.0
    assert [entry.undecided for entry in result.passed_over] == [True]
    assert "still straddles the latency limit" in result.passed_over[0].sentence()


def test_an_interval_that_straddles_the_limit_is_measured_longer(
    candidates: list[Candidate],
) -> None:
    limit = limits(Constraint("latency_ms", 6.0))
    first = answer_query(Pool.of(candidates), limit)
    assert first.answer is not None
    key = first.answer.key
    again = Again({key: latency(4.9, width=0.3)}, longer={key: latency(4.9, width=0.05)})
    result = deliver(Pool.of(candidates), limit, time_again=again, report=reported)
    assert again.measured_longer == 1
    assert result.answer is not None
    assert result.answer.key == key
    assert result.passed_over == ()


def test_when_every_answer_breaks_its_budget_none_is_given(candidates: list[Candidate]) -> None:
    limit = limits(Constraint("latency_ms", 6.0))
    num_feasible = answer_query(Pool.of(candidates), limit).num_feasible
    again = Again({}, default=latency(50.0))
    result = deliver(Pool.of(candidates), limit, time_again=again, report=reported)
    assert result.answer is None
    assert len({entry.candidate.key for entry in result.passed_over}) >= num_feasible - 1
    assert result.nearest is not None
    assert any("Passed over" in line for line in result.sentences())


@given(st.lists(st.floats(0.7, 1.4), min_size=6, max_size=6), st.floats(1.5, 12))
@settings(deadline=None)
def test_no_answer_is_over_the_limit_and_none_is_of_two_sessions(
    factors: list[float], limit_ms: float
) -> None:
    pool = [candidate(config) for config in SPACE.landmarks]
    again = Again(
        {
            entry.key: latency(entry.known_value("latency_ms") * factor, width=0.1)
            for entry, factor in zip(pool, factors, strict=True)
        }
    )
    limit = limits(Constraint("latency_ms", limit_ms))
    result = deliver(Pool.of(pool), limit, time_again=again, report=reported)
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


def test_there_must_be_something_to_choose_from() -> None:
    with pytest.raises(InputError, match="no scored networks"):
        answer_query(Pool.of([]))


def test_the_space_has_six_pairs() -> None:
    assert len(SPACE.landmarks) == 6
