"""Answering a query: the best network under a budget, timed again beside its rivals."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from ...deploy.deployment import EAGER_FP32
from ...dynabert.losses import read_losses
from ...profiling.table import LatencySummary
from ...search.budget import Budget
from ...search.budget_words import BudgetWord, Limits, parse_budget
from ...search.candidate import Candidate
from ...search.constraints import Constraint, LossLimit
from ...search.delivery import Timing, deliver
from ...search.explanation import Explanation, explain
from ...search.pool import Pool
from ...search.quantities import quantity_worded
from ...search.result import QueryResult
from ...tasks.scores import Evaluation
from ..context import Context
from ..costs import Where, chosen, competing, cost_table, elsewhere, is_here
from ..delivery import time_again
from ..observations import SessionRecord, Subject
from ..scores import score_reported
from ..warnings import table_warnings

if TYPE_CHECKING:
    from ...profiling.measuring import MeasuringProgress


def budget_of(context: Context, limits: Limits, *, cheapest: str | None = None) -> Budget:
    """Read what a user limits.

    Args:
        context: The run; its full model's score is what a loss is against.
        limits: By the command line's words, what is given.
        cheapest: The word of the quantity that is to be best; None for the score.

    Raises:
        InputError: When a limit or the word cannot be read.
    """
    words = cast(Mapping[BudgetWord, str | float], limits)
    parsed = [parse_budget(word, asked) for word, asked in words.items()]
    losses = [entry for entry in parsed if isinstance(entry, LossLimit)]
    aim = None if cheapest is None else quantity_worded(cheapest).name
    full = context.ledger.evaluations(split="search", deployment=EAGER_FP32) if losses else {}
    return Budget(
        limits=tuple(entry for entry in parsed if isinstance(entry, Constraint)),
        loss=losses[0] if losses else None,
        cheapest=None if aim == "score" else aim,
        full=full.get(context.full.id) if losses else None,
    )


def query(
    context: Context,
    limits: Limits,
    *,
    where: Where,
    cheapest: str | None = None,
    progress: "Callable[[MeasuringProgress], None] | None" = None,
) -> QueryResult:
    """Find the best network under a budget.

    Args:
        context: The run.
        limits: By the command line's words, what is given.
        where: Which measurements count.
        cheapest: The word of the quantity that is to be best; None for the score.
        progress: Is called after every visit to a network that is measured again.

    Returns:
        The answer with its score on the report split and its latency measured again, or the
        nearest network where none fits. Latencies of another machine than this are given as they
        were measured there, which is said first.

    Raises:
        InputError: When a limit cannot be read or the run is not searched yet.
    """
    sessions = chosen(context, where)
    pool = competing(context, sessions)
    budget = budget_of(context, limits, cheapest=cheapest)
    conditions = sessions[0].conditions
    place = tuple(filter(None, [elsewhere(conditions)]))

    def timed(
        networks: Sequence[Candidate],
        *,
        decided: Callable[[Mapping[str, LatencySummary]], bool],
    ) -> Timing:
        if not is_here(conditions):
            known = {entry.key: entry.latency for entry in networks}
            found = {key: latency for key, latency in known.items() if latency is not None}
            return Timing(found, sessions[0].disturbances)
        return time_again(
            context, networks, conditions.protocol, decided=decided, progress=progress
        )

    def reported(candidate: Candidate) -> Evaluation:
        found = score_reported(context, [candidate.network], deployment=candidate.deployment)
        return found["report"][candidate.network.id]

    result = deliver(pool, budget, time_again=timed, report=reported)
    full = _full(context, pool, sessions[0], beside=result.answer or result.nearest)
    result = replace(result, full=full, conditions=conditions)
    timed_again = result.report is not None or result.passed_over
    if timed_again and not result.warnings:
        return replace(result, warnings=place)
    warnings = table_warnings(
        context,
        cost_table(context, sessions[0]),
        doubtful=result.warnings if timed_again else None,
    )
    return replace(result, warnings=(*place, *warnings))


def explain_query(context: Context, result: QueryResult, *, where: Where) -> Explanation:
    """Explain what a query found, by what is known: nothing is scored or measured for it.

    Args:
        context: The run.
        result: What `query` found.
        where: Which measurements it chose from.
    """
    sessions = chosen(context, where)
    everywhere = chosen(context, replace(where, runtime="any", precision="any"))
    here = {record.conditions.protocol.deployment for record in sessions}
    return explain(
        competing(context, sessions),
        result,
        elsewhere={
            record.conditions.protocol.deployment.title: competing(context, [record])
            for record in everywhere
            if record.conditions.protocol.deployment not in here or len(here) > 1
        },
        losses=read_losses(context.folder.supernet),
    )


def _full(
    context: Context, pool: Pool, session: SessionRecord, *, beside: Candidate | None
) -> Candidate | None:
    """The full model as a session deploys it, timed in the same session as another network."""
    key = Subject(context.full.id, session.conditions.protocol.deployment).key
    if key not in pool.keys:
        return None
    full = pool[pool.keys.index(key)]
    latency = None if beside is None else beside.latency
    return full if latency is None else full.timed(latency.reference)
