"""The best sub-network under a budget, and how sure that is (no torch, no Optuna).

The answer is the feasible sub-network that scores highest on the search split; of equal scores,
the cheaper one. A higher score need not mean a better network, so runners-up are compared with
the answer on the same examples, and the cheapest that is not distinguishable from it is named:
whether to take that is the user's choice. When nothing is feasible, the nearest sub-network is the
one whose missed limits sum to the smallest share.

Limits are judged as `search.constraints` says: a latency by the upper end of its interval. That
holds when the answer is chosen and again when it is delivered (`deliver`): the answer, its shown
rivals and the full model are timed again in one session, and every number of the result is of that
session. An interval that straddles the limit is measured longer first. An answer that does not
keep the limit then is passed over for the next. The report split takes no part in choosing.

Networks that were trained beside the supernet and keep the limits, PoWER-BERT's, are named next to
the answer and compared with it; the answer itself is a sub-network, which can be exported.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from ..errors import InputError
from ..profiling.statistics import Estimate
from ..profiling.table import LatencySummary
from ..tasks.metrics import Evaluation, PairedComparison, compare
from .candidate import Candidate, score_record
from .constraints import Constraint, total_violation
from .quantities import QUANTITIES
from .selection import MIN_EXAMPLES, CorrectedScore, corrected_choice

SHOWN_RUNNERS_UP = 3
"""How many runners-up are timed again and shown, beside the cheapest that ties."""

FAR_OFF = 100.0
"""A limit that every network misses by more than this factor lacks a unit, probably."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Latencies of one session.

    Attributes:
        latencies: By the network's key.
        disturbances: What forbids to take them at their word.
    """

    latencies: Mapping[str, LatencySummary]
    disturbances: tuple[str, ...] = ()


class TimeAgain(Protocol):
    """Times networks again, together."""

    def __call__(
        self,
        networks: Sequence[Candidate],
        *,
        decided: Callable[[Mapping[str, LatencySummary]], bool],
    ) -> Timing:
        """Time networks in one session, and longer for a while where it does not decide.

        Args:
            networks: What to time.
            decided: Whether latencies decide what they are for.
        """
        ...


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
class PassedOver:
    """A network that would have been named, but does not keep the limit when timed again.

    Attributes:
        candidate: The network, with the latency measured again.
        undecided: Whether its interval still straddles the limit after measuring longer.
    """

    candidate: Candidate
    undecided: bool

    def sentence(self) -> str:
        """Why it was passed over, for a reader."""
        reason = (
            "whose interval still straddles the latency limit after measuring longer"
            if self.undecided
            else "which broke the latency limit when measured again"
        )
        return f"Passed over: {self.candidate.key}, {reason}: {_costs(self.candidate)}."


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
        num_feasible: Those of them that keep every limit by the cost table.
        answer: The best feasible one, None when there is none.
        runners_up: Other feasible ones, best first: all of them, once delivered those that were
            timed again beside the answer.
        nearest: The one that is nearest to the budget, when there is no answer.
        alternatives: Networks beside the supernet that keep every limit, best first.
        corrected: The answer's score on the search split, corrected for having been chosen, once
            delivered; None where there are too few examples.
        report: The answer's outcomes on the report split, once delivered.
        passed_over: Networks that did not keep the latency limit when they were timed again.
        hints: Limits that were probably meant in another unit.
        warnings: What forbids to take the latencies at their word, to be said first.
    """

    constraints: tuple[Constraint, ...]
    num_candidates: int
    num_feasible: int
    answer: Candidate | None
    runners_up: tuple[RunnerUp, ...] = ()
    nearest: Candidate | None = None
    alternatives: tuple[Alternative, ...] = ()
    corrected: CorrectedScore | None = None
    report: Evaluation | None = None
    passed_over: tuple[PassedOver, ...] = ()
    hints: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def cheapest_tie(self) -> RunnerUp | None:
        """The cheapest runner-up that is cheaper than the answer and not distinguishable."""
        ties = [entry for entry in self.runners_up if entry.comparison.tie and entry.is_cheaper]
        return min(ties, key=lambda entry: _cost_rank(entry.candidate), default=None)

    @property
    def rivals(self) -> tuple[RunnerUp, ...]:
        """The runners-up that a reader is shown."""
        first, tie = self.runners_up[:SHOWN_RUNNERS_UP], self.cheapest_tie
        return first if tie is None or tie in first else (*first, tie)

    @property
    def named(self) -> tuple[Candidate, ...]:
        """Every network whose number stands in the result."""
        first = self.nearest if self.answer is None else self.answer
        assert first is not None
        return (
            first,
            *(entry.candidate for entry in self.rivals),
            *(entry.candidate for entry in self.alternatives),
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

        `answer` and `nearest` are objects or null, the others lists.
        """
        answer, nearest = self.answer, self.nearest
        return {
            "warnings": list(self.warnings),
            "answer": answer
            and {
                **_subnet_record(answer),
                "corrected": self.corrected and self.corrected.to_dict(),
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
            "passed_over": [
                {**entry.candidate.summary(), "undecided": entry.undecided}
                for entry in self.passed_over
            ],
            "alternatives": [
                {
                    **entry.candidate.summary(),
                    "source": entry.candidate.source,
                    "headroom": self.headroom(entry.candidate),
                    **(_comparison_record(entry.comparison) if entry.comparison else {}),
                }
                for entry in self.alternatives
            ],
            "hints": list(self.hints),
        }

    def sentences(self) -> list[str]:
        """The result for a reader, warnings first, one sentence or list item per line."""
        found = self._refusal(self.nearest) if self.nearest is not None else self._found()
        return [*self.warnings, *found]

    def _found(self) -> list[str]:
        answer = self.answer
        assert answer is not None
        metric = answer.evaluation.metric
        lines = [
            f"{answer.key} scores best of the {self._field(metric)}.",
            f"{metric}: {_interval(_outcomes(answer))} on {answer.evaluation.n} search examples.",
        ]
        if self.corrected is not None and self.corrected.num_tried > 1:
            lines.append(
                f"{metric}: {self.corrected.corrected:.4f} when corrected for having been chosen "
                f"from {self.corrected.num_tried}."
            )
        if self.report is not None:
            lines.append(
                f"{metric}: {_interval(self.report)} on {self.report.n} report examples, "
                "which took no part in the choice."
            )
        lines.append(f"Costs: {_costs(answer)}.")
        if self.report is not None and answer.latency is not None:
            latency = answer.latency
            lines.append(
                f"Brackets of latencies: {latency.ratio.meaning}, all of one session; the full "
                f"model takes {_time(latency.full_ms)}."
            )
        lines.extend(entry.sentence() for entry in self.passed_over)
        if self.constraints:
            lines.append(f"Headroom: {self._headroom_text(answer)}.")
        lines.extend(
            f"{place}. {entry.candidate.key}: {metric} {entry.candidate.evaluation.value:.4f}, "
            f"{_difference(entry.comparison)}; {_costs(entry.candidate)}."
            for place, entry in enumerate(self.rivals, start=2)
        )
        tie = self.cheapest_tie
        if tie is not None:
            lines.append(
                "The cheapest of these that is not distinguishable from the answer is "
                f"{tie.candidate.key}."
            )
        return [*lines, *(_alternative_line(entry) for entry in self.alternatives)]

    def _refusal(self, nearest: Candidate) -> list[str]:
        metric = nearest.evaluation.metric
        budget = " and ".join(entry.phrase(metric=metric) for entry in self.constraints)
        return [
            f"None of the {self.num_candidates} sub-networks meets {budget}.",
            *self.hints,
            f"Nearest is {nearest.key}: {metric} {_interval(_outcomes(nearest))}, "
            f"{_costs(nearest)}.",
            *(
                f"It misses {miss.constraint.phrase(metric=metric)} by "
                f"{miss.constraint.kind.text(miss.excess)} ({_share(miss)}){_judged_at(miss)}."
                for miss in self.misses(nearest)
            ),
            *(entry.sentence() for entry in self.passed_over),
            *(_alternative_line(entry) for entry in self.alternatives),
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
    """Find the best sub-network under a budget, by the costs that candidates have.

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
        hints=tuple(filter(None, (_hint(entry, subnets) for entry in constraints))),
    )


def deliver(
    candidates: Sequence[Candidate],
    constraints: Sequence[Constraint],
    *,
    time_again: TimeAgain,
    report: Callable[[Candidate], Evaluation],
) -> QueryResult:
    """Answer a query with a sub-network that keeps the budget when it is timed again.

    Args:
        candidates: See `answer_query`; their latencies are of one session.
        constraints: See `answer_query`.
        time_again: Times the named networks again, in one session.
        report: Gives a sub-network's outcomes on the report split.

    Raises:
        InputError: See `answer_query`.
    """
    result = answer_query(candidates, constraints)
    by_table = (result.num_candidates, result.num_feasible)
    pool = {entry.key: entry for entry in candidates}
    broken: dict[str, Candidate] = {}
    while result.answer is not None or result.alternatives:
        wanted = {entry.key: entry for entry in (*result.named, *broken.values())}
        timed = [entry for entry in wanted.values() if entry.latency is not None]
        timing = time_again(timed, decided=partial(_decided, timed, constraints=constraints))
        again = [
            replace(entry, latency=timing.latencies.get(entry.key)) for entry in wanted.values()
        ]
        found = answer_query(again, constraints)
        if found.answer is not None or result.answer is None:
            num_candidates, num_feasible = by_table
            passed = _passed_over(found, again, constraints)
            return replace(
                found,
                corrected=_corrected(found, candidates, passed, constraints=constraints),
                num_candidates=num_candidates,
                num_feasible=num_feasible,
                passed_over=passed,
                report=None if found.answer is None else report(found.answer),
                warnings=tuple(timing.disturbances),
            )
        broken = {entry.key: entry for entry in again}
        pool |= broken
        result = answer_query(tuple(pool.values()), constraints)
    return replace(result, passed_over=_passed_over(result, tuple(broken.values()), constraints))


