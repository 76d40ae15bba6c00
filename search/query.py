"""The best network under a budget, by the costs that are known (no torch, no Optuna).

The answer is the feasible candidate that scores highest on the search split, or, where a cost is
asked for (`--cheapest`), the one that costs least; ties go to the cheaper, or the better scoring.
The report split takes no part in choosing.

Sub-networks and what methods or users brought are candidates alike, on one deployment or several.
What a search scored and nobody measured is passed over where the budget names what is not known.
"""

import numpy as np

from ..errors import InputError
from ..tasks.comparison import compare
from .budget import Budget
from .candidate import Candidate
from .constraints import Constraint
from .pool import Places, Pool, outcomes
from .quantities import QUANTITIES
from .result import QueryResult, RunnerUp
from .ties import cheapest_tie, is_cheaper

SHOWN_RUNNERS_UP = 3
"""How many runners-up are timed again and shown, beside the cheapest that ties."""

FAR_OFF = 100.0
"""A limit that every network misses by more than this factor lacks a unit, probably."""


def answer_query(pool: Pool, budget: Budget | None = None) -> QueryResult:
    """Find the best network under a budget, by the costs that are known.

    Args:
        pool: What there is to choose from.
        budget: What is asked; None for the best score of all.

    Raises:
        InputError: When there are no networks, or the budget names what was measured for none.
    """
    asked = budget or Budget()
    if not len(pool):
        raise InputError("There are no scored networks to choose from: search first.")
    known = pool.take(_known(pool, asked))
    fitting = known.take(asked.feasible(known))
    fitting = fitting.take(asked.best_first(fitting))
    answer = fitting[0] if len(fitting) else None
    tie = None if answer is None else cheapest_tie(fitting)
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
        nearest=None if len(fitting) else _nearest(known, asked),
        several=pool.num_deployments > 1,
        num_unmeasured=len(pool) - len(known),
        hints=tuple(filter(None, (_hint(entry, known) for entry in asked.limits))),
    )


def _nearest(pool: Pool, budget: Budget) -> Candidate:
    """The candidate that misses the limits least, the best first among equals."""
    missed = budget.violations(pool)
    near = pool.take(np.flatnonzero(missed == missed.min()))
    return near[int(budget.best_first(near)[0])]


def _known(pool: Pool, budget: Budget) -> Places:
    """The places of the networks of which everything is known that the budget names."""
    known = np.ones(len(pool), dtype=bool)
    for quantity in budget.quantities:
        missing = np.isnan(pool.column(quantity).judged)
        if not (known & ~missing).any():
            first = pool[int(np.flatnonzero(missing)[0])].name
            more = (
                "; a 99th percentile takes 459 runs, so measure longer"
                if quantity == "p99_ms"
                else ""
            )
            raise InputError(
                f"The budget names {QUANTITIES[quantity].word}, which was not measured for "
                f"{first}: profile it first, or leave this out{more}."
            )
        known &= ~missing
    return np.flatnonzero(known)


def _runner_up(entry: Candidate, answer: Candidate) -> RunnerUp:
    ours, theirs = entry.latency, answer.latency
    together = ours is not None and theirs is not None and ours.session == theirs.session
    return RunnerUp(
        candidate=entry,
        comparison=compare(outcomes(answer), outcomes(entry)),
        is_cheaper=is_cheaper(entry, answer),
        ratio=ours.ratio_to(theirs) if together and ours and theirs else None,
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
