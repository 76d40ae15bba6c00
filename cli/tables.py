"""Results as tables and sentences for a terminal."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from rich.markup import escape
from rich.table import Table

from ..intervals import duration
from ..profiling.carried import Carried
from ..profiling.table import CostTable, LatencySummary
from ..search.candidate import Candidate
from ..search.front import ParetoFront
from ..search.pool import outcomes
from ..search.quantities import QUANTITIES
from ..search.selection import MIN_EXAMPLES, CorrectedScore, corrected_front
from ..tasks.metrics import PairedComparison

if TYPE_CHECKING:
    from ..pipeline.run import Run
    from ..pipeline.steps.add import Added
    from ..pipeline.steps.ose import Extracted
    from ..pipeline.steps.plan import TrainingPlan
    from ..profiling.predictor import Predictor


def cost_table(table: CostTable) -> Table:
    """What each sub-network costs, with the protocol and the machine as the caption."""
    latency = table.full.latency
    meaning = "" if latency is None else f"; latency: {latency.ratio.meaning}"
    drawing = Table(
        title=escape(table.protocol.title),
        caption=escape(table.environment.title + meaning),
        box=None,
    )
    drawing.add_column("network", justify="left")
    for heading in ("params", "MACs", "FLOPs", "disk", "memory"):
        drawing.add_column(heading, justify="right")
    for heading in ("latency", "interval", "ratio", "interval", "per s"):
        drawing.add_column(heading, justify="right")
    has_energy = any(entry.energy_j is not None for entry in table)
    if has_energy:
        drawing.add_column("energy", justify="right")
    for entry in table:
        throughput = entry.throughput_per_s
        drawing.add_row(
            entry.network.name,
            _count(entry.num_params),
            _count(entry.num_macs),
            _count(entry.num_flops),
            _megabytes(entry.size_bytes),
            _megabytes(entry.peak_memory_bytes),
            *_latency_cells(entry.latency),
            "" if throughput is None else f"{throughput:.3g}",
            *([f"{entry.energy_j:.3g} J"] if entry.energy_j is not None else []),
        )
    return drawing


def carried_table(carried: Carried) -> Table:
    """What exported networks cost on this machine, relative to their reference."""
    protocol, environment = carried.protocol, carried.environment
    meaning = carried[carried.reference].latency.ratio.meaning
    sequences = sum(map(len, protocol.batch_lengths)) / len(protocol.batch_lengths)
    drawing = Table(
        title=escape(protocol.title),
        caption=escape(f"{environment.machine}: {environment.title}; latency: {meaning}"),
        box=None,
    )
    for heading in ("network", "deployment"):
        drawing.add_column(heading)
    for heading in ("disk", "memory", "latency", "interval", "ratio", "interval", "per s"):
        drawing.add_column(heading, justify="right")
    for entry in carried.networks:
        drawing.add_row(
            escape(entry.network.label),
            entry.deployment.title,
            _megabytes(entry.size_bytes),
            _megabytes(entry.peak_memory_bytes),
            *_latency_cells(entry.latency),
            f"{sequences * 1000 / entry.latency.time_ms.value:.3g}",
        )
    return drawing


def deployment_table(
    deployments: Sequence[tuple[CostTable, PairedComparison | None]],
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


def added_table(added: "Added") -> Table:
    """A network that was added: its scores and its costs."""
    candidate, report = added.candidate, added.report
    network = candidate.network
    drawing = Table(title=escape(f"{candidate.label} ({network.id})"), box=None, show_header=False)
    drawing.add_column(justify="left")
    drawing.add_column(justify="left")
    tokens = None if network.config is None else network.config.tokens
    if tokens is not None:
        unit = "% of the input's tokens" if tokens.unit == "percent" else "tokens"
        drawing.add_row("kept per layer", f"{', '.join(map(str, tokens.amounts))} {unit}")
    for score in (outcomes(candidate), report):
        drawing.add_row(
            f"{score.metric}, {score.split}",
            f"{score.interval.text('.4f')} on {score.n} examples",
        )
    drawing.add_row("parameters", _count(candidate.num_params))
    drawing.add_row("FLOPs", _count(candidate.num_flops))
    drawing.add_row(
        "multiply-adds",
        f"{added.speedup_macs:.2f} times fewer than the full model's, of the encoder over the "
        "training texts",
    )
    latency = candidate.latency
    if latency is not None:
        drawing.add_row(
            "latency",
            f"{' '.join(_latency_cells(latency)[:2])}, {latency.speedup:.2f} times the full "
            f"model's speed; {latency.ratio.meaning}",
        )
    return drawing


RANKED = 20
"""Candidates of an extraction that are printed; its file has all of them."""


def extraction_table(found: "Extracted") -> Table:
    """The ranking of an extraction with its three terms, at most 80 columns wide."""
    ranking, blocks = found.extraction.ranking, found.extraction.blocks
    trained = sum(entry.error is not None for entry in ranking)
    more = f"; {len(ranking) - RANKED} more in ranking.csv" if len(ranking) > RANKED else ""
    drawing = Table(
        title=f"{trained} of {len(found.points)} candidates trained, {len(blocks)} blocks{more}",
        caption=f"W = smaller x faster / error; epsilon {found.request.epsilon:g}, "
        f"{found.request.error.steps} steps",
        box=None,
        padding=(0, 1, 0, 0),
    )
    drawing.add_column("candidate", overflow="fold", max_width=24)
    speed = "MACs" if found.request.speed == "macs" else "ms"
    for heading in ("params", speed, "smaller", "faster", "error", "W"):
        drawing.add_column(heading, justify="right", no_wrap=True)
    for entry in ranking[:RANKED]:
        size = entry.point.size
        drawing.add_row(
            escape(entry.point.name),
            _short(size.params),
            _short(size.inference) if found.request.speed == "macs" else f"{size.inference:.3g}",
            f"{entry.smaller:.3f}",
            f"{entry.faster:.3f}",
            "" if entry.error is None else f"{entry.error:.4g}",
            f"{entry.value:.4g}",
        )
    return drawing


def _short(count: float) -> str:
    """A count in four characters or so."""
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "K")):
        if count >= factor:
            return f"{count / factor:.3g}{letter}"
    return f"{count:.3g}"


def network_table(candidates: Sequence[Candidate], numbers: Mapping[str, int]) -> Table:
    """The networks of a run as they are deployed, in order.

    Args:
        candidates: The networks.
        numbers: Their numbers by their ids.
    """
    drawing = Table(box=None)
    drawing.add_column("#", justify="right")
    for heading in ("id", "network", "deployment"):
        drawing.add_column(heading)
    metric = candidates[0].evaluation.metric
    headings = (escape(metric), "95 %", "params", "FLOPs", "latency", "interval", "disk", "memory")
    for heading in headings:
        drawing.add_column(heading, justify="right")
    for entry in candidates:
        score = entry.evaluation
        drawing.add_row(
            str(numbers[entry.network.id]),
            entry.network.id,
            escape(entry.label),
            entry.deployment.title,
            f"{score.value:.4f}",
            "" if score.interval is None else score.interval.ends(".4f"),
            _count(entry.num_params),
            _count(entry.num_flops),
            *_latency_cells(entry.latency)[:2],
            _megabytes(entry.profile.size_bytes),
            _megabytes(entry.profile.peak_memory_bytes),
        )
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


def _loss_cells(table: CostTable, loss: PairedComparison | None) -> tuple[str, str]:
    if not table.protocol.deployment.changes_numbers:
        return "0", "same logits"
    if loss is None:
        return "not scored", ""
    value, ends = f"{loss.interval.value:.4f}", loss.interval.ends(".4f")
    if not loss.tie:
        return value, ends
    seen = "" if loss.detectable is None else f"; {loss.detectable:.2g} would show"
    return value, f"{ends} (a tie{seen})"


def front_table(front: ParetoFront, numbers: Mapping[str, int]) -> Table:
    """The members of a front, cheapest first.

    Args:
        front: The front.
        numbers: The networks' numbers by their ids.
    """
    evaluation = front.members[0].evaluation
    drawing = Table(
        title=f"The front on {escape(evaluation.split)}: {len(front.members)} of "
        f"{len(front.members) + len(front.dominated)} networks"
        + (f"; {len(front.unmeasured)} more are scored, not measured" if front.unmeasured else ""),
        box=None,
    )
    drawing.add_column("#", justify="right")
    for heading in ("network", "key"):
        drawing.add_column(heading)
    scores = corrected_scores(front)
    headings = (escape(evaluation.metric), "95 %", "corrected", "params", "FLOPs", "latency")
    for heading in (*headings, "interval"):
        drawing.add_column(heading, justify="right")
    for member in front.members:
        corrected = scores.get(member.key)
        drawing.add_row(
            str(numbers[member.network.id]),
            *_candidate_cells(
                member, corrected="" if corrected is None else f"{corrected.corrected:.4f}"
            ),
        )
    return drawing


def corrected_scores(front: ParetoFront) -> Mapping[str, CorrectedScore]:
    """The members' scores by key, corrected for having been chosen; none of few examples."""
    if (front.members[0].evaluation.n or 0) < MIN_EXAMPLES:
        return {}
    return corrected_front(front).scores


