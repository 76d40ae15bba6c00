"""Network rewiring (DynaBERT section 2.1): the most important heads and neurons come first.

Heads are permuted inside the query, key and value rows and the attention output's columns,
neurons inside the FFN's rows and columns. The function of the full model does not change; every
leading slice then holds the most important units.
"""

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from ..encoders.families import family_of
from ..networks.shape import EncoderShape
from .importance import Importance


@torch.no_grad()
def rewire(model: PreTrainedModel, scores: Importance) -> None:
    """Sort the units of every layer by descending importance, in place.

    Units of equal importance keep their order.

    Args:
        model: A sequence classifier of a supported family.
        scores: Of this model's units.
    """
    family = family_of(model)
    head_size = EncoderShape.from_config(model.config).head_size
    layers = family.layer_list(model)
    for layer, heads, neurons in zip(layers, scores.heads, scores.neurons, strict=True):
        projections = family.projections(layer)
        head_order = heads.argsort(descending=True, stable=True)
        offsets = torch.arange(head_size, device=head_order.device)
        channel_order = (head_order[:, None] * head_size + offsets).flatten()
        for linear in (projections.query, projections.key, projections.value):
            _permute_rows(linear, channel_order)
        _permute_columns(projections.attention_output, channel_order)
        neuron_order = neurons.argsort(descending=True, stable=True)
        _permute_rows(projections.ffn_in, neuron_order)
        _permute_columns(projections.ffn_out, neuron_order)


def _permute_rows(linear: nn.Linear, order: Tensor) -> None:
    linear.weight.copy_(linear.weight[order])
    linear.bias.copy_(linear.bias[order])


def _permute_columns(linear: nn.Linear, order: Tensor) -> None:
    linear.weight.copy_(linear.weight[:, order])
