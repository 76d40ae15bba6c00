"""What a training would be, before it starts: its stages, who decided them, times and sizes."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from ...dynabert.options import TrainingOptions
from ...dynabert.stages import RATES, planned_stages
from ..prepare import Prepared

Who = Literal["rule", "sweep", "user", "paper"]


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """One stage.

    Attributes:
        name: Its name; `rates` are the trials of stage 0's learning rate.
        epochs: Passes over its texts.
        epochs_by: Who decided that.
        steps: Training steps.
        texts: Of an epoch.
        networks: Sub-networks that learn in a step.
        learning_rate: Peak learning rate; where a sweep decides, the one that wins ties.
        rate_by: Who decides that.
        seconds: About how long it takes here.
    """

    name: str
    epochs: float
    epochs_by: Who
    steps: int
    texts: int
    networks: int
    learning_rate: float
    rate_by: Who
    seconds: float


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """A training before it starts.

    Attributes:
        stages: In their order.
        recipe: Which sub-networks learn in a step.
        recipe_by: Who decided that.
        batch_size: Texts of a step.
        teacher_rates: Learning rates tried for stage 0.
        seconds: About how long all stages take here.
        peak_memory_bytes: The probe's largest.
        disk_bytes: What stays in the folder.
        disk_peak_bytes: What lies there at most.
    """

    stages: tuple[PlannedStage, ...]
    recipe: str
    recipe_by: Who
    batch_size: int
    teacher_rates: tuple[float, ...]
    seconds: float
    peak_memory_bytes: int
    disk_bytes: int
    disk_peak_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return asdict(self) | {
            "stages": [asdict(stage) for stage in self.stages],
            "teacher_rates": list(self.teacher_rates),
        }


def plan_training(prepared: Prepared) -> TrainingPlan:
    """Train a few batches of each stage in a temporary folder, and say what all of it would take.

    Raises:
        InputError: When a training would be refused.
    """
    from ...dynabert.probe import probe_training

    options, unlabelled = prepared.request.training, prepared.unlabelled
    probe = probe_training(
        model=prepared.checkpoint.folder,
        task=prepared.task,
        options=options,
        shape=prepared.checkpoint.shape,
        unlabelled=unlabelled,
    )
    stages = planned_stages(
        options,
        prepared.checkpoint.shape,
        num_train=len(prepared.task.train),
        num_unlabelled=0 if unlabelled is None else len(unlabelled),
    )
    return TrainingPlan(
        stages=tuple(
            PlannedStage(
                name=stage.name,
                epochs=round(stage.epochs, 2),
                epochs_by=_decided(options, _epochs_field(stage.name)),
                steps=stage.steps,
                texts=stage.texts,
                networks=stage.networks,
                learning_rate=stage.learning_rate,
                rate_by=_rate_by(options, stage.name),
                seconds=round(probe.seconds[stage.name], 1),
            )
            for stage in stages
        ),
        recipe=options.recipe,
        recipe_by=_decided(options, "recipe"),
        batch_size=options.batch_size,
        teacher_rates=options.teacher_rates,
        seconds=round(sum(probe.seconds.values()), 1),
        peak_memory_bytes=probe.peak_memory_bytes,
        disk_bytes=probe.disk_bytes,
        disk_peak_bytes=probe.disk_peak_bytes,
    )


def _epochs_field(stage: str) -> str:
    return {RATES: "teacher_epochs", "tokens": "token_epochs"}.get(stage, f"{stage}_epochs")


def _rate_by(options: TrainingOptions, stage: str) -> Who:
    if stage not in ("teacher", RATES):
        return _decided(options, "learning_rate")
    if options.teacher_rates:
        return "sweep"
    own = options.teacher_learning_rate is not None
    return _decided(options, "teacher_learning_rate" if own else "learning_rate")


def _decided(options: TrainingOptions, field: str) -> Who:
    """Who decided an option: a record that was given whole is the user's where it differs."""
    if field in options.by_hand:
        return "user"
    if options.settings == "auto":
        return "rule"
    return "paper" if getattr(options, field) == getattr(TrainingOptions(), field) else "user"
