"""The options that several commands share."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ..dynabert.options import TrainingOptions
from ..pipeline.run import Run
from ..profiling.protocol import LatencyProtocol
from ..search.options import SearchOptions
from ..tasks.loading import TaskRequest
from .fields import FieldsOf, Given

Folder = Annotated[Path, typer.Argument(help="The run folder.", show_default=False)]

ModelName = Annotated[
    str,
    typer.Option(
        "--model",
        help="minilm, a checkpoint folder, or a hub name.",
        show_default=False,
    ),
]

TaskName = Annotated[
    str,
    typer.Option(
        "--task",
        help="stdlib-docs, files (own data), or a GLUE task such as SST-2.",
        show_default=False,
    ),
]

Seed = Annotated[int, typer.Option(help="Of the data split, training, measuring and search.")]

TaskGiven = Annotated[Given, FieldsOf(TaskRequest, panel="Task", without=("name", "seed"))]

TrainingGiven = Annotated[Given, FieldsOf(TrainingOptions, panel="Training", without=("seed",))]

_FIXED = (
    "seed",
    "lengths",
    "warmup_group",
    "warmup_tolerance",
    "warmup_min_s",
    "warmup_max_runs",
    "warmup_max_s",
    "visit_discards",
    "visit_min_runs",
    "visit_min_s",
    "repeat_spread",
    "invalid_spread",
    "drift_tolerance",
    "max_redos",
)

ProtocolGiven = Annotated[
    Given,
    FieldsOf(
        LatencyProtocol,
        panel="Latency",
        names={
            "batch_size": "--sequences",
            "precision": "--latency-precision",
            "time_budget_s": "--measure-s",
        },
        without=_FIXED,
    ),
]

OneProtocolGiven = Annotated[
    Given,
    FieldsOf(
        LatencyProtocol,
        panel="Latency",
        names={"time_budget_s": "--measure-s"},
        without=(*_FIXED, "runtime", "precision", "threads"),
    ),
]

SearchGiven = Annotated[Given, FieldsOf(SearchOptions, panel="Search", without=("seed",))]

LatencyBudget = Annotated[
    str | None, typer.Option("--latency", help="At most this latency, e.g. 5ms.")
]
ParamsBudget = Annotated[
    str | None, typer.Option("--params", help="At most so many parameters, e.g. 15M.")
]
FlopsBudget = Annotated[str | None, typer.Option("--flops", help="At most so many FLOPs, e.g. 1G")]
AccuracyBudget = Annotated[
    str | None, typer.Option("--accuracy", help="At least this score, e.g. 0.9.")
]
Device = Annotated[
    str | None,
    typer.Option(help="The device whose latencies count; the run's own if left out."),
]
Runtime = Annotated[
    str | None,
    typer.Option(help="The runtime whose latencies count; the run's own if left out."),
]
Precision = Annotated[
    str | None,
    typer.Option(
        help="The precision whose latencies and scores count; the run's own if left out."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def start_run(
    folder: Path,
    *,
    model: str,
    task: str,
    seed: int,
    task_given: Given,
    training_given: Given,
    protocol_given: Given,
    search_given: Given,
) -> Run:
    """Create a run from what the user gave, or find the same one."""
    return Run.create(
        folder,
        model=model,
        task=TaskRequest(name=task, seed=seed, **task_given),
        training=TrainingOptions(seed=seed, **training_given),
        protocol=replace(protocol_of(protocol_given), seed=seed),
        search=SearchOptions(seed=seed, **search_given),
    )


def protocol_of(given: Given) -> LatencyProtocol:
    """The default protocol of the device that was given, changed by the rest of it."""
    base = LatencyProtocol.for_device(given.get("device", LatencyProtocol().device))
    return replace(base, **given)
