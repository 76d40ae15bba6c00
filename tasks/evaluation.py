"""Scoring a model on a split: full precision, no dropout, no gradient, every outcome kept.

What is scored is a dense network: a stock model or an extracted sub-network, never a masked one.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from transformers import PreTrainedModel

from ..errors import InputError
from .batches import EncodedSplit, evaluation_batches, padded
from .metrics import Evaluation, score_predictions
from .task import Task


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
    if model.config.num_labels != task.num_labels:
        raise InputError(
            f"The model has {model.config.num_labels} outputs but the task {task.name} needs "
            f"{task.num_labels}: give a model that was fine-tuned for it, or one without a head."
        )
    logits = predict(model, encoded, batch_size=batch_size)
    if not bool(torch.isfinite(logits).all()):
        raise ArithmeticError(f"the model's outputs on the split {split!r} are not finite")
    outcomes = logits.squeeze(-1) if task.kind == "regression" else logits.argmax(-1)
    return score_predictions(
        task=task.name,
        split=split,
        metrics=(task.metric, *task.other_metrics),
        labels=encoded.labels,
        predictions=tuple(outcomes.tolist()),
    )


def predict(
    model: PreTrainedModel, encoded: EncodedSplit, *, batch_size: int = 32
) -> torch.Tensor:
    """Return the logits of every example, float32 on the CPU: (examples, labels)."""
    batches = evaluation_batches(encoded, batch_size=batch_size)
    rows = []
    with _evaluating(model), torch.inference_mode():
        for indices in batches:
            batch = padded(encoded, indices, device=model.device)
            del batch["labels"]
            rows.append(model(**batch).logits.float())
    order = torch.tensor([i for indices in batches for i in indices])
    return torch.cat(rows).cpu()[order.argsort()]


@contextmanager
def _evaluating(model: PreTrainedModel) -> Iterator[None]:
    training = model.training
    model.train(mode=False)
    try:
        yield
    finally:
        model.train(mode=training)
