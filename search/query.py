"""The best sub-network under a budget, and how sure that is (no torch, no Optuna).

The answer is the feasible sub-network that scores highest on the search split; of equal scores,
the cheaper one. A higher score need not mean a better network, so every runner-up is compared with
the answer on the same examples, and cheaper ones that are not distinguishable from it are named:
whether to take one of those is the user's choice. When nothing is feasible, the nearest
sub-network is the one whose missed limits sum to the smallest share.

Limits are judged as `search.constraints` says. The answer's score on the report split and its
second timing come later (`deliver`): the report split takes no part in choosing. An answer whose
second timing breaks the latency limit by more than its interval is passed over for the next.

Networks that were trained beside the supernet and keep the limits, PoWER-BERT's, are named next to
the answer and compared with it; the answer itself is a sub-network, which can be exported.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..dynabert.subnet import SubnetConfig
from ..errors import InputError
from ..profiling.table import LatencySummary
from ..tasks.metrics import Evaluation, PairedComparison, compare
from .candidate import Candidate, score_record
from .constraints import Constraint, total_violation
from .quantities import QUANTITIES

SHOWN_RUNNERS_UP = 3
"""How many runners-up a reader is shown; the record holds all of them."""


@dataclass(frozen=True, slots=True)
class RunnerUp:
    """A feasible sub-network that scores no better than the answer.

    Attributes:
        candidate: The sub-network.
        comparison: The answer minus this one, on the examples of the search split.
        is_cheaper: Whether it costs no more than the answer in anything and less in something.
    """

    candidate: Candidate
    comparison: PairedComparison
    is_cheaper: bool


@dataclass(frozen=True, slots=True)
class Alternative:
    """A network beside the supernet that keeps every limit.

    Attributes:
        candidate: The network.
        comparison: The answer minus this one, on the examples of the search split; None where no
            sub-network is the answer.
    """

    candidate: Candidate
    comparison: PairedComparison | None


@dataclass(frozen=True, slots=True)
class Miss:
    """A limit that a sub-network does not keep.

    Attributes:
        constraint: The limit.
        value: The value held against it.
    """

    constraint: Constraint
    value: float

    @property
    def excess(self) -> float:
        """How far the value is beyond the limit, in the quantity's unit."""
        return self.constraint.violation(self.value)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types, with the excess and its share of the limit."""
        return {
            **self.constraint.to_dict(),
            "value": self.value,
            "excess": self.excess,
            "relative_excess": self.constraint.relative_violation(self.value),
        }


@dataclass(frozen=True, slots=True)
class QueryResult:
    """What a query found.

    Attributes:
        constraints: The budget.
        num_candidates: Sub-networks that were scored.
        num_feasible: Those of them that keep every limit.
        answer: The best feasible one, None when there is none.
        runners_up: The other feasible ones, best first.
        nearest: The one that is nearest to the budget, when there is no answer.
        alternatives: Networks beside the supernet that keep every limit, best first.
        report: The answer's outcomes on the report split, once delivered.
        remeasured: The answer's latency measured again, once delivered.
        passed_over: Sub-networks that would have been the answer, but broke the latency limit
            when they were measured again; with the latency measured again.
    """

    constraints: tuple[Constraint, ...]
    num_candidates: int
    num_feasible: int
    answer: Candidate | None
    runners_up: tuple[RunnerUp, ...] = ()
    nearest: Candidate | None = None
    alternatives: tuple[Alternative, ...] = ()
    report: Evaluation | None = None
    remeasured: LatencySummary | None = None
    passed_over: tuple[Candidate, ...] = ()

    def with_delivery(
        self, *, report: Evaluation, latency: LatencySummary | None
    ) -> "QueryResult":
        """The same result with what is found out once the answer is delivered.

        Args:
            report: The answer's outcomes on the report split.
            latency: Its latency, measured again; None where nothing was measured.

        Raises:
            ValueError: When there is no answer.
        """
        if self.answer is None:
            raise ValueError("no sub-network meets the budget, so there is nothing to deliver")
        return replace(self, report=report, remeasured=latency)

    @property
    def delivered(self) -> Candidate | None:
        """The answer with the latency that was measured last."""
        if self.answer is None or self.remeasured is None:
            return self.answer
        return replace(self.answer, latency=self.remeasured)

    @property
    def breaks_budget(self) -> bool:
        """Whether the second timing lies over the latency limit by more than its interval."""
        return self.remeasured is not None and any(
            entry.violation(self.remeasured.low_ms) > 0
            for entry in self.constraints
            if entry.quantity == "latency_ms"
        )

    def headroom(self, candidate: Candidate) -> dict[str, float]:
        """What a sub-network leaves of each limit, in the quantity's unit; below 0 when missed."""
        return {
            entry.quantity: -entry.violation(candidate.judged[entry.quantity])
            for entry in self.constraints
        }

    def misses(self, candidate: Candidate) -> tuple[Miss, ...]:
        """The limits that a sub-network does not keep."""
        return tuple(
            Miss(entry, candidate.judged[entry.quantity])
            for entry in self.constraints
            if entry.violation(candidate.judged[entry.quantity]) > 0
        )

    def to_dict(self) -> dict[str, Any]:
        """The result as one JSON object.

        `answer` and `nearest` are objects or null, `passed_over`, `runners_up` and
        `alternatives` lists.
        """
        answer, nearest = self.delivered, self.nearest
        return {
            "answer": answer
            and {
                **_subnet_record(answer),
                "report": self.report and score_record(self.report),
                "headroom": self.headroom(answer),
            },
            "runners_up": [
                {
                    **_subnet_record(entry.candidate),
                    "headroom": self.headroom(entry.candidate),
                    **_comparison_record(entry.comparison),
                    "cheaper": entry.is_cheaper,
                }
                for entry in self.runners_up
            ],
            "nearest": nearest
            and {
                **_subnet_record(nearest),
                "missed": [miss.to_dict() for miss in self.misses(nearest)],
            },
            "passed_over": [_subnet_record(entry) for entry in self.passed_over],
            "alternatives": [
                {
                    **entry.candidate.summary(),
                    "source": entry.candidate.source,
                    "headroom": self.headroom(entry.candidate),
                    **(_comparison_record(entry.comparison) if entry.comparison else {}),
                }
                for entry in self.alternatives
            ],
        }

    def sentences(self) -> list[str]:
        """The result for a reader, one sentence or list item per line."""
        if self.nearest is not None:
            return self._refusal(self.nearest)
        answer = self.delivered
        assert answer is not None
        metric = answer.evaluation.metric
        cheaper = [
            entry.candidate
            for entry in self.runners_up
            if entry.comparison.tie and entry.is_cheaper
        ]
        lines = [
            f"{answer.key} scores best of the {self._field(metric)}.",
            f"{metric}: {_interval(_outcomes(answer))} on {answer.evaluation.n} search examples.",
        ]
        if self.report is not None:
            lines.append(
                f"{metric}: {_interval(self.report)} on {self.report.n} report examples, "
                "which took no part in the choice."
            )
        again = " (measured again)" if self.remeasured is not None else ""
        lines.append(f"Costs: {_costs(answer)}{again}.")
        lines.extend(self._passed_over_lines())
        if self.constraints:
            lines.append(f"Headroom: {self._headroom_text(answer)}.")
        for place, entry in enumerate(self.runners_up[:SHOWN_RUNNERS_UP], start=2):
            verdict = "not distinguishable" if entry.comparison.tie else "worse"
            lines.append(
                f"{place}. {entry.candidate.key}: {metric} "
                f"{entry.candidate.evaluation.value:.4f}, "
                f"{entry.comparison.difference:.4f} less "
                f"[{entry.comparison.low:.4f}, {entry.comparison.high:.4f}]: {verdict} on "
                f"{entry.comparison.n} examples; {_costs(entry.candidate)}."
            )
        if cheaper:
            cheapest = min(cheaper, key=_cost_rank)
            lines.append(
                f"The cheapest that is not distinguishable from the answer is {cheapest.key}: "
                f"{_costs(cheapest)}."
            )
        return [*lines, *self._alternative_lines()]

    def _refusal(self, nearest: Candidate) -> list[str]:
        metric = nearest.evaluation.metric
        budget = " and ".join(entry.phrase(metric=metric) for entry in self.constraints)
        return [
            f"None of the {self.num_candidates} sub-networks meets {budget}.",
            f"Nearest is {nearest.key}: {metric} {_interval(_outcomes(nearest))}, "
            f"{_costs(nearest)}.",
            *(
                f"It misses {miss.constraint.phrase(metric=metric)} by "
                f"{miss.constraint.kind.text(miss.excess)} "
                f"({miss.constraint.relative_violation(miss.value):.1%}){_judged_at(miss)}."
                for miss in self.misses(nearest)
            ),
            *self._passed_over_lines(),
            *self._alternative_lines(),
        ]

    def _alternative_lines(self) -> list[str]:
        return [_alternative_line(entry) for entry in self.alternatives]

    def _passed_over_lines(self) -> list[str]:
        return [
            f"Passed over: {entry.key}, which broke the latency limit when measured again: "
            f"{_costs(entry)}."
            for entry in self.passed_over
        ]

    def _field(self, metric: str) -> str:
        if not self.constraints:
            return f"{self.num_candidates} sub-networks"
        budget = " and ".join(entry.phrase(metric=metric) for entry in self.constraints)
        return f"{self.num_feasible} sub-networks (of {self.num_candidates}) that meet {budget}"

    def _headroom_text(self, answer: Candidate) -> str:
        metric = answer.evaluation.metric
        left = self.headroom(answer)
        return ", ".join(
            f"{entry.kind.text(left[entry.quantity])} of {entry.word(metric=metric)} "
            f"({left[entry.quantity] / entry.limit:.1%})"
            for entry in self.constraints
        )


