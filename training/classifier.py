"""A checkpoint as a classifier for a task."""

from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from ..errors import InputError
from ..tasks.task import Task


def load_classifier(
    checkpoint: str | Path, task: Task, *, seed: int, fine_tuned: bool
) -> PreTrainedModel:
    """Load a checkpoint as a classifier for `task`; a missing head is initialised from the seed.

    Args:
        checkpoint: A folder or a hub name, with weights in safetensors.
        task: Gives the number and the names of the classes.
        seed: Of a new head.
        fine_tuned: The checkpoint must bring a trained head of the task's classes.

    Raises:
        InputError: When a fine-tuned checkpoint has no head, or one for other classes.
    """
    torch.manual_seed(seed)
    names = dict(enumerate(task.label_names)) or {0: "score"}
    if fine_tuned:
        _check_head(checkpoint, task)
    model, info = AutoModelForSequenceClassification.from_pretrained(
        checkpoint,
        num_labels=task.num_labels,
        id2label=names,
        label2id={name: index for index, name in names.items()},
        use_safetensors=True,
        dtype=torch.float32,
        ignore_mismatched_sizes=not fine_tuned,
        output_loading_info=True,
    )
    if fine_tuned and info["missing_keys"]:
        raise InputError(
            f"{checkpoint} has no trained classification head ({min(info['missing_keys'])} is "
            "missing): fine-tune it first, or leave out the option that says it is fine-tuned."
        )
    classifier: PreTrainedModel = model
    return classifier


def _check_head(checkpoint: str | Path, task: Task) -> None:
    config = AutoConfig.from_pretrained(checkpoint)
    theirs = [str(config.id2label[index]) for index in sorted(config.id2label)]
    unnamed = theirs == [f"LABEL_{index}" for index in range(len(theirs))]
    ours = list(task.label_names)
    if len(theirs) != task.num_labels or (ours and not unnamed and theirs != ours):
        raise InputError(
            f"{checkpoint} classifies into {', '.join(theirs)}, but the task {task.name} has "
            f"{', '.join(ours) or 'a score'}: give a checkpoint that was fine-tuned on this "
            "task with its classes in this order."
        )
