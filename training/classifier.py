"""A checkpoint as a classifier: to be trained for a task, or as a run has left it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, PreTrainedModel

from ..encoders.families import family_of
from ..encoders.heads import auto_model, head_of
from ..errors import InputError, shortened
from ..tasks.task import Task


def load_classifier(
    checkpoint: str | Path, task: Task, *, seed: int, fine_tuned: bool
) -> PreTrainedModel:
    """Load a checkpoint as a classifier for `task`; a missing head is initialised from the seed.

    Args:
        checkpoint: A folder, with weights in safetensors; nothing else is ever loaded.
        task: Gives the number and the names of the classes.
        seed: Of a new head.
        fine_tuned: The checkpoint must bring a trained head of the task's classes.

    Raises:
        InputError: When it cannot be loaded, lacks more than a head, or is to be fine-tuned
            already and has no head, or one for other classes.
    """
    torch.manual_seed(seed)
    names = dict(enumerate(task.head.output_names(task.label_names)))
    if fine_tuned:
        _check_head(checkpoint, task)
    with _one_sentence(checkpoint):
        model, info = auto_model(task.head).from_pretrained(
            checkpoint,
            num_labels=len(names),
            problem_type=task.head.problem_type,
            id2label=names,
            label2id={name: index for index, name in names.items()},
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            dtype=torch.float32,
            ignore_mismatched_sizes=not fine_tuned,
            output_loading_info=True,
        )
    _refuse_initialised(checkpoint, model, info)
    if fine_tuned and info["missing_keys"]:
        raise InputError(
            f"{checkpoint} has no trained classification head ({min(info['missing_keys'])} is "
            "missing): fine-tune it first, or leave out the option that says it is fine-tuned."
        )
    classifier: PreTrainedModel = model
    return classifier


def load_stored(folder: Path) -> PreTrainedModel:
    """Load a classifier that a run has written, whole, from safetensors alone.

    Args:
        folder: The classifier's.

    Raises:
        InputError: When it cannot be loaded, or lacks a tensor.
    """
    with _one_sentence(folder):
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        model, info = auto_model(head_of(config)).from_pretrained(
            folder,
            config=config,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    random = _initialised(info)
    if random:
        raise InputError(
            f"{folder} lacks {len(random)} of its tensors, {random[0]} among them: delete the "
            "folder to have it made again."
        )
    classifier: PreTrainedModel = model
    return classifier


@contextmanager
def _one_sentence(checkpoint: str | Path) -> Iterator[None]:
    """Say in one sentence what transformers could not load."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError, ValueError) as error:
        reason = shortened(" ".join(str(error).split()), length=200)
        raise InputError(f"{checkpoint} holds no loadable model: {reason}.") from None


def _initialised(info: Mapping[str, Any]) -> list[str]:
    """The tensors that were filled with random numbers."""
    return sorted({*info["missing_keys"], *(name for name, *_ in info["mismatched_keys"])})


def _refuse_initialised(
    checkpoint: str | Path, model: PreTrainedModel, info: Mapping[str, Any]
) -> None:
    """Raise if more than the head was filled with random numbers."""
    backbone = family_of(model).backbone
    inside = [
        name
        for name in _initialised(info)
        if name.startswith(f"{backbone}.") and not name.startswith(f"{backbone}.pooler.")
    ]
    if inside:
        raise InputError(
            f"{checkpoint} lacks {len(inside)} of the tensors of its encoder, {inside[0]} among "
            "them: give the whole model."
        )


def _check_head(checkpoint: str | Path, task: Task) -> None:
    config = AutoConfig.from_pretrained(checkpoint, local_files_only=True, trust_remote_code=False)
    theirs = [str(config.id2label[index]) for index in sorted(config.id2label)]
    unnamed = theirs == [f"LABEL_{index}" for index in range(len(theirs))]
    ours = list(task.head.output_names(task.label_names))
    renamed = task.head.has_classes and not unnamed and theirs != ours
    if len(theirs) != len(ours) or renamed:
        raise InputError(
            f"{checkpoint} classifies into {', '.join(theirs)}, but the task {task.name} "
            f"needs {', '.join(ours)}: give a checkpoint that was fine-tuned on this "
            "task with its classes in this order."
        )