def answer_query(
    candidates: Sequence[Candidate],
    constraints: Sequence[Constraint] = (),
) -> QueryResult:
    """Find the best sub-network under a budget.

    Args:
        candidates: What there is to choose from, and networks beside it, which are named where
            they keep the budget; published numbers are passed over.
        constraints: The budget; without any, everything is feasible.

    Raises:
        InputError: When there are no sub-networks, or the budget limits a latency that was not
            measured.
    """
    subnets = [candidate for candidate in candidates if candidate.origin == "supernet"]
    if not subnets:
        raise InputError("There are no scored sub-networks to choose from: search first.")
    for constraint in constraints:
        for candidate in subnets:
            if constraint.quantity not in candidate.judged:
                raise InputError(
                    f"The budget limits {constraint.kind.word}, which was not measured for "
                    f"{candidate.key}: profile it first, or leave this limit out."
                )
    ranked = sorted(subnets, key=_rank)
    feasible = [entry for entry in ranked if not total_violation(constraints, entry.judged)]
    answer = feasible[0] if feasible else None
    beside = [
        entry
        for entry in candidates
        if entry.origin == "baseline"
        and all(constraint.quantity in entry.judged for constraint in constraints)
        and not total_violation(constraints, entry.judged)
    ]
    return QueryResult(
        constraints=tuple(constraints),
        num_candidates=len(subnets),
        num_feasible=len(feasible),
        answer=answer,
        runners_up=tuple(
            RunnerUp(
                candidate=entry,
                comparison=compare(_outcomes(feasible[0]), _outcomes(entry)),
                is_cheaper=_is_cheaper(entry, feasible[0]),
            )
            for entry in feasible[1:]
        ),
        nearest=None
        if feasible
        else min(ranked, key=lambda entry: total_violation(constraints, entry.judged)),
        alternatives=tuple(
            Alternative(
                candidate=entry,
                comparison=None
                if answer is None
                else compare(_outcomes(answer), _outcomes(entry)),
            )
            for entry in sorted(beside, key=_rank)
        ),
    )


