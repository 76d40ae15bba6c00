"""Gathering what the report of a run shows (no torch)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..baselines.published import published_candidates
from ..dynabert.subnet import SubnetConfig
from ..profiling.table import LookupTable
from ..reports.page import ReportContent
from ..search.candidate import Candidate
from ..search.front import Hypervolume, ParetoFront, reference_beyond
from ..search.quantities import QUANTITIES
from ..tasks.glue import GLUE_TASKS
from ..tasks.metrics import Evaluation
from .request import RunRequest


def report_content(
    request: RunRequest,
    *,
    candidates: Sequence[Candidate],
    reported: Mapping[str, Evaluation],
    table: LookupTable,
    manifest: Mapping[str, Any],
) -> ReportContent:
    """Gather a report.

    Args:
        request: What the run was asked.
        candidates: The scored sub-networks.
        reported: Their outcomes on the report split by key.
        table: Their costs.
        manifest: The run's manifest: the task's summary and the versions.
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
    )


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
