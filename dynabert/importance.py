"""Importance of attention heads and feed-forward neurons (DynaBERT section 2.1, Algorithm 1).

The importance of a unit is the first-order change of the loss when it is removed:
|dL/dh . h| for a head with output h, and |sum_i dL/dw_i w_i| over the weights w of a neuron.
Gradients are accumulated over the whole split and the scores taken once, at the end.

A head's term needs no mask in the network: its output h reaches the loss only through the
columns W_h that read it, y = ... + W_h h, hence dL/dh . h = dL/dy . W_h h = sum(dL/dW_h * W_h).
A neuron's weights are the rows that write it and the columns that read it.

Left out: the published code's sum over batches of gradients that were never cleared.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..encoders.families import family_of, shape_of
from ..encoders.plan import SlicingPlan
from ..encoders.slicing import linears
from ..tasks.batches import encode, evaluation_batches, padded
from ..tasks.heads import Head
from ..tasks.task import Task
from ..training.distillation import prediction_loss


@dataclass(frozen=True, slots=True)
class Importance:
    """Scores of the units of every layer; only the order inside a layer has a meaning.

    Attributes:
        heads: For each layer a score per head, [A].
        neurons: For each layer a score per feed-forward neuron, [F].
    """

    heads: tuple[Tensor, ...]
    neurons: tuple[Tensor, ...]


def importance(
    model: PreTrainedModel, batches: Iterable[Mapping[str, Tensor]], *, head: Head
) -> Importance:
    """Score the units of a fine-tuned model on labelled batches.

    Dropout is off. The model's gradients are cleared before and after; its mode is restored.

    Args:
        model: A sequence classifier of a supported family.
        batches: Inputs with `labels`. Each batch counts by its number of examples.
        head: Gives the loss.
    """
    was_training = model.training
    model.eval()
    model.zero_grad(set_to_none=True)
    for batch in batches:
        inputs = {name: tensor for name, tensor in batch.items() if name != "labels"}
        loss = prediction_loss(model(**inputs).logits, batch["labels"], head=head)
        (loss * len(batch["labels"])).backward()
    scores = _scores(model)
    model.zero_grad(set_to_none=True)
    model.train(was_training)
    return scores


def task_importance(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, task: Task, *, batch_size: int
) -> Importance:
    """Score the units of a fine-tuned model on a task's search split; see `importance`.

    Args:
        model: A sequence classifier of a supported family.
        tokenizer: Its tokenizer.
        task: What it was fine-tuned on.
        batch_size: Examples whose gradients are taken at once.
    """
    encoded = encode(task.search, tokenizer, max_length=task.max_length)
    batches = evaluation_batches(encoded, batch_size=batch_size)
    padded_batches = (padded(encoded, indices, device=model.device) for indices in batches)
    return importance(model, padded_batches, head=task.head)


def _scores(model: PreTrainedModel) -> Importance:
    family = family_of(model)
    head_size = shape_of(model.config).head_size
    layers = [
        layer_scores(layer, family.plan, head_size=head_size) for layer in family.layer_list(model)
    ]
    heads, neurons = zip(*layers, strict=True)
    return Importance(heads, neurons)


@torch.no_grad()
def layer_scores(layer: nn.Module, plan: SlicingPlan, *, head_size: int) -> tuple[Tensor, Tensor]:
    """Score the units of one transformer layer whose weights have gradients.

    Args:
        layer: The layer.
        plan: Its plan.
        head_size: Width of one head.

    Returns:
        A score per head, [A], and per neuron, [F].

    Raises:
        ValueError: When a weight has no gradient.
    """
    heads, neurons = [], []
    for linear, axes in linears(layer, plan):
        terms = _taylor(linear.weight)
        if axes.columns == "heads":
            heads.append(terms.sum(dim=0).unflatten(0, (-1, head_size)).sum(dim=1))
        if axes.columns == "neurons":
            neurons.append(terms.sum(dim=0))
        if axes.rows == "neurons":
            neurons.append(terms.sum(dim=1).unflatten(0, (axes.blocks, -1)).sum(dim=0))
    return torch.stack(heads).sum(dim=0).abs(), torch.stack(neurons).sum(dim=0).abs()


def _taylor(weight: Tensor) -> Tensor:
    if weight.grad is None:
        raise ValueError("importance needs at least one batch")
    return weight * weight.grad
