"""Network rewiring (DynaBERT section 2.1): the most important heads and neurons come first.

Heads are permuted in the rows that write them and the columns that read them, neurons likewise;
which these are, the family's plan says. The function of the full model does not change; every
leading slice then holds the most important units.
"""

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from ..encoders.families import family_of, shape_of
from ..encoders.plan import Axis, SlicingPlan
from ..encoders.slicing import linears
from .importance import Importance


def rewire(model: PreTrainedModel, scores: Importance) -> None:
    """Sort the units of every layer by descending importance, in place.

    Units of equal importance keep their order.

    Args:
        model: A sequence classifier of a supported family.
        scores: Of this model's units.
    """
    family = family_of(model)
    head_size = shape_of(model.config).head_size
    layers = family.layer_list(model)
    for layer, heads, neurons in zip(layers, scores.heads, scores.neurons, strict=True):
        rewire_layer(
            layer,
            family.plan,
            heads=heads.argsort(descending=True, stable=True),
            neurons=neurons.argsort(descending=True, stable=True),
            head_size=head_size,
        )


@torch.no_grad()
def rewire_layer(
    layer: nn.Module, plan: SlicingPlan, *, heads: Tensor, neurons: Tensor, head_size: int
) -> None:
    """Put the units of one transformer layer into a new order, in place.

    Args:
        layer: The layer.
        plan: Its plan.
        heads: Which head comes at each place, [H].
        neurons: Which neuron comes at each place, [F].
        head_size: Width of one head.
    """
    offsets = torch.arange(head_size, device=heads.device)
    orders: dict[Axis, Tensor] = {
        "heads": (heads[:, None] * head_size + offsets).flatten(),
        "neurons": neurons,
    }
    for linear, axes in linears(layer, plan):
        if axes.columns in orders:
            linear.weight.copy_(linear.weight[:, orders[axes.columns]])
        if axes.rows in orders:
            for parameter in (linear.weight, linear.bias) if axes.bias else (linear.weight,):
                stacked = parameter.unflatten(0, (axes.blocks, -1))
                parameter.copy_(stacked[:, orders[axes.rows]].flatten(0, 1))
