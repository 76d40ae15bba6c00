"""Results as tables for a terminal: what each column says, and how soon it goes."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..intervals import duration
from ..profiling.carried import Carried
from ..profiling.table import CostTable, LatencySummary
from ..search.candidate import Candidate
from ..search.front import ParetoFront
from ..search.pool import outcomes
from ..search.quantities import QUANTITIES
from ..search.selection import MIN_EXAMPLES, CorrectedScore, corrected_front
from ..tasks.comparison import PairedComparison
from .layout import EXTRA, INTERVAL, LABEL, Column, Sheet

if TYPE_CHECKING:
    from ..pipeline.run import Run
    from ..pipeline.steps.add import Added
    from ..pipeline.steps.ose import Extracted
    from ..pipeline.steps.plan import TrainingPlan
    from ..profiling.predictor import Predictor

NOT_RESOLVED = "~"
"""Stands after a latency whose interval did not become narrow enough."""


def cost_table(table: CostTable, numbers: Mapping[str, int]) -> Sheet:
    """What each sub-network costs, with the protocol and the machine around it.

    Args:
        table: The costs.
        numbers: The networks' numbers by their ids.
    """
    entries = list(table)
    latencies = [entry.latency for entry in entries]
    per_s = [entry.throughput_per_s for entry in entries]
    joules = [entry.energy_j for entry in entries]
    return Sheet(
        [
            _numbers([entry.network.id for entry in entries], numbers),
            Column("network", [entry.network.name for entry in entries], is_text=True),
            *_latency_columns(latencies, with_ratio=True),
            Column("params", [_count(entry.num_params) for entry in entries]),
            Column("FLOPs", [_count(entry.num_flops) for entry in entries], EXTRA),
            Column("memory", [_bytes(entry.peak_memory_bytes) for entry in entries]),
            Column("disk", [_bytes(entry.size_bytes) for entry in entries]),
            Column("per s", ["" if x is None else f"{x:.3g}" for x in per_s], EXTRA),
            Column("energy", ["" if x is None else f"{x:.3g} J" for x in joules], EXTRA),
            Column("MACs", [_count(entry.num_macs) for entry in entries], EXTRA),
        ],
        title=table.protocol.title,
        caption=table.environment.title + latency_note(latencies),
    )


def carried_table(carried: Carried) -> Sheet:
    """What exported networks cost on this machine, relative to their reference."""
    protocol, environment = carried.protocol, carried.environment
    sequences = sum(map(len, protocol.batch_lengths)) / len(protocol.batch_lengths)
    entries = carried.networks
    per_s = [sequences * 1000 / entry.latency.time_ms.value for entry in entries]
    latencies = [entry.latency for entry in entries]
    return Sheet(
        [
            Column("network", [e.network.label for e in entries], is_text=True),
            Column("deployment", [e.deployment.title for e in entries], LABEL, is_text=True),
            *_latency_columns(latencies, with_ratio=True),
            Column("memory", [_bytes(entry.peak_memory_bytes) for entry in entries]),
            Column("disk", [_bytes(entry.size_bytes) for entry in entries], EXTRA),
            Column("per s", [f"{value:.3g}" for value in per_s], EXTRA),
        ],
        title=protocol.title,
        caption=f"{environment.machine}: {environment.title}{latency_note(latencies)}",
    )


def deployment_table(
    deployments: Sequence[tuple[CostTable, PairedComparison | None]],
) -> Sheet:
    """The full model as each table deploys it, and what that costs in score.

    Args:
        deployments: Cost tables, each with the full model in fp32 compared with the full model as
            deployed, on the search split; None where it was not scored.
    """
    full = [table.full for table, _ in deployments]
    losses = [_loss_cells(table, loss) for table, loss in deployments]
    titles = [table.protocol.deployment.title for table, _ in deployments]
    settings = [table.protocol.setting for table, _ in deployments]
    return Sheet(
        [
            Column("deployment", titles, is_text=True),
            *_latency_columns([entry.latency for entry in full]),
            Column("memory", [_bytes(entry.peak_memory_bytes) for entry in full]),
            Column("disk", [_bytes(entry.size_bytes) for entry in full]),
            Column("score lost", [value for value, _, _ in losses]),
            Column("verdict", [verdict for _, _, verdict in losses], is_text=True),
            Column("95 % of loss", [ends for _, ends, _ in losses], INTERVAL),
            Column("measured with", settings, INTERVAL, is_text=True),
        ],
        title="The full model as deployed",
    )


def added_table(added: "Added") -> Sheet:
    """A network that was added: its scores and its costs."""
    candidate, network = added.candidate, added.candidate.network
    rows = []
    tokens = None if network.config is None else network.config.tokens
    if tokens is not None:
        unit = "% of the input's tokens" if tokens.unit == "percent" else "tokens"
        rows.append(("kept per layer", f"{', '.join(map(str, tokens.amounts))} {unit}"))
    for score in (outcomes(candidate), added.report):
        text = f"{score.interval.text('.4f')} on {score.n} examples"
        rows.append((f"{score.metric}, {score.split}", text))
    rows += [
        ("parameters", _count(candidate.num_params)),
        ("FLOPs", _count(candidate.num_flops)),
        (
            "multiply-adds",
            f"{added.speedup_macs:.2f} times fewer than the full model's on the training texts",
        ),
    ]
    latency = candidate.latency
    if latency is not None:
        time = latency.time_ms.text(".3g", unit=" ms")
        rows.append(("latency", f"{time}, {latency.speedup:.2f} times the full model's speed"))
    return Sheet(
        [
            Column("", [name for name, _ in rows], is_text=True),
            Column("", [text for _, text in rows], is_text=True, wraps=True),
        ],
        title=f"{candidate.label} ({network.id})",
    )


RANKED = 20
"""Candidates of an extraction that are printed; its file has all of them."""


def extraction_table(found: "Extracted") -> Sheet:
    """The ranking of an extraction with its three terms."""
    ranking, blocks = found.extraction.ranking, found.extraction.blocks
    trained = sum(entry.error is not None for entry in ranking)
    more = f"; {len(ranking) - RANKED} more in ranking.csv" if len(ranking) > RANKED else ""
    shown = ranking[:RANKED]
    counts = found.request.speed == "macs"
    speeds = [entry.point.size.inference for entry in shown]
    errors = ["" if entry.error is None else f"{entry.error:.4g}" for entry in shown]
    return Sheet(
        [
            Column("candidate", [entry.point.name for entry in shown], is_text=True),
            Column("params", [_short(entry.point.size.params) for entry in shown]),
            Column(
                "MACs" if counts else "ms",
                [_short(value) if counts else f"{value:.3g}" for value in speeds],
            ),
            Column("smaller", [f"{entry.smaller:.3f}" for entry in shown]),
            Column("faster", [f"{entry.faster:.3f}" for entry in shown]),
            Column("error", errors),
            Column("W", [f"{entry.value:.4g}" for entry in shown]),
        ],
        title=f"{trained} of {len(found.points)} candidates trained, {len(blocks)} blocks{more}",
        caption=f"W = smaller x faster / error; epsilon {found.request.epsilon:g}, "
        f"{found.request.error.steps} steps",
    )


def _short(count: float) -> str:
    """A count in four characters or so."""
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "K")):
        if count >= factor:
            return f"{count / factor:.3g}{letter}"
    return f"{count:.3g}"


def network_table(candidates: Sequence[Candidate], numbers: Mapping[str, int]) -> Sheet:
    """The networks of a run as they are deployed, in order.

    Args:
        candidates: The networks.
        numbers: Their numbers by their ids.
    """
    titles = [entry.deployment.title for entry in candidates]
    memory = [_bytes(entry.profile.peak_memory_bytes) for entry in candidates]
    return Sheet(
        [
            *candidate_columns(candidates, numbers),
            Column("disk", [_bytes(e.profile.size_bytes) for e in candidates], EXTRA),
            Column("memory", memory, EXTRA),
            Column("deployment", titles, LABEL if len(set(titles)) > 1 else EXTRA, is_text=True),
            Column("id", [entry.network.id for entry in candidates], EXTRA, is_text=True),
        ],
    )


def front_table(front: ParetoFront, numbers: Mapping[str, int]) -> Sheet:
    """The members of a front, cheapest first.

    Args:
        front: The front.
        numbers: The networks' numbers by their ids.
    """
    evaluation = front.members[0].evaluation
    scores = corrected_scores(front)
    cells = ["" if m.key not in scores else _score(scores[m.key].corrected) for m in front.members]
    num_measured = len(front.members) + len(front.dominated)
    more = f"; {len(front.unmeasured)} more are scored, not measured" * bool(front.unmeasured)
    return Sheet(
        [*candidate_columns(front.members, numbers), Column("corrected", cells)],
        title=f"The front on {evaluation.split}: {len(front.members)} of {num_measured} networks"
        + more,
    )


def candidate_columns(candidates: Sequence[Candidate], numbers: Mapping[str, int]) -> list[Column]:
    """What every table says of scored networks: number, name, score, latency, counts.

    Args:
        candidates: The networks.
        numbers: Their numbers by their ids.
    """
    evaluations = [entry.evaluation for entry in candidates]
    intervals = [entry.interval for entry in evaluations]
    labels = ["" if entry.label == entry.name else entry.label for entry in candidates]
    return [
        _numbers([entry.network.id for entry in candidates], numbers),
        Column("network", [entry.name for entry in candidates], is_text=True),
        Column("called", labels, LABEL, is_text=True),
        Column(evaluations[0].metric, [_score(entry.value) for entry in evaluations]),
        Column("95 %", ["" if i is None else i.ends(".4f") for i in intervals], INTERVAL),
        *_latency_columns([entry.latency for entry in candidates]),
        Column("params", [_count(entry.num_params) for entry in candidates]),
        Column("FLOPs", [_count(entry.num_flops) for entry in candidates], EXTRA),
    ]


def validation_table(predictor: "Predictor") -> Sheet:
    """How well each model predicts held-out networks, the chosen one first."""
    found = predictor.validations
    return Sheet(
        [
            Column("model", [entry.model for entry in found], is_text=True),
            Column("error in folds", [f"{entry.fold_error:.2%}" for entry in found], EXTRA),
            Column("mean error", [f"{entry.mape:.2%}" for entry in found]),
            Column("worst", [f"{entry.worst:.2%}" for entry in found]),
            Column("Kendall tau", [f"{entry.kendall_tau:.3f}" for entry in found]),
            Column("noise floor", [f"{entry.noise_floor:.2%}" for entry in found]),
            Column("usable", ["yes" if entry.usable else "no" for entry in found]),
        ],
        title=f"Latency of {len(predictor.held_out)} held-out networks, predicted from "
        f"{len(predictor.fitted)} measured ones",
        caption=predictor.conditions.protocol.title,
    )


def plan_table(plan: "TrainingPlan") -> Sheet:
    """The stages of a training before it starts."""
    stages = plan.stages
    tried = "/".join(f"{rate:g}" for rate in plan.teacher_rates)
    rates = [tried if s.rate_by == "sweep" else f"{s.learning_rate:g}" for s in stages]
    return Sheet(
        [
            Column("stage", [entry.name for entry in stages], is_text=True),
            Column("epochs", [f"{entry.epochs:g}" for entry in stages]),
            Column("steps", [f"{entry.steps:,}" for entry in stages]),
            Column("texts", [f"{entry.texts:,}" for entry in stages]),
            Column("networks", [str(entry.networks) for entry in stages]),
            Column("rate", rates),
            Column("time", [duration(entry.seconds) for entry in stages]),
            Column("epochs by", [entry.epochs_by for entry in stages], EXTRA, is_text=True),
            Column("rate by", [entry.rate_by for entry in stages], EXTRA, is_text=True),
        ],
        title="What would be trained",
    )


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


def corrected_scores(front: ParetoFront) -> Mapping[str, CorrectedScore]:
    """The members' scores by key, corrected for having been chosen; none of few examples."""
    if (front.members[0].evaluation.n or 0) < MIN_EXAMPLES:
        return {}
    return corrected_front(front).scores


