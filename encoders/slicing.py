"""Cutting tensors and layers by a plan: the leading rows and columns (DynaBERT section 2.1).

Where rows stack several blocks, the leading rows of each block are kept. The file imports only
torch and `plan`, because it is copied as it stands into exported checkpoints.
"""

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from .plan import LayerSizes, LinearPlan, SlicingPlan


def linears(layer: nn.Module, plan: SlicingPlan) -> list[tuple[nn.Linear, LinearPlan]]:
    """The linear layers of a transformer layer, each with what its rows and columns are."""
    return [(cast(nn.Linear, layer.get_submodule(linear.path)), linear) for linear in plan.linears]


def leading_blocks(tensor: Tensor, shape: Sequence[int], *, blocks: int) -> Tensor:
    """The leading part of a tensor, block by block: a view [blocks, rows of each, ...].

    Args:
        tensor: With at least one dimension, whose rows stack `blocks` blocks.
        shape: Of the part, all blocks together.
        blocks: How many.
    """
    rows, *others = shape
    part = (slice(None), slice(rows // blocks), *map(slice, others))
    stacked: Tensor = tensor.unflatten(0, (blocks, -1))
    return stacked[part]


def leading(tensor: Tensor, shape: Sequence[int], *, blocks: int = 1) -> Tensor:
    """The leading part of a tensor, of a given shape: a view of one block, a copy of several."""
    return leading_blocks(tensor, shape, blocks=blocks).flatten(0, 1)


def narrow_layer(layer: nn.Module, plan: SlicingPlan, sizes: LayerSizes) -> None:
    """Cut the linear layers of a transformer layer to their leading parts, in place.

    Args:
        layer: A layer of plain `nn.Linear`s.
        plan: Its plan.
        sizes: What is left of it.
    """
    for linear, axes in linears(layer, plan):
        rows, columns = axes.num_rows(sizes), axes.num_columns(sizes)
        linear.weight = _kept(linear.weight, (rows, columns), blocks=axes.blocks)
        if axes.bias:
            linear.bias = _kept(linear.bias, (rows,), blocks=axes.blocks)
        linear.out_features, linear.in_features = rows, columns


def _kept(parameter: Tensor, shape: Sequence[int], *, blocks: int) -> nn.Parameter:
    return nn.Parameter(leading(parameter.detach(), shape, blocks=blocks).clone())
