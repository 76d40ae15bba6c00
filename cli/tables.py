"""Results as tables and sentences for a terminal."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from ..pipeline.power import PowerNetwork
from ..profiling.table import LatencySummary, LookupTable
from ..search.candidate import Candidate
from ..search.front import ParetoFront
from ..search.quantities import QUANTITIES
from ..search.selection import MIN_EXAMPLES, CorrectedScore, corrected_front
from ..tasks.metrics import PairedComparison

if TYPE_CHECKING:
    from ..profiling.predictor import Predictor


def cost_table(table: LookupTable) -> Table:
    """What each sub-network costs, with the protocol and the machine as the caption."""
    latency = table.full.latency
    meaning = "" if latency is None else f"; latency: {latency.ratio.meaning}"
    drawing = Table(
        title=escape(table.protocol.title),
        caption=escape(table.environment.title + meaning),
        box=None,
    )
    drawing.add_column("sub-network", justify="left")
    for heading in ("params", "MACs", "FLOPs", "disk", "memory"):
        drawing.add_column(heading, justify="right")
    for heading in ("latency", "interval", "ratio", "interval", "per s"):
        drawing.add_column(heading, justify="right")
    has_energy = any(entry.energy_j is not None for entry in table)
    if has_energy:
        drawing.add_column("energy", justify="right")
    for entry in table:
        throughput = table.throughput(entry.config)
        drawing.add_row(
            entry.config.key,
            _count(entry.num_params),
            _count(entry.num_macs),
            _count(entry.flops),
            _megabytes(entry.size_bytes),
            _megabytes(entry.peak_memory_bytes),
            *_latency_cells(entry.latency),
            "" if throughput is None else f"{throughput:.3g}",
            *([f"{entry.energy_j:.3g} J"] if entry.energy_j is not None else []),
        )
    return drawing


def deployment_table(
    deployments: Sequence[tuple[LookupTable, PairedComparison | None]],
) -> Table:
    """The full model as each table deploys it, and what that costs in score.

    Args:
        deployments: Cost tables, each with the full model in fp32 compared with the full model as
            deployed, on the search split; None where it was not scored.
    """
    drawing = Table(title="The full model as deployed", box=None)
    drawing.add_column("deployment", justify="left")
    for heading in ("latency", "interval", "disk", "memory", "score lost", "95 %"):
        drawing.add_column(heading, justify="right")
    for table, loss in deployments:
        full = table.full
        drawing.add_row(
            escape(table.protocol.title),
            *_latency_cells(full.latency)[:2],
            _megabytes(full.size_bytes),
            _megabytes(full.peak_memory_bytes),
            *_loss_cells(table, loss),
        )
    return drawing


def retention_table(network: PowerNetwork) -> Table:
    """A PoWER-BERT network: what leaves each layer, its scores and its costs."""
    candidate, report = network.candidate, network.report
    drawing = Table(title=escape(candidate.label), box=None, show_header=False)
    drawing.add_column(justify="left")
    drawing.add_column(justify="left")
    latency = candidate.latency
    assert latency is not None
    unit = "% of the input's tokens" if network.retention.unit == "percent" else "tokens"
    scores = (candidate.evaluation, report)
    for name, text in (
        ("kept per layer", f"{', '.join(map(str, network.retention.amounts))} {unit}"),
        *(
            (
                f"{score.metric}, {score.split}",
                f"{score.value:.4f} [{score.low:.4f}, {score.high:.4f}] on {score.n} examples",
            )
            for score in scores
        ),
        ("FLOPs", _count(candidate.num_flops)),
        (
            "latency",
            f"{' '.join(_latency_cells(latency)[:2])}, "
            f"{latency.speedup:.2f} times the full model's speed; {latency.ratio.meaning}",
        ),
    ):
        drawing.add_row(name, text)
    return drawing


def validation_table(predictor: "Predictor") -> Table:
    """How well each model predicts held-out networks, the chosen one first."""
    protocol = predictor.conditions.protocol
    drawing = Table(
        title=escape(
            f"Latency of {len(predictor.held_out)} held-out networks, predicted from "
            f"{len(predictor.fitted)} measured ones"
        ),
        caption=escape(protocol.title),
        box=None,
    )
    drawing.add_column("model", justify="left")
    for heading in ("error in folds", "MAPE", "worst", "Kendall tau", "noise floor", "usable"):
        drawing.add_column(heading, justify="right")
    for validation in predictor.validations:
        drawing.add_row(
            validation.model,
            f"{validation.fold_error:.2%}",
            f"{validation.mape:.2%}",
            f"{validation.worst:.2%}",
            f"{validation.kendall_tau:.3f}",
            f"{validation.noise_floor:.2%}",
            "yes" if validation.usable else "no",
        )
    return drawing


def _loss_cells(table: LookupTable, loss: PairedComparison | None) -> tuple[str, str]:
    if not table.protocol.deployment.changes_numbers:
        return "0", "same logits"
    if loss is None:
        return "not scored", ""
    interval = f"{loss.low:.4f} to {loss.high:.4f}"
    if not loss.tie:
        return f"{loss.difference:.4f}", interval
    seen = "" if loss.detectable is None else f"; {loss.detectable:.2g} would show"
    return f"{loss.difference:.4f}", f"{interval} (a tie{seen})"


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
    scores = corrected_scores(front)
    headings = (escape(evaluation.metric), "95 %", "corrected", "params", "FLOPs", "latency")
    for heading in (*headings, "interval"):
        drawing.add_column(heading, justify="right")
    for member in front.members:
        corrected = scores.get(member.key)
        drawing.add_row(
            *_candidate_cells(
                member, corrected="" if corrected is None else f"{corrected.corrected:.4f}"
            )
        )
    return drawing


def corrected_scores(front: ParetoFront) -> Mapping[str, CorrectedScore]:
    """The members' scores by key, corrected for having been chosen; none of few examples."""
    if (front.members[0].evaluation.n or 0) < MIN_EXAMPLES:
        return {}
    return corrected_front(front).scores


def candidate_record(candidate: Candidate) -> dict[str, Any]:
    """A scored sub-network as JSON types, without every example's outcome."""
    return {"label": candidate.label, **candidate.summary()}


def _candidate_cells(candidate: Candidate, *, corrected: str) -> tuple[str, ...]:
    score = candidate.evaluation
    return (
        escape(candidate.label),
        candidate.key,
        f"{score.value:.4f}",
        "" if score.low is None else f"{score.low:.4f} to {score.high:.4f}",
        corrected,
        _count(candidate.num_params),
        _count(candidate.num_flops),
        *_latency_cells(candidate.latency)[:2],
    )


def _latency_cells(latency: LatencySummary | None) -> tuple[str, str, str, str]:
    if latency is None:
        return ("", "", "", "")
    mark = "" if latency.resolved else " (not resolved)"
    time_ms, ratio = latency.time_ms, latency.ratio
    return (
        QUANTITIES["latency_ms"].text(float(f"{time_ms.value:.3g}")),
        f"{time_ms.low:.3g} to {time_ms.high:.3g}{mark}",
        f"{ratio.value:.3f}",
        f"{ratio.low:.3f} to {ratio.high:.3f}{mark}",
    )


def _megabytes(num_bytes: int | None) -> str:
    return "" if num_bytes is None else f"{num_bytes / 1e6:.3g} MB"


def _count(value: int | None) -> str:
    return "" if value is None else QUANTITIES["num_params"].text(value)
