"""What a run is asked, made whole and checked before anything is written (torch where it must)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..dynabert.options import Settings, TrainingOptions
from ..dynabert.settings import Scale, resolved
from ..encoders.checkpoints import Checkpoint, find_checkpoint
from ..profiling.protocol import LatencyProtocol
from ..search.options import SearchOptions
from ..tasks.loading import TaskRequest, load_task
from ..tasks.task import Task, Texts
from ..tasks.transfer import load_unlabelled
from .feasible import check_together
from .folder import RunFolder, read_manifest
from .request import RunRequest, with_absolute_paths

FIRST_LOOK_S = 30.0
"""Seconds that measuring may take, unless it is given, in a run that trains no sub-network: about
as many as it takes to repair them."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run that could start.

    Attributes:
        request: What is asked, with every option resolved.
        checkpoint: The model.
        task: The loaded task.
        unlabelled: Texts without labels.
    """

    request: RunRequest
    checkpoint: Checkpoint
    task: Task
    unlabelled: Texts | None


def prepare(
    place: RunFolder,
    *,
    model: str | Path,
    task: str | TaskRequest,
    training: TrainingOptions | Mapping[str, Any] | None,
    settings: Settings,
    unlabelled: Sequence[str | Path],
    protocol: LatencyProtocol | Mapping[str, Any] | None = None,
    search: SearchOptions | None = None,
    storage: str | None = None,
) -> Prepared:
    """Find the model, load the data and resolve every option; arguments as for `Run.create`.

    Nothing is decided anew for a folder that holds a run with the same options given.

    Raises:
        InputError: When the model, the task or a file is refused, or they do not go together.
    """
    asked = with_absolute_paths(task if isinstance(task, TaskRequest) else TaskRequest(task))
    checkpoint = find_checkpoint(str(model))
    loaded = load_task(asked)
    transfer = (
        load_unlabelled(map(Path, unlabelled), loaded, request=asked) if unlabelled else None
    )
    num_unlabelled = 0 if transfer is None else len(transfer.texts)
    if not isinstance(training, TrainingOptions):
        scale = Scale.of(
            loaded.train,
            checkpoint.shape,
            max_length=loaded.max_length,
            num_unlabelled=num_unlabelled,
        )
        training = _resolved(place, training or {}, settings, scale)
    if not isinstance(protocol, LatencyProtocol):
        at_first = {"time_budget_s": FIRST_LOOK_S} if training.recipe == "closed-form" else {}
        protocol = LatencyProtocol.of({**at_first, **(protocol or {})})
    request = RunRequest(
        model=checkpoint.name,
        fingerprint=checkpoint.fingerprint,
        task=asked,
        training=training,
        protocol=protocol,
        search=search or SearchOptions(),
        storage=storage,
        unlabelled=() if transfer is None else transfer.files,
    )
    check_together(
        checkpoint, loaded, request.training, request.protocol, num_unlabelled=num_unlabelled
    )
    return Prepared(request, checkpoint, loaded, None if transfer is None else transfer.texts)


def _resolved(
    place: RunFolder, given: Mapping[str, Any], settings: Settings, scale: Scale
) -> TrainingOptions:
    """What the folder's run has already decided, or what is decided now."""
    now = resolved(given, settings, scale)
    if not place.manifest.exists():
        return now
    known = RunRequest.from_dict(read_manifest(place)["request"]).training
    same = (known.settings, known.by_hand) == (now.settings, now.by_hand)
    return replace(known, **given) if same else now