def question(run: "Run", front: ParetoFront) -> str:
    """A query that the front can answer: about what its middle member costs."""
    params = front.members[len(front.members) // 2].profile.num_params or 0
    factor, letter = (1e6, "M") if params >= 1e6 else (1e3, "K")
    limit = math.ceil(params / factor * 10) / 10
    return f"paretobert query {run.folder.root} --params {limit:g}{letter}"


def _numbers(ids: Sequence[str], numbers: Mapping[str, int]) -> Column:
    return Column("#", [str(numbers.get(identifier, "")) for identifier in ids])


def _latency_columns(
    latencies: Sequence[LatencySummary | None], *, with_ratio: bool = False
) -> list[Column]:
    cells = [("",) * 4 if entry is None else _latency_cells(entry) for entry in latencies]
    times, time_ends, ratios, ratio_ends = zip(*cells, strict=True)
    columns = [Column("latency", times), Column("interval", time_ends, INTERVAL)]
    if with_ratio:
        columns += [
            Column("ratio", ratios, EXTRA),
            Column("of ratio", ratio_ends, INTERVAL),
        ]
    return columns


def _latency_cells(latency: LatencySummary) -> tuple[str, str, str, str]:
    mark = "" if latency.resolved else NOT_RESOLVED
    time_ms, ratio = latency.time_ms, latency.ratio
    return (
        QUANTITIES["latency_ms"].text(float(f"{time_ms.value:.3g}")) + mark,
        time_ms.ends(".3g"),
        f"{ratio.value:.3f}",
        ratio.ends(".3f"),
    )


def latency_note(latencies: Sequence[LatencySummary | None]) -> str:
    """What a latency's interval is, and what the mark says, to end a caption."""
    known = [entry for entry in latencies if entry is not None]
    if not known:
        return ""
    unresolved = any(not entry.resolved for entry in known)
    return f"; latency: {known[0].ratio.meaning}" + (
        f"; {NOT_RESOLVED} interval not narrow yet" * unresolved
    )


def _loss_cells(table: CostTable, loss: PairedComparison | None) -> tuple[str, str, str]:
    if not table.protocol.deployment.changes_numbers:
        return "0", "", "same logits"
    if loss is None:
        return "", "", "not scored"
    value, ends = f"{loss.interval.value:.4f}", loss.interval.ends(".4f")
    if not loss.tie:
        return value, ends, "distinguishable"
    seen = "" if loss.detectable is None else f"; {loss.detectable:.2g} would show"
    return value, ends, f"a tie{seen}"


def _score(value: float) -> str:
    return f"{value:.4f}"


def _bytes(number: int | None) -> str:
    return "" if number is None else f"{number / 1e6:.3g} MB"


def _count(value: int | None) -> str:
    return "" if value is None else QUANTITIES["num_params"].text(value)
