"""Importance of attention heads and feed-forward neurons (DynaBERT section 2.1, Algorithm 1).

The importance of a unit is the first-order change of the loss when it is removed:
|dL/dh . h| for a head with output h, and |sum_i dL/dw_i w_i| over the weights w of a neuron.
Gradients are accumulated over the whole split and the scores taken once, at the end.

A head's term needs no mask in the network: its output h reaches the loss only through its
columns W_h of the attention output projection, y = ... + W_h h, hence
dL/dh . h = dL/dy . W_h h = sum(dL/dW_h * W_h).

Left out: the published code's sum over batches of gradients that were never cleared.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from ..encoders.families import family_of
from ..networks.shape import EncoderShape
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


def importance(model: PreTrainedModel, batches: Iterable[Mapping[str, Tensor]]) -> Importance:
    """Score the units of a fine-tuned model on labelled batches.

    Dropout is off. The model's gradients are cleared before and after; its mode is restored.

    Args:
        model: A sequence classifier of a supported family.
        batches: Inputs with `labels`. Each batch counts by its number of examples.
    """
    was_training = model.training
    model.eval()
    model.zero_grad(set_to_none=True)
    for batch in batches:
        inputs = {name: tensor for name, tensor in batch.items() if name != "labels"}
        loss = prediction_loss(model(**inputs).logits, batch["labels"])
        (loss * len(batch["labels"])).backward()
    scores = _scores(model)
    model.zero_grad(set_to_none=True)
    model.train(was_training)
    return scores


@torch.no_grad()
def _scores(model: PreTrainedModel) -> Importance:
    family = family_of(model)
    shape = EncoderShape.from_config(model.config)
    heads, neurons = [], []
    for layer in family.layer_list(model):
        projections = family.projections(layer)
        by_column = _taylor(projections.attention_output.weight).sum(dim=0)
        heads.append(by_column.view(shape.num_heads, shape.head_size).sum(dim=1).abs())
        incoming = _taylor(projections.ffn_in.weight).sum(dim=1)
        outgoing = _taylor(projections.ffn_out.weight).sum(dim=0)
        neurons.append((incoming + outgoing).abs())
    return Importance(tuple(heads), tuple(neurons))


def _taylor(weight: Tensor) -> Tensor:
    if weight.grad is None:
        raise ValueError("importance needs at least one batch")
    return weight * weight.grad
