"""Results as tables and sentences for a terminal."""

from typing import Any

from rich.markup import escape
from rich.table import Table

from ..profiling.table import LatencySummary, LookupTable
from ..search.candidate import Candidate
from ..search.front import ParetoFront
from ..search.quantities import QUANTITIES


def cost_table(table: LookupTable) -> Table:
    """What each sub-network costs, with the protocol and the machine as the caption."""
    drawing = Table(
        title=escape(table.protocol.title), caption=escape(table.environment.title), box=None
    )
    for heading in ("sub-network", "params", "MACs", "FLOPs", "latency", "95 %", "ratio", "95 %"):
        drawing.add_column(heading, justify="left" if heading == "sub-network" else "right")
    for entry in table:
        drawing.add_row(
            entry.config.key,
            _count(entry.num_params),
            _count(entry.num_macs),
            _count(entry.flops),
            *_latency_cells(entry.latency),
        )
    return drawing


def front_table(front: ParetoFront) -> Table:
    """The members of a front, cheapest first."""
    evaluation = front.members[0].evaluation
    drawing = Table(
        title=f"The front on {escape(evaluation.split)}: {len(front.members)} of "
        f"{len(front.members) + len(front.dominated)} sub-networks",
        box=None,
    )
    for heading in ("sub-network", "key"):
        drawing.add_column(heading)
    for heading in (escape(evaluation.metric), "95 %", "params", "FLOPs", "latency", "95 %"):
        drawing.add_column(heading, justify="right")
    for member in front.members:
        drawing.add_row(*_candidate_cells(member))
    return drawing


def candidate_record(candidate: Candidate) -> dict[str, Any]:
    """A scored sub-network as JSON types, without every example's outcome."""
    score, latency = candidate.evaluation, candidate.latency
    return {
        "key": candidate.key,
        "label": candidate.label,
        "params": candidate.num_params,
        "flops": candidate.num_flops,
        "latency_ms": latency
        and {"median": latency.median_ms, "low": latency.low_ms, "high": latency.high_ms},
        "speedup": candidate.speedup,
        "metric": score.metric,
        "search": {"value": score.value, "low": score.low, "high": score.high, "n": score.n},
    }


def _candidate_cells(candidate: Candidate) -> tuple[str, ...]:
    score = candidate.evaluation
    return (
        escape(candidate.label),
        candidate.key,
        f"{score.value:.4f}",
        "" if score.low is None else f"{score.low:.4f} to {score.high:.4f}",
        _count(candidate.num_params),
        _count(candidate.num_flops),
        *_latency_cells(candidate.latency)[:2],
    )


def _latency_cells(latency: LatencySummary | None) -> tuple[str, str, str, str]:
    if latency is None:
        return ("", "", "", "")
    mark = "" if latency.resolved else " (not resolved)"
    return (
        f"{latency.median_ms:.3g} ms",
        f"{latency.low_ms:.3g} to {latency.high_ms:.3g}",
        f"{latency.ratio:.3f}",
        f"{latency.ratio_low:.3f} to {latency.ratio_high:.3f}{mark}",
    )


def _count(value: int | None) -> str:
    return "" if value is None else QUANTITIES["num_params"].text(value)