def deliver(
    candidates: Sequence[Candidate],
    constraints: Sequence[Constraint],
    *,
    outcome: Callable[[SubnetConfig], tuple[Evaluation, LatencySummary | None]],
) -> QueryResult:
    """Answer a query with a sub-network that keeps the budget when it is measured again.

    Args:
        candidates: See `answer_query`.
        constraints: See `answer_query`.
        outcome: Gives a sub-network's outcomes on the report split and its second timing.

    Raises:
        InputError: See `answer_query`.
    """
    pool = {candidate.key: candidate for candidate in candidates}
    passed_over: list[Candidate] = []
    while True:
        result = answer_query(tuple(pool.values()), constraints)
        if result.answer is None or result.answer.config is None:
            return replace(result, passed_over=tuple(passed_over))
        report, latency = outcome(result.answer.config)
        result = result.with_delivery(report=report, latency=latency)
        if not result.breaks_budget:
            return replace(result, passed_over=tuple(passed_over))
        assert result.delivered is not None
        passed_over.append(result.delivered)
        pool[result.delivered.key] = result.delivered


def _rank(candidate: Candidate) -> tuple[float, ...]:
    """Best score first; of equal scores the fastest, then the fewest FLOPs and parameters."""
    return (-candidate.evaluation.value, *_cost_rank(candidate))


