"""An elastic linear layer: the stock layer plus the sizes that are active.

DynaBERT section 2.1: a narrower network uses the leading rows and columns of the rewired weights.
Only the forward pass slices; parameters and state-dict keys are those of `nn.Linear`.

Many sub-networks add to one gradient before each step (Algorithms 2 and 3). Plain autograd would
embed every slice's gradient in a zero matrix of the full size and add that; here the backward
pass adds the slice in place (gradient-accumulation fusion), which leaves only the work that the
narrow network needs.

Legend: N rows of the input (all leading dimensions), O active outputs, I active inputs.
"""

from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional


class ElasticLinear(nn.Linear):
    """`nn.Linear` that uses the first `active_out` rows and `active_in` columns of its weight."""

    active_in: int
    active_out: int

    @classmethod
    def from_linear(cls, linear: nn.Linear) -> Self:
        """Return an elastic layer that shares the parameters of `linear`, all of them active."""
        layer = cls.__new__(cls)
        nn.Module.__init__(layer)
        layer.in_features, layer.out_features = linear.in_features, linear.out_features
        layer.weight, layer.bias = linear.weight, linear.bias
        layer.activate(linear.in_features, linear.out_features)
        layer.train(linear.training)
        return layer

    def activate(self, active_in: int, active_out: int) -> None:
        """Use the first `active_out` rows and `active_in` columns from now on."""
        self.active_in, self.active_out = active_in, active_out

    def forward(self, input: Tensor) -> Tensor:
        """Map [..., I] to [..., O]."""
        output: Tensor = _SlicedLinear.apply(  # type: ignore[no-untyped-call]
            input, self.weight, self.bias, self.active_in, self.active_out
        )
        return output


class _SlicedLinear(torch.autograd.Function):
    """y = x W[:O, :I]^T + b[:O], whose backward pass adds to `W.grad` and `b.grad` in place."""

    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        weight: Tensor,
        bias: Tensor,
        active_in: int,
        active_out: int,
    ) -> Tensor:
        device = input.device.type
        dtype = input.dtype
        if torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)
        input = input.to(dtype)
        sliced = weight[:active_out, :active_in].to(dtype)
        ctx.save_for_backward(input, sliced)
        ctx.parameters = weight, bias
        with torch.autocast(device, enabled=False):
            return functional.linear(input, sliced, bias[:active_out].to(dtype))

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        input, sliced = ctx.saved_tensors
        active_out, active_in = sliced.shape
        weight, bias = ctx.parameters
        rows = grad_output.reshape(-1, active_out)
        if weight.requires_grad:
            gradient = rows.t() @ input.reshape(-1, active_in)
            _accumulated(weight)[:active_out, :active_in].add_(gradient)
        if bias.requires_grad:
            _accumulated(bias)[:active_out].add_(rows.sum(0))
        return grad_output @ sliced, None, None, None, None


def _accumulated(parameter: Tensor) -> Tensor:
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad
