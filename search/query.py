"""The best network under a budget, and how sure that is (no torch, no Optuna).

The answer is the feasible candidate that scores highest on the search split, or, where a cost is
asked for (`--cheapest`), the one that costs least; ties go to the cheaper, or the better scoring.
A higher score need not mean a better network, so runners-up are compared with the answer on the
same examples, and the cheapest that is not distinguishable from it is named: whether to take that
is the user's choice. When nothing is feasible, the nearest candidate is the one whose missed
limits sum to the smallest share.

Limits are judged as `search.constraints` says: what was measured by the worse end of its interval.
That holds when the answer is chosen and again when it is delivered (`deliver`): the answer, its
shown rivals and the full model are timed again in one session, and every number of the result is
of that session. An interval that straddles a limit is measured longer first. An answer that does
not keep the limits then is passed over for the next. The report split takes no part in choosing.

Sub-networks and what methods or users brought are candidates alike, on one deployment or several.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from html import escape
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..intervals import Interval
from ..profiling.conditions import Conditions
from ..profiling.table import LatencySummary
from ..tasks.metrics import Evaluation, PairedComparison, compare, discordant
from ..tasks.proportions import LEVEL, mcnemar_p_value, tango_interval
from . import wording
from .candidate import Candidate, score_record
from .constraints import Constraint, LossLimit
from .markup import html_table
from .pool import RANKED_COSTS, Places, Pool, cheapest_first, outcomes
from .quantities import QUANTITIES, TIMED
from .selection import MIN_EXAMPLES, CorrectedScore, corrected_choice

SHOWN_RUNNERS_UP = 3
"""How many runners-up are timed again and shown, beside the cheapest that ties."""

MORE = 1.1
"""How many times more of a limit an explanation asks for; the page as well."""

FAR_OFF = 100.0
"""A limit that every network misses by more than this factor lacks a unit, probably."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Timing:
    """Latencies of one session.

    Attributes:
        latencies: By the candidate's key.
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


@dataclass(frozen=True)
class Budget:
    """What is asked of a network, and what for.

    Attributes:
        limits: Limits on quantities.
        loss: A limit on the score lost against the full model; None for none.
        cheapest: The quantity that is to be best; None for the score.
        full: The full model's outcomes on the search split, for `loss`.
    """

    limits: tuple[Constraint, ...] = ()
    loss: LossLimit | None = None
    cheapest: str | None = None
    full: Evaluation | None = None

    def __post_init__(self) -> None:
        """Check that a loss has something to be lost against."""
        if self.loss is not None and self.full is None:
            raise InputError(
                "A loss is against the full model, which is not scored yet: search first."
            )

    @cached_property
    def _losses(self) -> dict[str, PairedComparison]:
        return {}

    def loss_of(self, candidate: Candidate) -> PairedComparison:
        """What a candidate loses against the full model; computed once."""
        assert self.full is not None
        if candidate.key not in self._losses:
            self._losses[candidate.key] = compare(self.full, outcomes(candidate))
        return self._losses[candidate.key]

    def violation(self, candidate: Candidate) -> float:
        """The shares of the limits that are exceeded, summed; 0 when every limit is kept."""
        return float(self.violations(Pool.of([candidate]))[0])

    def violations(self, pool: Pool) -> Floats:
        """The same for many networks: (K,)."""
        missed = self._missed(pool)
        if self.loss is not None:
            missed += np.maximum(0.0, self._most_lost(pool) / self.loss.limit - 1)
        return missed

    def feasible(self, pool: Pool) -> Places:
        """The places of the networks that keep every limit."""
        cheap = np.flatnonzero(self._missed(pool) == 0)
        if self.loss is None:
            return cheap
        return cheap[self._most_lost(pool.take(cheap)) <= self.loss.limit]

    def _missed(self, pool: Pool) -> Floats:
        """The shares of the limits on quantities that are exceeded, summed: (K,)."""
        missed = np.zeros(len(pool))
        for limit in self.limits:
            judged = pool.column(limit.quantity).judged
            missed += np.maximum(0.0, limit.relative_violation(judged))
        return missed

    def _most_lost(self, pool: Pool) -> Floats:
        """The upper ends of what networks lose against the full model: (K,)."""
        full = self.full
        assert full is not None
        if full.metric != "accuracy":
            return np.array([self.loss_of(entry).interval.high for entry in pool])
        only_full, only_other = discordant(full, pool.outcomes.predictions)
        _, high = tango_interval(only_full.astype(float), only_other.astype(float), n=full.n)
        return high

    def straddles(self, candidate: Candidate) -> bool:
        """Whether the interval of something that was timed holds a limit."""
        latency = candidate.latency
        if latency is None:
            return False
        time_ms = latency.time_ms
        best = {
            "latency_ms": time_ms.low,
            "throughput_per_s": candidate.known_value("throughput_per_s")
            * time_ms.value
            / time_ms.low,
            "speedup": 1 / latency.ratio.low,
        }
        worst = candidate.judged
        return any(
            entry.violation(best[entry.quantity]) <= 0 < entry.violation(worst[entry.quantity])
            for entry in self.limits
            if entry.quantity in TIMED
        )

    def phrase(self, *, metric: str) -> str:
        """The limits for a reader."""
        parts = [entry.phrase(metric=metric) for entry in self.limits]
        if self.loss is not None:
            parts.append(self.loss.phrase())
        return " and ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """What is asked, as JSON types."""
        return {
            "limits": [entry.to_dict() for entry in self.limits],
            "max_loss": self.loss and self.loss.limit,
            "cheapest": self.cheapest,
        }

    @property
    def parts(self) -> dict[str, Constraint | LossLimit]:
        """Every limit, by its quantity or `loss`."""
        limits: dict[str, Constraint | LossLimit] = {
            entry.quantity: entry for entry in self.limits
        }
        return limits if self.loss is None else {**limits, "loss": self.loss}

    def changed(self, name: str, part: Constraint | LossLimit | None) -> "Budget":
        """The same with another limit in the place of one of `parts`, or with none."""
        if name == "loss":
            assert not isinstance(part, Constraint)
            return replace(self, loss=part)
        assert not isinstance(part, LossLimit)
        kept = ((part if entry.quantity == name else entry) for entry in self.limits)
        return replace(self, limits=tuple(entry for entry in kept if entry is not None))

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit at all."""
        return bool(self.limits) or self.loss is not None

    def aim(self, pool: Pool) -> Floats:
        """What is to be best, turned so that smaller is better: (K,)."""
        if self.cheapest is None:
            return -pool.column("score").values
        values = QUANTITIES[self.cheapest].signed(pool.column(self.cheapest).values)
        return np.where(np.isnan(values), np.inf, values)

    def best_first(self, pool: Pool) -> Places:
        """The places of all networks, best first; ties go to the cheaper, then by key."""
        return cheapest_first(pool, after=[self.aim(pool), -pool.column("score").values])


@dataclass(frozen=True, slots=True)
class RunnerUp:
    """A feasible candidate that is no better than the answer.

    Attributes:
        candidate: The candidate.
        comparison: The answer minus this one, on the examples of the search split.
        is_cheaper: Whether it costs no more than the answer in anything and less in something.
        ratio: Its time relative to the answer's, in one session; None where they were not timed
            together.
    """

    candidate: Candidate
    comparison: PairedComparison
    is_cheaper: bool
    ratio: Interval | None = None


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A network that would have been named, but does not keep the limits when timed again.

    Attributes:
        candidate: The network, with the latency measured again.
        undecided: Whether its interval still straddles a limit after measuring longer.
        name: What it is called.
    """

    candidate: Candidate
    undecided: bool
    name: str

    def sentence(self) -> str:
        """Why it was passed over, for a reader."""
        reason = (
            "whose interval still straddles the latency limit after measuring longer"
            if self.undecided
            else "which broke the latency limit when measured again"
        )
        return f"Passed over: {self.name}, {reason}: {wording.costs(self.candidate)}."


@dataclass(frozen=True, slots=True)
class Miss:
    """A limit that a candidate does not keep.

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
        budget: What was asked.
        num_candidates: Candidates that were scored.
        num_feasible: Those of them that keep every limit by the cost table.
        answer: The best feasible one, None when there is none.
        rivals: The next best feasible ones, best first, and the cheapest that ties.
        cheapest_tie: The cheapest feasible one that is cheaper than the answer and not
            distinguishable from it; one of the rivals.
        nearest: The one that is nearest to the budget, when there is no answer.
        several: Whether the candidates are of several deployments, which names then carry.
        corrected: The answer's score on the search split, corrected for having been chosen, once
            delivered; None where there are too few examples, or a cost was asked for.
        report: The answer's outcomes on the report split, once delivered.
        passed_over: Networks that did not keep the limits when they were timed again.
        hints: Limits that were probably meant in another unit.
        warnings: What forbids to take the latencies at their word, to be said first.
        full: The full model, with its time in the session of the others; None where it is not
            among the candidates.
        conditions: What the latencies were measured under; None where that is not known.
    """

    budget: Budget
    num_candidates: int
    num_feasible: int
    answer: Candidate | None
    rivals: tuple[RunnerUp, ...] = ()
    cheapest_tie: RunnerUp | None = None
    nearest: Candidate | None = None
    several: bool = False
    corrected: CorrectedScore | None = None
    report: Evaluation | None = None
    passed_over: tuple[PassedOver, ...] = ()
    hints: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    full: Candidate | None = None
    conditions: Conditions | None = None

    def __repr__(self) -> str:
        """The result on one line."""
        first = self.answer or self.nearest
        assert first is not None
        verdict = "answer" if self.answer is not None else "nothing fits, nearest"
        return (
            f"<QueryResult {self.num_feasible} of {self.num_candidates} fit; {verdict} "
            f"{self.name(first)}>"
        )

    def _repr_html_(self) -> str:
        """What a notebook shows: the answer, the networks beside it, one caveat."""
        shown, doubts = wording.rows(self), wording.caveats(self)
        parts = [f"<b>{escape(wording.headline(self))}</b>", escape(wording.reason(self))]
        parts += [f"<i>Caveat: {escape(line)}</i>" for line in doubts[:1]]
        table = html_table(
            [entry for _, entry in shown], first=[part for part, _ in shown], stressed=0
        )
        return "".join(f"<p>{part}</p>" for part in parts) + table

    def name(self, candidate: Candidate) -> str:
        """What a candidate is called, with its deployment where there are several."""
        if not self.several:
            return candidate.name
        return f"{candidate.name} on {candidate.deployment.title}"

    @property
    def named(self) -> tuple[Candidate, ...]:
        """Every candidate whose number stands in the result."""
        first = self.nearest if self.answer is None else self.answer
        assert first is not None
        return (first, *(entry.candidate for entry in self.rivals))

    def headroom(self, candidate: Candidate) -> dict[str, float]:
        """What a candidate leaves of each limit, in the quantity's unit; below 0 when missed."""
        left = {
            entry.quantity: -entry.violation(candidate.judged[entry.quantity])
            for entry in self.budget.limits
        }
        if self.budget.loss is not None:
            left["loss"] = self.budget.loss.limit - self.budget.loss_of(candidate).interval.high
        return left

    def misses(self, candidate: Candidate) -> tuple[Miss, ...]:
        """The limits on quantities that a candidate does not keep."""
        return tuple(
            Miss(entry, candidate.judged[entry.quantity])
            for entry in self.budget.limits
            if entry.violation(candidate.judged[entry.quantity]) > 0
        )

    def to_dict(self) -> dict[str, Any]:
        """The result as one JSON object.

        `answer` and `nearest` are objects or null, the others lists.
        """
        answer, nearest = self.answer, self.nearest
        return {
            "warnings": list(self.warnings),
            **self.budget.to_dict(),
            "conditions": self.conditions and self.conditions.to_dict(),
            "num_candidates": self.num_candidates,
            "num_feasible": self.num_feasible,
            "answer": answer
            and {
                **_record(answer),
                "corrected": self.corrected and self.corrected.to_dict(),
                "report": self.report and score_record(self.report),
                "headroom": self.headroom(answer),
                "loss": self._loss_record(answer),
            },
            "runners_up": [
                {
                    **_record(entry.candidate),
                    "headroom": self.headroom(entry.candidate),
                    **_comparison_record(entry.comparison),
                    "cheaper": entry.is_cheaper,
                    "latency_ratio": entry.ratio
                    and {
                        **entry.ratio.numbers,
                        "tie": not entry.ratio.excludes(1),
                    },
                }
                for entry in self.rivals
            ],
            "nearest": nearest
            and {
                **_record(nearest),
                "missed": [miss.to_dict() for miss in self.misses(nearest)],
                "loss": self._loss_record(nearest),
            },
            "passed_over": [
                {**entry.candidate.summary(), "undecided": entry.undecided}
                for entry in self.passed_over
            ],
            "hints": list(self.hints),
            "full": self.full and self.full.summary(),
        }

    def sentences(self) -> list[str]:
        """The result for a reader, warnings first, one sentence or list item per line."""
        return wording.sentences(self)

    def _loss_record(self, candidate: Candidate) -> dict[str, float] | None:
        loss = self.budget.loss
        return None if loss is None else self.budget.loss_of(candidate).interval.numbers


def answer_query(pool: Pool, budget: Budget | None = None) -> QueryResult:
    """Find the best network under a budget, by the costs that are known.

    Args:
        pool: What there is to choose from.
        budget: What is asked; None for the best score of all.

    Raises:
        InputError: When there are no networks, or the budget names what was not measured.
    """
    asked = budget or Budget()
    if not len(pool):
        raise InputError("There are no scored networks to choose from: search first.")
    _refuse_unmeasured(pool, asked)
    fitting = pool.take(asked.feasible(pool))
    fitting = fitting.take(asked.best_first(fitting))
    answer = fitting[0] if len(fitting) else None
    tie = None if answer is None else _cheapest_tie(fitting)
    shown = [fitting[place] for place in range(1, min(len(fitting), 1 + SHOWN_RUNNERS_UP))]
    if tie is not None and tie not in shown:
        shown.append(tie)
    rivals = tuple(_runner_up(entry, answer) for entry in shown) if answer is not None else ()
    return QueryResult(
        budget=asked,
        num_candidates=len(pool),
        num_feasible=len(fitting),
        answer=answer,
        rivals=rivals,
        cheapest_tie=next((entry for entry in rivals if entry.candidate is tie), None),
        nearest=None if len(fitting) else _nearest(pool, asked),
        several=pool.num_deployments > 1,
        hints=tuple(filter(None, (_hint(entry, pool) for entry in asked.limits))),
    )


def _nearest(pool: Pool, budget: Budget) -> Candidate:
    """The candidate that misses the limits least, the best first among equals."""
    missed = budget.violations(pool)
    near = pool.take(np.flatnonzero(missed == missed.min()))
    return near[int(budget.best_first(near)[0])]


def deliver(
    pool: Pool,
    budget: Budget,
    *,
    time_again: TimeAgain,
    report: Callable[[Candidate], Evaluation],
) -> QueryResult:
    """Answer a query with a network that keeps the budget when it is timed again.

    Args:
        pool: See `answer_query`.
        budget: What is asked.
        time_again: Times the named networks again, in one session.
        report: Gives a candidate's outcomes on the report split.

    Raises:
        InputError: See `answer_query`.
    """
    result = answer_query(pool, budget)
    first = result
    broken: dict[str, Candidate] = {}
    while result.answer is not None:
        wanted = {entry.key: entry for entry in (*result.named, *broken.values())}
        timed = [entry for entry in wanted.values() if entry.latency is not None]
        timing = time_again(timed, decided=partial(_decided, timed, budget=budget))
        again = [entry.timed(timing.latencies.get(entry.key)) for entry in wanted.values()]
        found = answer_query(Pool.of(again), budget)
        if found.answer is not None:
            passed = _passed_over(found, again, budget)
            return replace(
                found,
                corrected=_corrected(found, pool, passed),
                num_candidates=first.num_candidates,
                num_feasible=first.num_feasible,
                several=first.several,
                passed_over=passed,
                report=report(found.answer),
                warnings=tuple(timing.disturbances),
            )
        broken = {entry.key: entry for entry in again}
        result = answer_query(pool.replaced(again), budget)
    return replace(result, passed_over=_passed_over(result, tuple(broken.values()), budget))


def _refuse_unmeasured(pool: Pool, budget: Budget) -> None:
    asked = [entry.quantity for entry in budget.limits]
    if budget.cheapest is not None:
        asked.append(budget.cheapest)
    for quantity in asked:
        missing = np.flatnonzero(np.isnan(pool.column(quantity).judged))
        if not missing.size:
            continue
        more = (
            "; a 99th percentile takes 459 runs, so measure longer" if quantity == "p99_ms" else ""
        )
        raise InputError(
            f"The budget names {QUANTITIES[quantity].word}, which was not measured for "
            f"{pool[int(missing[0])].name}: profile it first, or leave this out{more}."
        )


def _runner_up(entry: Candidate, answer: Candidate) -> RunnerUp:
    ours, theirs = entry.latency, answer.latency
    together = ours is not None and theirs is not None and ours.session == theirs.session
    return RunnerUp(
        candidate=entry,
        comparison=compare(outcomes(answer), outcomes(entry)),
        is_cheaper=_is_cheaper(entry, answer),
        ratio=ours.ratio_to(theirs) if together and ours and theirs else None,
    )


