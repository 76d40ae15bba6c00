"""The options that several commands share."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from ..dynabert.options import TrainingOptions
from ..errors import InputError
from ..pipeline.costs import Where
from ..pipeline.run import Run
from ..profiling.protocol import LatencyProtocol
from ..search.options import SearchOptions
from ..tasks.loading import TaskRequest
from ..training.pace import StudentPace
from .fields import FieldsOf, Given


@dataclass(frozen=True, slots=True)
class AskedLimits:
    """What a query limits, as it is typed.

    Attributes:
        latency: At most this latency of a batch, e.g. 5ms.
        p99: At most this 99th percentile of the latency, e.g. 9ms.
        throughput: At least so many sequences per second, e.g. 200/s.
        speedup: At least so many times the full model's speed, e.g. 3x.
        memory: At most so much memory of a process that loads and runs it, e.g. 300MB.
        disk: At most so much on disk, e.g. 30MB.
        params: At most so many parameters, e.g. 15M.
        flops: At most so many FLOPs of one example, e.g. 1G.
        energy: At most so much energy of a batch, e.g. 20mJ.
        score: At least this value of the task's metric, e.g. 0.9.
        max_loss: At most this loss against the full model, surely and in pairs, e.g. 1pt.
    """

    latency: str | None = None
    p99: str | None = None
    throughput: str | None = None
    speedup: str | None = None
    memory: str | None = None
    disk: str | None = None
    params: str | None = None
    flops: str | None = None
    energy: str | None = None
    score: str | None = None
    max_loss: str | None = None


Cheapest = Annotated[
    str | None,
    typer.Option(
        help="What is to be best, instead of the score: latency, p99, throughput, memory, disk, "
        "params, flops or energy."
    ),
]

Folder = Annotated[Path, typer.Argument(help="The run folder.", show_default=False)]

Seed = Annotated[int, typer.Option(help="Of the data split, training, measuring and search.")]

TaskGiven = Annotated[Given, FieldsOf(TaskRequest, panel="Task", without=("name", "seed"))]

TRAINING_NAMES = {"batch_size": "--training-batch-size", "precision": "--training-precision"}
"""What training's fields are called where measuring has fields of the same names."""

TrainingGiven = Annotated[
    Given,
    FieldsOf(
        TrainingOptions,
        panel="Training",
        names=TRAINING_NAMES,
        without=("seed",),
    ),
]

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
        names={"time_budget_s": "--measure-s"},
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

MeasuredGiven = Annotated[
    Given,
    FieldsOf(
        LatencyProtocol,
        panel="Latency",
        names={"time_budget_s": "--measure-s"},
        without=(*_FIXED, "runtime", "precision"),
    ),
]

SearchGiven = Annotated[Given, FieldsOf(SearchOptions, panel="Search", without=("seed",))]

WhereGiven = Annotated[
    Given,
    FieldsOf(Where, panel="Which measurements", names={"lengths": "--task-lengths"}),
]

LimitsGiven = Annotated[
    Given, FieldsOf(AskedLimits, panel="Limits", names={"score": "--score --accuracy"})
]

PaceGiven = Annotated[
    Given, FieldsOf(StudentPace, panel="Training", names=TRAINING_NAMES, without=("seed",))
]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


ModelOrNone = Annotated[
    str | None,
    typer.Option("--model", help="minilm, a checkpoint folder, or a hub name."),
]

TaskOrNone = Annotated[
    str | None,
    typer.Option("--task", help="stdlib-docs, files (own data), or a GLUE task such as SST-2."),
]

LedgerUrl = Annotated[
    str | None,
    typer.Option(
        "--ledger", help="The URL of a database for what is learnt, e.g. postgresql+psycopg://..."
    ),
]

UnlabelledFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--unlabelled",
        metavar="FILE",
        help="A file of texts without labels, such as production's: .txt with one text a line, or "
        ".csv, .tsv, .jsonl or .parquet with the task's text columns. Distillation and "
        "closed-form repair learn from them beside the training texts, an epoch of distillation "
        "being one pass over both. Held-out texts are left out. May be given several times.",
        show_default=False,
        rich_help_panel="Task",
    ),
]


def started_run(
    folder: Path,
    *,
    model: str | None,
    task: str | None,
    seed: int,
    ledger: str | None,
    unlabelled: Sequence[Path],
    task_given: Given,
    training_given: Given,
    protocol_given: Given,
    search_given: Given,
) -> Run:
    """Create a run from what the user gave, find the same one, or open one by its folder alone.

    Raises:
        InputError: When options are given for a run that is neither started nor named whole.
    """
    given = task_given | training_given | protocol_given | search_given
    if model is not None and task is not None:
        return Run.create(
            folder,
            model=model,
            task=TaskRequest(name=task, seed=seed, **task_given),
            training=TrainingOptions(seed=seed, **training_given),
            protocol=replace(protocol_of(protocol_given), seed=seed),
            search=SearchOptions(seed=seed, **search_given),
            ledger=ledger,
            unlabelled=unlabelled,
        )
    if model is None and task is None and not given and ledger is None and not unlabelled:
        return Run.open(folder)
    raise InputError(
        "To start a run give both --model and --task; to go on with one give the folder alone."
    )


def like_fine_tuning(run: Run) -> Given:
    """What networks are trained with where nothing else is given: the fine-tuning's settings."""
    training = run.request.training
    return {"seed": training.seed, "learning_rate": training.fine_tuning_rate}


def protocol_of(given: Given) -> LatencyProtocol:
    """The default protocol of the device that was given, changed by the rest of it."""
    base = LatencyProtocol.for_device(given.get("device", LatencyProtocol().device))
    return replace(base, **given)
