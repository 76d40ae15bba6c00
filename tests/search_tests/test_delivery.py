import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paretobert.profiling.table import LatencySummary
from paretobert.search.budget import Budget
from paretobert.search.candidate import Candidate
from paretobert.search.constraints import Constraint, LossLimit
from paretobert.search.delivery import Timing, deliver
from paretobert.search.pool import Pool
from paretobert.search.query import answer_query
from paretobert.search.result import QueryResult
from paretobert.search.selection import CorrectedScore
from paretobert.tasks.scores import Evaluation

from .conftest import (
    NUM_EXAMPLES,
    SPACE,
    at,
    candidate,
    evaluation,
    latency,
    limits,
    stored,
)


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


def test_the_record_has_the_promised_form(candidates: list[Candidate]) -> None:
    limit = limits(Constraint("num_params", 1_000_000))
    again = Again({}, default=latency(4.0, width=0.1))
    result = deliver(Pool.of(candidates), limit, time_again=again, report=reported)
    record = json.loads(json.dumps(result.to_dict()))
    assert list(record) == [
        "warnings",
        *("limits", "max_loss", "cheapest", "conditions", "num_candidates", "num_feasible"),
        "num_unmeasured",
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


def test_what_is_nearest_was_not_passed_over() -> None:
    full = candidate(at(1.0, 1.0), evaluation(180, seed=1))
    pool = [full, candidate(at(0.25, 1.0), evaluation(120, seed=1))]
    strict = Budget(loss=LossLimit(1e-6), full=full.evaluation)
    delivered = deliver(
        Pool.of(pool), strict, time_again=lambda networks, decided: Timing({}), report=reported
    )
    assert (delivered.nearest, delivered.passed_over) == (full, ())


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


def test_what_nobody_measured_lost_the_choice_as_well(candidates: list[Candidate]) -> None:
    """Of no more FLOPs and no better; not what is over another limit, larger or better."""
    limit = limits(Constraint("latency_ms", 6.0), Constraint("num_params", 1_100_000))

    def corrected(*others: Candidate) -> CorrectedScore:
        pool = Pool.of([*candidates, *others])
        found = deliver(pool, limit, time_again=Again({}), report=reported).corrected
        assert found is not None
        return found

    def untimed(num_correct: int, *, num_params: int = 900_000, num_macs: int = 10) -> Candidate:
        return stored(
            f"{num_correct} of {num_params} and {num_macs}",
            evaluation(num_correct, seed=num_correct),
            num_params=num_params,
            num_macs=num_macs,
        )

    alone = corrected()
    answer = answer_query(Pool.of(candidates), limit).answer
    assert answer is not None
    right = round(answer.evaluation.value * NUM_EXAMPLES)
    others = [untimed(right - 1), untimed(right - 2)]
    together = corrected(
        *others,
        untimed(right - 1, num_params=1_200_000),
        untimed(right - 1, num_macs=10**12),
        untimed(right + 1),
    )
    assert together == corrected(*others)
    assert together.num_tried == alone.num_tried + 2
    assert together.plain == alone.plain
    assert together.corrected < alone.corrected


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
