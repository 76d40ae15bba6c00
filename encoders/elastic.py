"""An elastic linear layer: the stock layer plus the sizes that are active.

DynaBERT section 2.1: a narrower network uses the leading rows and columns of the rewired weights.
Only the forward pass slices; parameters and state-dict keys are those of `nn.Linear`.

Many sub-networks add to one gradient before each step (Algorithms 2 and 3). Plain autograd would
embed every slice's gradient in a zero matrix of the full size and add that; here the backward
pass adds the slice in place (gradient-accumulation fusion), which leaves only the work that the
narrow network needs.

Embeddings are not cut, but their gradients are added in place too: of a table of 30,000 words a
batch reads a few hundred rows, and autograd would write the gradients of all of them.

Where rows stack several blocks (`plan`), the leading rows of each block are active.

Legend: N rows of the input (all leading dimensions), O active outputs, I active inputs.
"""

from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from .plan import LayerSizes, SlicingPlan
from .slicing import leading, leading_blocks, linears


class ElasticLinear(nn.Linear):
    """`nn.Linear` that uses the leading rows and columns of its weight.

    Attributes:
        blocks: Equal blocks that its rows stack.
        active_in: Active columns.
        active_out: Active rows, all blocks together.
    """

    blocks: int
    active_in: int
    active_out: int

    @classmethod
    def from_linear(cls, linear: nn.Linear, *, blocks: int = 1) -> Self:
        """Return an elastic layer that shares the parameters of `linear`, all of them active."""
        layer = cls.__new__(cls)
        nn.Module.__init__(layer)
        layer.in_features, layer.out_features = linear.in_features, linear.out_features
        layer.weight, layer.bias = linear.weight, linear.bias
        layer.blocks = blocks
        layer.activate(linear.in_features, linear.out_features)
        layer.train(linear.training)
        return layer

    def activate(self, active_in: int, active_out: int) -> None:
        """Use the leading `active_out` rows and `active_in` columns from now on."""
        self.active_in, self.active_out = active_in, active_out

    def forward(self, input: Tensor) -> Tensor:
        """Map [..., I] to [..., O]."""
        output: Tensor = _SlicedLinear.apply(  # type: ignore[no-untyped-call]
            input, self.weight, self.bias, self.active_in, self.active_out, self.blocks
        )
        return output


class AccumulatingEmbedding(nn.Embedding):
    """`nn.Embedding` whose backward pass adds to `weight.grad` the rows that were read."""

    @classmethod
    def from_embedding(cls, embedding: nn.Embedding) -> Self:
        """Return a layer that shares the parameter of `embedding`, of plain dense gradients."""
        layer = cls.__new__(cls)
        nn.Module.__init__(layer)
        layer.__dict__.update(
            {name: value for name, value in vars(embedding).items() if not name.startswith("_")}
        )
        layer.weight = embedding.weight
        return layer

    def forward(self, input: Tensor) -> Tensor:
        """Map ids [...] to [..., E]."""
        output: Tensor = _Lookup.apply(input, self.weight, self.padding_idx)  # type: ignore[no-untyped-call]
        return output


def make_elastic(layer: nn.Module, plan: SlicingPlan) -> None:
    """Make a transformer layer's linear layers elastic, in place; its function does not change."""
    for linear, axes in linears(layer, plan):
        layer.set_submodule(axes.path, ElasticLinear.from_linear(linear, blocks=axes.blocks))


def activate(layer: nn.Module, plan: SlicingPlan, sizes: LayerSizes) -> None:
    """Run an elastic transformer layer at other sizes from now on."""
    for linear, axes in linears(layer, plan):
        assert isinstance(linear, ElasticLinear)
        linear.activate(axes.num_columns(sizes), axes.num_rows(sizes))


class _SlicedLinear(torch.autograd.Function):
    """y = x W[:O, :I]^T + b[:O], whose backward pass adds to `W.grad` and `b.grad` in place."""

    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        active_in: int,
        active_out: int,
        blocks: int,
    ) -> Tensor:
        device = input.device.type
        dtype = input.dtype
        if torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)
        input = input.to(dtype)
        sliced = leading(weight, (active_out, active_in), blocks=blocks).to(dtype)
        added = None if bias is None else leading(bias, (active_out,), blocks=blocks).to(dtype)
        ctx.save_for_backward(input, sliced)
        ctx.parameters, ctx.blocks = (weight, bias), blocks
        with torch.autocast(device, enabled=False):
            return functional.linear(input, sliced, added)

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        input, sliced = ctx.saved_tensors
        active_out, active_in = sliced.shape
        weight, bias = ctx.parameters
        rows = grad_output.reshape(-1, active_out)
        if weight.requires_grad:
            accumulate(weight, rows.t() @ input.reshape(-1, active_in), blocks=ctx.blocks)
        if bias is not None and bias.requires_grad:
            accumulate(bias, rows.sum(0), blocks=ctx.blocks)
        return grad_output @ sliced, None, None, None, None, None


class _Lookup(torch.autograd.Function):
    """The rows of a table; that of padding gets no gradient."""

    @staticmethod
    def forward(ctx: Any, ids: Tensor, weight: Tensor, padding_idx: int | None) -> Tensor:
        ctx.ids, ctx.weight, ctx.padding_idx = ids, weight, padding_idx
        return functional.embedding(ids, weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        ids, weight = ctx.ids, ctx.weight
        if ctx.padding_idx is not None:
            gradient = gradient * (ids != ctx.padding_idx)[..., None]
        if weight.grad is None:
            weight.grad = torch.zeros_like(weight)
        weight.grad.index_add_(0, ids.flatten(), gradient.flatten(0, -2).to(weight.dtype))
        return None, None, None


def accumulate(parameter: Tensor, gradient: Tensor, *, blocks: int) -> None:
    """Add the gradient of a leading part to the parameter's own."""
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    part = leading_blocks(parameter.grad, gradient.shape, blocks=blocks)
    part.add_(gradient.unflatten(0, (blocks, -1)))
