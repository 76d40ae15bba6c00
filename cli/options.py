"""The options that several commands share."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..dynabert.options import Settings, TrainingOptions
from ..errors import InputError
from ..pipeline.costs import Where
from ..pipeline.run import Run
from ..profiling.protocol import LatencyProtocol
from ..search.options import SearchOptions
from ..tasks.loading import TaskRequest
from ..training.pace import StudentPace
from .fields import FieldsOf, Given

if TYPE_CHECKING:
    from ..pipeline.steps.plan import TrainingPlan


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
        max_loss: At most this loss of score against the full model, e.g. 1pt; the upper end of its
            interval counts.
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

Seed = Annotated[int, typer.Option(help="Seed of the data split, training, measuring and search.")]

TaskGiven = Annotated[Given, FieldsOf(TaskRequest, panel="Task", without=("name", "seed"))]

TRAINING_NAMES = {"batch_size": "--training-batch-size", "precision": "--training-precision"}
"""What training's fields are called where measuring has fields of the same names."""

TrainingGiven = Annotated[
    Given,
    FieldsOf(
        TrainingOptions,
        panel="Training",
        names=TRAINING_NAMES,
        without=("seed", "settings", "by_hand"),
    ),
]

SettingsOption = Annotated[
    Settings,
    typer.Option(
        "--settings",
        help="Who decides the training options that are not given: auto, by the number of texts, "
        "their lengths and the model's size; or paper, the published settings, which are the "
        "defaults shown here.",
        rich_help_panel="Training",
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

Plan = Annotated[
    bool,
    typer.Option(
        "--plan",
        help="Train a few steps of each stage in a temporary folder, print what the training "
        "would be and how long it would take here, and do no more.",
    ),
]

Workers = Annotated[
    int,
    typer.Option(
        help="Processes on this machine that score networks of the search, with an equal share "
        "of its cores each. The same command on other machines that reach the run's --storage "
        "scores with them."
    ),
]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

Verbose = Annotated[
    bool,
    typer.Option("--verbose", "-v", help="Show every column and sentence, however wide."),
]

ModelOrNone = Annotated[
    str | None,
    typer.Option("--model", help="minilm, a checkpoint folder, or a hub name."),
]

TaskOrNone = Annotated[
    str | None,
    typer.Option("--task", help="stdlib-docs, files (own data), or a GLUE task such as SST-2."),
]

StorageUrl = Annotated[
    str | None,
    typer.Option(
        "--storage",
        help="The URL of a database for what is learnt and searched, which several machines may "
        "share, e.g. postgresql://...; files in the run folder where it is not given.",
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


@dataclass(frozen=True, slots=True)
class Asked:
    """A run as it is asked for on the command line.

    Attributes:
        folder: The run folder.
        model: The checkpoint's name.
        task: The task's name.
        seed: Of everything that is drawn.
        settings: Who decides the training options that are not given.
        storage: URL of the database of the ledger and of studies.
        unlabelled: Files of texts without labels.
        task_given: The task's options.
        training_given: Those of the training.
        protocol_given: Those of measuring.
        search_given: Those of the search.
    """

    folder: Path
    model: str | None
    task: str | None
    seed: int
    settings: Settings
    storage: str | None
    unlabelled: Sequence[Path]
    task_given: Given
    training_given: Given
    protocol_given: Given
    search_given: Given

    def run(self) -> Run:
        """Create the run, find the same one, or open one by its folder alone.

        Raises:
            InputError: When options are given for a run that is neither started nor named whole.
        """
        if self.model is not None and self.task is not None:
            return Run.create(
                self.folder,
                model=self.model,
                task=self._task(self.task),
                training=self._training,
                settings=self.settings,
                protocol=self._protocol,
                search=self._search,
                storage=self.storage,
                unlabelled=self.unlabelled,
            )
        self._refuse_options()
        return Run.open(self.folder)

    def plan(self) -> "TrainingPlan":
        """What the run's training would be; nothing is written.

        Raises:
            InputError: As `run` has it.
        """
        if self.model is not None and self.task is not None:
            return Run.planned(
                self.folder,
                model=self.model,
                task=self._task(self.task),
                training=self._training,
                settings=self.settings,
                protocol=self._protocol,
                unlabelled=self.unlabelled,
            )
        self._refuse_options()
        return Run.open(self.folder).plan()

    def _task(self, name: str) -> TaskRequest:
        return TaskRequest(name=name, seed=self.seed, **self.task_given)

    @property
    def _training(self) -> Given:
        return {"seed": self.seed, **self.training_given}

    @property
    def _protocol(self) -> Given:
        return {"seed": self.seed, **self.protocol_given}

    @property
    def _search(self) -> SearchOptions:
        return SearchOptions(seed=self.seed, **self.search_given)

    def _refuse_options(self) -> None:
        given = self.task_given | self.training_given | self.protocol_given | self.search_given
        named = self.model is not None or self.task is not None
        if named or given or self.storage is not None or self.unlabelled:
            raise InputError(
                "To start a run give both --model and --task; to go on with one give the folder "
                "alone."
            )


def like_fine_tuning(run: Run) -> Given:
    """What networks are trained with where nothing else is given: the fine-tuning's settings."""
    training = run.request.training
    return {"seed": training.seed, "learning_rate": run.fine_tuning_rate}
