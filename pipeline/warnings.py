"""What forbids to take latencies at their word, and the command that does something about it."""

from collections.abc import Sequence

from ..profiling.quietness import remedy
from ..profiling.table import CostTable
from .context import Context


def table_warnings(
    context: Context, costs: CostTable, *, doubtful: Sequence[str] | None = None
) -> tuple[str, ...]:
    """What is doubtful about latencies, with what to do about it at the end.

    Args:
        context: The run.
        costs: The table.
        doubtful: What is doubtful about a second timing; None for the table's own.
    """
    found = costs.disturbances if doubtful is None else tuple(doubtful)
    if costs.noise is None or not found:
        return ()
    advice = remedy(
        costs.noise,
        [entry.latency.resolved for entry in costs if entry.latency is not None],
        command=" ".join([context.command("profile"), *context.options(costs.protocol)]),
        time_budget_s=costs.protocol.time_budget_s,
    )
    return (*found, advice)
