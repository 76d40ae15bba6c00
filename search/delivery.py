"""An answer that keeps its budget when it is timed again (no torch).

Limits are judged when the answer is chosen (`search.query`) and again when it is delivered: the
answer, its shown rivals and the full model are timed again in one session, and every number of the
result is of that session. An interval that straddles a limit is measured longer first. An answer
that does not keep the limits then is passed over for the next.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import numpy as np

from ..profiling.table import LatencySummary
from ..tasks.scores import Evaluation
from .budget import Budget
from .candidate import Candidate
from .pool import Pool, outcomes
from .query import answer_query
from .result import PassedOver, QueryResult
from .selection import MIN_EXAMPLES, CorrectedScore, corrected_answer


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
                num_unmeasured=first.num_unmeasured,
                report=report(found.answer),
                warnings=tuple(timing.disturbances),
            )
        broken = {entry.key: entry for entry in again}
        result = answer_query(pool.replaced(again), budget)
    return replace(result, passed_over=_passed_over(result, tuple(broken.values()), budget))


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
    """The answer's score, corrected for the choice among what keeps the budget.

    What a search scored and nobody measured lost the choice before: it scored too low to be
    measured. Without it the corrected score would flatter. Where a cost is not known, FLOPs stand
    for it, as on fronts: it counts where it scores no more than the answer, of no more FLOPs.
    """
    answer, budget = found.answer, found.budget
    if answer is None or budget.cheapest is not None or outcomes(answer).n < MIN_EXAMPLES:
        return None
    gone = {entry.candidate.key for entry in passed_over}
    kept = {pool.keys[place] for place in budget.feasible(pool)} - gone | {answer.key}
    flops, scores = (pool.column(name).values for name in ("num_flops", "score"))
    kept |= {
        pool.keys[place]
        for place in budget.unjudged(pool)
        if flops[place] <= answer.known_value("num_flops")
        and scores[place] <= answer.known_value("score")
    }
    chosen_from = [place for place, key in enumerate(pool.keys) if key in kept]
    return corrected_answer(pool.take(np.array(chosen_from)), answer.key)