def _cheapest_tie(fitting: Pool) -> Candidate | None:
    """The cheapest network that is cheaper than the answer and not distinguishable from it.

    Cheapest first, so that the search ends with the first tie. What differs too much to tie is
    passed over by a bound on McNemar's test before any test is made.

    Args:
        fitting: What keeps the budget, the answer first.
    """
    costs = np.stack([fitting.column(name).values for name in RANKED_COSTS], axis=1)
    known = ~(np.isnan(costs) | np.isnan(costs[0]))
    cheaper = (~known | (costs <= costs[0])).all(axis=1) & (known & (costs < costs[0])).any(axis=1)
    rivals = fitting.take(np.flatnonzero(cheaper))
    if not len(rivals):
        return None
    rivals = rivals.take(cheapest_first(rivals))
    for place in _ties(outcomes(fitting[0]), rivals):
        return rivals[place]
    return None


def _ties(answer: Evaluation, rivals: Pool) -> Iterator[int]:
    """The places of the networks that are not distinguishable from the answer."""
    if answer.metric != "accuracy":
        yield from (
            place for place, rival in enumerate(rivals) if compare(answer, outcomes(rival)).tie
        )
        return
    only_a, only_b = discordant(answer, rivals.outcomes.predictions)
    # Beyond 4 standard deviations of a fair coin the exact test rejects whatever the number of
    # discordant examples: Hoeffding's bound of its p-value is 2 exp(-8).
    for place in np.flatnonzero((only_a - only_b) ** 2 <= 16 * (only_a + only_b)):
        if mcnemar_p_value(int(only_a[place]), int(only_b[place])) >= LEVEL:
            yield int(place)


def _decided(
    timed: Sequence[Candidate], latencies: Mapping[str, LatencySummary], *, budget: Budget
) -> bool:
    """Whether latencies tell which network is the answer.

    Args:
        timed: What was timed, best first.
        latencies: By key, what was found.
        budget: What is asked.
    """
    for entry in (each.timed(latencies[each.key]) for each in timed):
        if budget.straddles(entry):
            return False
        if not budget.violation(entry):
            break
    return True


def _passed_over(
    found: QueryResult, again: Sequence[Candidate], budget: Budget
) -> tuple[PassedOver, ...]:
    """Those timed again that do not keep the limits and would have come before the answer."""
    if not again:
        return ()
    pool = Pool.of(again)
    aims, missed = budget.aim(pool), budget.violations(pool)
    bound = math.inf if found.answer is None else budget.aim(Pool.of([found.answer]))[0]
    return tuple(
        PassedOver(entry, undecided=budget.straddles(entry), name=found.name(entry))
        for place in budget.best_first(pool)
        if (entry := pool[int(place)]) is not found.nearest
        and missed[place]
        and aims[place] <= bound
    )


def _corrected(
    found: QueryResult, pool: Pool, passed_over: Sequence[PassedOver]
) -> CorrectedScore | None:
    """The answer's score, corrected for the choice among what keeps the budget."""
    answer, budget = found.answer, found.budget
    if answer is None or budget.cheapest is not None or outcomes(answer).n < MIN_EXAMPLES:
        return None
    gone = {entry.candidate.key for entry in passed_over}
    kept = {pool.keys[place] for place in budget.feasible(pool)} - gone | {answer.key}
    return corrected_choice(
        pool.take(np.array([place for place, key in enumerate(pool.keys) if key in kept]))
    )


def _hint(constraint: Constraint, pool: Pool) -> str | None:
    """The limit in the unit that was probably meant, where every network misses it by far."""
    kind = constraint.kind
    least = float(pool.column(constraint.quantity).judged.min())
    if kind.larger_is_better or least < FAR_OFF * constraint.limit:
        return None
    factor = next((f for f in (1e3, 1e6, 1e9) if constraint.limit * f >= least), None)
    if factor is None:
        return None
    return (
        f"Every network misses {constraint.phrase()} by a factor of more than {FAR_OFF:g}: did "
        f"you mean {kind.text(constraint.limit * factor)}?"
    )


def _is_cheaper(candidate: Candidate, than: Candidate) -> bool:
    ours, theirs = candidate.profile.values, than.profile.values
    known = [
        (ours[name], theirs[name]) for name in RANKED_COSTS if name in ours and name in theirs
    ]
    return all(a <= b for a, b in known) and any(a < b for a, b in known)


def _record(candidate: Candidate) -> dict[str, Any]:
    config = candidate.network.config
    assert config is not None
    layers = zip(config.layers, config.heads, config.neurons, strict=True)
    return {
        **candidate.summary(),
        "layers": [{"index": i, "heads": heads, "neurons": n} for i, heads, n in layers],
        "tokens": config.tokens and config.tokens.to_dict(),
    }


def _comparison_record(comparison: PairedComparison) -> dict[str, Any]:
    return {"difference": comparison.interval.numbers, **comparison.test}