def _decided(
    timed: Sequence[Candidate],
    latencies: Mapping[str, LatencySummary],
    *,
    constraints: Sequence[Constraint],
) -> bool:
    """Whether latencies tell which network is the answer, and which are named beside it.

    Args:
        timed: What was timed, its sub-networks best first.
        latencies: By key, what was found.
        constraints: The budget.
    """
    again = [replace(entry, latency=latencies[entry.key]) for entry in timed]
    for entry in (entry for entry in again if entry.origin == "supernet"):
        if _straddles(entry, constraints):
            return False
        if not total_violation(constraints, entry.judged):
            break
    return not any(_straddles(e, constraints) for e in again if e.origin != "supernet")


def _straddles(candidate: Candidate, constraints: Sequence[Constraint]) -> bool:
    """Whether the interval of its latency holds the limit."""
    time_ms = None if candidate.latency is None else candidate.latency.time_ms
    return time_ms is not None and any(
        time_ms.low <= entry.limit < time_ms.high
        for entry in constraints
        if entry.quantity == "latency_ms"
    )


def _passed_over(
    found: QueryResult, again: Sequence[Candidate], constraints: Sequence[Constraint]
) -> tuple[PassedOver, ...]:
    """Those timed again that do not keep the limit and would have been named before the answer."""
    answer = found.answer
    return tuple(
        PassedOver(entry, undecided=_straddles(entry, constraints))
        for entry in sorted(again, key=_rank)
        if entry is not found.nearest
        and total_violation(constraints, entry.judged)
        and (
            answer is None
            or entry.origin != "supernet"
            or entry.evaluation.value >= answer.evaluation.value
        )
    )


def _corrected(
    found: QueryResult,
    candidates: Sequence[Candidate],
    passed_over: Sequence[PassedOver],
    *,
    constraints: Sequence[Constraint],
) -> CorrectedScore | None:
    """The answer's score, corrected for the choice among what keeps the budget."""
    if found.answer is None or _outcomes(found.answer).n < MIN_EXAMPLES:
        return None
    gone = {entry.candidate.key for entry in passed_over}
    return corrected_choice(
        [
            entry
            for entry in candidates
            if entry.origin == "supernet"
            and entry.key not in gone
            and (entry.key == found.answer.key or not total_violation(constraints, entry.judged))
        ]
    )


def _hint(constraint: Constraint, candidates: Sequence[Candidate]) -> str | None:
    """The limit in the unit that was probably meant, where every network misses it by far."""
    kind = constraint.kind
    least = min(candidate.judged[constraint.quantity] for candidate in candidates)
    if kind.larger_is_better or least < FAR_OFF * constraint.limit:
        return None
    factor = next((f for f in (1e3, 1e6, 1e9) if constraint.limit * f >= least), None)
    if factor is None:
        return None
    return (
        f"Every network misses {constraint.phrase()} by a factor of more than {FAR_OFF:g}: did "
        f"you mean {kind.text(constraint.limit * factor)}?"
    )


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
        score += f", {_difference(comparison)}"
    return (
        f"Beside the supernet, {candidate.label} meets the budget: {score}; "
        f"{_costs(candidate)}; {candidate.source}."
    )


def _difference(comparison: PairedComparison) -> str:
    """How a network scores against the answer, with the verdict."""
    return (
        f"{-comparison.difference:+.4f} [{-comparison.high:+.4f}, {-comparison.low:+.4f}] "
        f"against the answer, {comparison.verdict}"
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
    return {"difference": comparison.interval, **comparison.test}


def _interval(evaluation: Evaluation) -> str:
    return f"{evaluation.value:.4f} [{evaluation.low:.4f}, {evaluation.high:.4f}]"


def _time(time_ms: Estimate) -> str:
    kind = QUANTITIES["latency_ms"]
    return f"{kind.text(time_ms.value)} [{kind.text(time_ms.low)}, {kind.text(time_ms.high)}]"


def _costs(candidate: Candidate) -> str:
    counts = [
        f"{QUANTITIES['num_params'].text(candidate.known_value('num_params'))} parameters",
        f"{QUANTITIES['num_flops'].text(candidate.known_value('num_flops'))} FLOPs",
    ]
    latency = candidate.latency
    if latency is None:
        return ", ".join(counts)
    speed = (
        "the full model"
        if latency.is_reference
        else f"{latency.speedup:.3g} times the full model's speed"
    )
    mark = "" if latency.resolved else " (not resolved)"
    return ", ".join([_time(latency.time_ms) + mark, speed, *counts])


def _share(miss: Miss) -> str:
    """How far a limit is missed, as a share of it, or as a factor where it is missed by far."""
    share = miss.constraint.relative_violation(miss.value)
    return f"{share:.1%}" if share < 1 else f"{1 + share:.3g} times the limit"


def _judged_at(miss: Miss) -> str:
    if miss.constraint.quantity != "latency_ms":
        return ""
    return f", judged by the upper end of its interval, {miss.constraint.kind.text(miss.value)}"
