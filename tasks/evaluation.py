"""Scoring a model on a split: full precision, no dropout, no gradient, every outcome kept.

What is scored is a dense network: a stock model or an extracted sub-network, never a masked one.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from transformers import PreTrainedModel

from ..errors import InputError
from .batches import Batch, EncodedSplit, evaluation_batches, padded
from .scores import Evaluation, score_predictions
from .task import Task

Forward = Callable[[Batch], Tensor]
"""Maps a padded batch without its labels to logits [B, C]."""


def evaluate(
    model: PreTrainedModel,
    encoded: EncodedSplit,
    *,
    task: Task,
    split: str,
    batch_size: int = 32,
) -> Evaluation:
    """Score a model.

    Args:
        model: A dense sequence classification model; its training mode is left as it was.
        encoded: The tokenised split.
        task: Names the metrics.
        split: The split's name, for the record, e.g. "search" or "report".
        batch_size: Examples per forward pass; changes speed and memory only.

    Returns:
        The scores, with labels and predictions in the order of `encoded`.

    Raises:
        InputError: When the model's number of labels is not the task's.
        ArithmeticError: When the model's outputs are not finite.
    """
    logits = predict(model, encoded, batch_size=batch_size)
    return _scored(logits, encoded, task=task, split=split)


def evaluate_deployed(
    network: Forward, encoded: EncodedSplit, *, task: Task, split: str, batch_size: int = 32
) -> Evaluation:
    """Score a network as its runtime computes it; arguments and errors as for `evaluate`."""
    logits = _predicted(network, encoded, batch_size=batch_size, device=torch.device("cpu"))
    return _scored(logits, encoded, task=task, split=split)


def predict(model: PreTrainedModel, encoded: EncodedSplit, *, batch_size: int = 32) -> Tensor:
    """Return the logits of every example, float32 on the CPU: (examples, labels)."""
    with _evaluating(model), torch.inference_mode():
        return _predicted(
            lambda batch: model(**batch).logits,
            encoded,
            batch_size=batch_size,
            device=model.device,
        )


def _predicted(
    network: Forward, encoded: EncodedSplit, *, batch_size: int, device: torch.device
) -> Tensor:
    batches = evaluation_batches(encoded, batch_size=batch_size)
    rows = []
    for indices in batches:
        batch = padded(encoded, indices, device=device)
        del batch["labels"]
        rows.append(network(batch).float())
    order = torch.tensor([i for indices in batches for i in indices])
    return torch.cat(rows).cpu()[order.argsort()]


def _scored(logits: Tensor, encoded: EncodedSplit, *, task: Task, split: str) -> Evaluation:
    if logits.shape[-1] != task.num_labels:
        raise InputError(
            f"The model has {logits.shape[-1]} outputs but the task {task.name} needs "
            f"{task.num_labels}: give a model that was fine-tuned for it, or one without a head."
        )
    if not bool(torch.isfinite(logits).all()):
        raise ArithmeticError(f"the model's outputs on the split {split!r} are not finite")
    outcomes = task.head.outcomes(logits)
    return score_predictions(
        task=task.name,
        split=split,
        metrics=(task.metric, *task.other_metrics),
        labels=encoded.labels,
        predictions=tuple(outcomes.tolist()),
    )


@contextmanager
def _evaluating(model: PreTrainedModel) -> Iterator[None]:
    training = model.training
    model.train(mode=False)
    try:
        yield
    finally:
        model.train(mode=training)