def _candidate_cells(candidate: Candidate, *, corrected: str) -> tuple[str, ...]:
    score = candidate.evaluation
    return (
        escape(candidate.label),
        candidate.name,
        f"{score.value:.4f}",
        "" if score.interval is None else score.interval.ends(".4f"),
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
        time_ms.ends(".3g") + mark,
        f"{ratio.value:.3f}",
        ratio.ends(".3f") + mark,
    )


def _megabytes(num_bytes: int | None) -> str:
    return "" if num_bytes is None else f"{num_bytes / 1e6:.3g} MB"


def _count(value: int | None) -> str:
    return "" if value is None else QUANTITIES["num_params"].text(value)


def plan_table(plan: "TrainingPlan") -> Table:
    """The stages of a training before it starts."""
    drawing = Table(title="what would be trained", box=None)
    for heading in ("stage", "epochs", "by", "steps", "texts", "networks", "rate", "by", "time"):
        side: Literal["left", "right"] = "left" if heading in ("stage", "by") else "right"
        drawing.add_column(heading, justify=side)
    for stage in plan.stages:
        tried = "/".join(f"{rate:g}" for rate in plan.teacher_rates)
        drawing.add_row(
            stage.name,
            f"{stage.epochs:g}",
            stage.epochs_by,
            f"{stage.steps:,}",
            f"{stage.texts:,}",
            str(stage.networks),
            tried if stage.rate_by == "sweep" else f"{stage.learning_rate:g}",
            stage.rate_by,
            duration(stage.seconds),
        )
    return drawing


def plan_sentences(plan: "TrainingPlan") -> list[str]:
    """Time, memory and disk of a training before it starts."""
    return [
        f"training: about {duration(plan.seconds)} on this machine as busy as it is now; the "
        f"recipe {plan.recipe} ({plan.recipe_by}), batches of {plan.batch_size}",
        f"memory: {plan.peak_memory_bytes / 1e6:,.0f} MB at most in the probe, whose batches hold "
        "the longest texts",
        f"disk: {plan.disk_bytes / 1e6:,.0f} MB stay, {plan.disk_peak_bytes / 1e6:,.0f} MB at "
        "most while it trains",
    ]


def question(run: "Run", front: ParetoFront) -> str:
    """A query that the front can answer: about what its middle member costs."""
    params = math.ceil((front.members[len(front.members) // 2].profile.num_params or 0) / 1e5) / 10
    return f"paretobert query {run.folder.root} --params {params:g}M"