def _cost_rank(candidate: Candidate) -> tuple[float, ...]:
    costs = (candidate.value(name) for name in ("latency_ms", "num_flops", "num_params"))
    return tuple(math.inf if cost is None else cost for cost in costs)


def _is_cheaper(candidate: Candidate, than: Candidate) -> bool:
    pairs = [
        (candidate.value(name), than.value(name))
        for name in ("latency_ms", "num_flops", "num_params")
    ]
    known = [(ours, theirs) for ours, theirs in pairs if ours is not None and theirs is not None]
    return all(a <= b for a, b in known) and any(a < b for a, b in known)


def _outcomes(candidate: Candidate) -> Evaluation:
    assert isinstance(candidate.evaluation, Evaluation)
    return candidate.evaluation


def _alternative_line(entry: Alternative) -> str:
    candidate, comparison = entry.candidate, entry.comparison
    score = f"{candidate.evaluation.metric} {candidate.evaluation.value:.4f}"
    if comparison is not None:
        score += (
            f", {-comparison.difference:+.4f} [{-comparison.high:+.4f}, {-comparison.low:+.4f}] "
            f"against the answer, {comparison.verdict} on {comparison.n} examples"
        )
    return (
        f"Beside the supernet, {candidate.label} meets the budget: {score}; "
        f"{_costs(candidate)}; {candidate.source}."
    )


def _subnet_record(candidate: Candidate) -> dict[str, Any]:
    config = candidate.config
    assert config is not None
    layers = zip(config.layers, config.heads, config.neurons, strict=True)
    return {
        **candidate.summary(),
        "layers": [{"index": i, "heads": heads, "neurons": n} for i, heads, n in layers],
        "tokens": config.tokens and config.tokens.to_dict(),
    }


def _comparison_record(comparison: PairedComparison) -> dict[str, Any]:
    return {"difference": comparison.interval, "tie": comparison.tie}


def _interval(evaluation: Evaluation) -> str:
    return f"{evaluation.value:.4f} [{evaluation.low:.4f}, {evaluation.high:.4f}]"


def _costs(candidate: Candidate) -> str:
    counts = [
        f"{QUANTITIES['num_params'].text(candidate.known_value('num_params'))} parameters",
        f"{QUANTITIES['num_flops'].text(candidate.known_value('num_flops'))} FLOPs",
    ]
    latency = candidate.latency
    if latency is None:
        return ", ".join(counts)
    times = f"{latency.median_ms:.4g} ms [{latency.low_ms:.4g}, {latency.high_ms:.4g}]"
    return ", ".join([times, f"{latency.speedup:.3g} times the full model's speed", *counts])


def _judged_at(miss: Miss) -> str:
    if miss.constraint.quantity != "latency_ms":
        return ""
    return f", judged by the upper end of its interval, {miss.constraint.kind.text(miss.value)}"
