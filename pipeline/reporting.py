"""Gathering what the report of a run shows (no torch)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..baselines.published import published_candidates
from ..networks.subnet import SubnetConfig
from ..profiling.predictor import Predictor
from ..profiling.statistics import Round
from ..profiling.table import LookupTable
from ..reports.measurements import (
    Figure,
    deployment_figure,
    distribution_figure,
    heat_map_figure,
    prediction_figure,
    retention_figure,
)
from ..reports.page import ReportContent
from ..search.candidate import Candidate
from ..search.front import Hypervolume, ParetoFront, reference_beyond
from ..search.quantities import QUANTITIES
from ..tasks.glue import GLUE_TASKS
from ..tasks.metrics import Evaluation, PairedComparison
from .power import PowerNetwork
from .request import RunRequest


def report_content(
    request: RunRequest,
    *,
    candidates: Sequence[Candidate],
    reported: Mapping[str, Evaluation],
    table: LookupTable,
    manifest: Mapping[str, Any],
    measurements: Sequence[Figure],
    warnings: Sequence[str],
) -> ReportContent:
    """Gather a report.

    Args:
        request: What the run was asked.
        candidates: The scored sub-networks.
        reported: Their outcomes on the report split by key.
        table: Their costs.
        manifest: The run's manifest: the task's summary and the versions.
        measurements: Further figures, of what was measured.
        warnings: What forbids to take the latencies at their word.
    """
    task = manifest["task"]
    model = Path(request.model).name
    return ReportContent(
        title=f"{model} on {task['name']}: sub-networks on the Pareto front",
        model=request.model,
        full_key=SubnetConfig.full(table.shape).key,
        candidates=tuple(candidates),
        reported=reported,
        published=_published(request, metric=task["metric"], seq_len=table.protocol.seq_len),
        num_examples=task["sizes"],
        seq_len=table.protocol.seq_len,
        protocol=table.protocol,
        environment=table.environment,
        hypervolumes=hypervolumes(candidates),
        provenance={
            "data": task["source"],
            "training": _listed(request.training.to_dict()),
            "search": _listed(request.search.to_dict()),
            "versions": _listed(manifest["versions"]),
        },
        measurements=tuple(measurements),
        warnings=tuple(warnings),
    )


def measurement_figures(
    table: LookupTable,
    *,
    rounds: Sequence[Round],
    candidates: Sequence[Candidate],
    configs: Mapping[SubnetConfig, tuple[float, float, float]],
    predictor: Predictor | None,
    deployments: Sequence[tuple[LookupTable, PairedComparison | None]],
    powers: Sequence[PowerNetwork],
) -> list[Figure]:
    """Gather the figures of what a run measured; what was not measured has none.

    Args:
        table: The run's own cost table.
        rounds: The rounds behind it.
        candidates: The scored sub-networks, for their labels.
        configs: The space, with each sub-network's width, depth and tokens multipliers.
        predictor: The latency predictor for the same protocol, None where there is none.
        deployments: Tables that differ from the run's own in runtime and precision alone, itself
            among them, each with what it costs in score.
        powers: PoWER-BERT networks.
    """
    conditions = f"{table.protocol.title}; {table.environment.title}"
    figures: list[Figure] = []
    if len(configs) > 1:
        figures.append(heat_map_figure(table, configs))
    if rounds:
        labels = {candidate.key: candidate.label for candidate in candidates}
        figures.append(
            distribution_figure(
                rounds,
                sentinel=table.full.config.key,
                labels=labels,
                drift_tolerance=table.protocol.drift_tolerance,
                conditions=conditions,
            )
        )
    if predictor is not None:
        figures.append(
            prediction_figure(
                predictor.validation, num_fitted=len(predictor.fitted), conditions=conditions
            )
        )
    if len(deployments) > 1:
        figures.append(deployment_figure(deployments))
    for number, network in enumerate(powers, start=1):
        figures.append(
            retention_figure(
                network.retention,
                label=network.candidate.label,
                lengths=network.lengths,
                name=f"retention-{number}",
            )
        )
    return figures


def _published(request: RunRequest, *, metric: str, seq_len: int) -> tuple[Candidate, ...]:
    """The baselines of a GLUE task; own data has none, whatever its name."""
    if request.task.name not in GLUE_TASKS:
        return ()
    return tuple(published_candidates(request.task.name, metric, seq_len=seq_len))


def hypervolumes(candidates: Sequence[Candidate]) -> dict[str, Hypervolume]:
    """The hypervolume of accuracy against each cost, from a point just beyond the candidates."""
    volumes = {}
    for name, quantity in QUANTITIES.items():
        if quantity.larger_is_better:
            continue
        objectives = ("accuracy", name)
        reference = reference_beyond(candidates, objectives)
        front = ParetoFront.of(candidates, objectives)
        volumes[f"accuracy and {quantity.word}"] = front.hypervolume(reference)
    return volumes


def _listed(record: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in record.items() if value is not None)
