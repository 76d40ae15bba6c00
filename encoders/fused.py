"""A transformer layer in two autograd functions, for training: attention and feed-forward network.

What a layer computes is transformers' (projections, softmax, dropout of its probabilities, output,
dropout, residual, LayerNorm; then the same around the activation); what differs is how. Under
autograd each of these steps is a node that keeps its operands, casts them and adds up gradients
apart. Here a half of a layer is one node:

- Queries, keys and values are one matrix product, and attention is batched products over heads.
  PyTorch's fused attention has no dropout, and on processors its bf16 backward pass takes ten
  times as long as these products.
- Softmax, residuals and LayerNorms are fp32 under autocast and outside it; whatever enters a
  matrix product is cast once.
- Dropout keeps 0 and 1; the scale rides along with an addition.
- Gradients of weights are added to `.grad` in place, as elastic layers do (`elastic`).

Texts of several sub-networks may be stacked in one batch where these are equally wide in a layer.
Left out: gated feed-forward networks, projections without bias, keys shared by heads, and second
derivatives.

Legend: B texts, T tokens, N = B T, E hidden size, H active heads, D head size, F active neurons.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from .dropout import DropoutMask, draw_mask
from .elastic import accumulate
from .family import Family
from .plan import Axis, LayerSizes
from .slicing import leading, linears


def run_layer(
    family: Family, layer: nn.Module, state: Tensor, mask: Tensor, sizes: LayerSizes
) -> Tensor:
    """Run a transformer layer at given sizes; inside autocast its products are in that format.

    Args:
        family: The layer's family.
        layer: A layer of the full model; in training its dropout applies.
        state: Hidden states [B, T, E], float32.
        mask: What is added to attention scores, [B, 1, 1, T]; -inf at padding.
        sizes: The active ones.

    Returns:
        Its hidden states [B, T, E], float32.
    """
    for function, half in zip(
        (_Attention, _FeedForward), _halves(family, layer, sizes), strict=True
    ):
        norm = half.norm
        state = function.apply(state, norm.weight, norm.bias, mask, half)
    return state


@dataclass(frozen=True, slots=True)
class _Cut:
    """The active part of linear layers that read the same.

    Attributes:
        linears: The layers, with the number of their blocks.
        rows: Active rows of each, blocks together.
        columns: Active columns.
    """

    linears: tuple[tuple[nn.Linear, int], ...]
    rows: int
    columns: int

    def weight(self, dtype: torch.dtype) -> Tensor:
        """The active weights, one below the other."""
        shape = (self.rows, self.columns)
        return _stacked(
            [
                leading(linear.weight, shape, blocks=blocks).to(dtype)
                for linear, blocks in self.linears
            ]
        )

    def bias(self, dtype: torch.dtype) -> Tensor:
        """Their biases."""
        return _stacked(
            [
                leading(linear.bias, (self.rows,), blocks=blocks).to(dtype)
                for linear, blocks in self.linears
            ]
        )

    def accumulate(self, gradient: Tensor, input: Tensor) -> None:
        """Add the gradients of the parameters.

        Args:
            gradient: Of the outputs, [N, rows of all].
            input: What they read, [N, columns].
        """
        learning = [
            linear.weight.requires_grad or linear.bias.requires_grad for linear, _ in self.linears
        ]
        if not any(learning):
            return
        weights = (gradient.t() @ input).split(self.rows)
        biases = gradient.sum(0).split(self.rows)
        for (linear, blocks), weight, bias in zip(self.linears, weights, biases, strict=True):
            if linear.weight.requires_grad:
                accumulate(linear.weight, weight, blocks=blocks)
            if linear.bias.requires_grad:
                accumulate(linear.bias, bias, blocks=blocks)


@dataclass(frozen=True, slots=True)
class _Half:
    """A half of a layer at its active sizes.

    Attributes:
        inner: The linear layers that read the hidden states.
        outer: The one that writes them.
        norm: The LayerNorm at its end.
        head_size: D.
        activation: Of the feed-forward network.
        inner_dropout: The share that is dropped of attention's probabilities.
        outer_dropout: The share that is dropped of what is written.
        dtype: Of matrix products.
        learns: Whether gradients are wanted.
    """

    inner: _Cut
    outer: _Cut
    norm: nn.LayerNorm
    head_size: int
    activation: nn.Module
    inner_dropout: float
    outer_dropout: float
    dtype: torch.dtype
    learns: bool

    def drawn(self, like: Tensor, p: float) -> DropoutMask | None:
        """What dropout keeps of a tensor."""
        return draw_mask(like.shape, p, dtype=self.dtype, device=like.device)


def _halves(family: Family, layer: nn.Module, sizes: LayerSizes) -> tuple[_Half, _Half]:
    device = next(layer.parameters()).device.type
    dtype = torch.float32
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
    modules = family.parts
    rates = [_rate(layer, path) for path in modules.dropouts]
    units: tuple[Axis, Axis] = ("heads", "neurons")
    first, second = (
        _Half(
            inner=_cut(family, layer, sizes, rows=unit, columns="hidden"),
            outer=_cut(family, layer, sizes, rows="hidden", columns=unit),
            norm=cast(nn.LayerNorm, layer.get_submodule(norm)),
            head_size=sizes.head_size,
            activation=layer.get_submodule(modules.activation),
            inner_dropout=rates[0],
            outer_dropout=rate,
            dtype=dtype,
            learns=torch.is_grad_enabled(),
        )
        for unit, norm, rate in zip(units, family.norms, rates[1:], strict=True)
    )
    return first, second


def _cut(
    family: Family, layer: nn.Module, sizes: LayerSizes, *, rows: Axis, columns: Axis
) -> _Cut:
    found = [
        (linear, axes)
        for linear, axes in linears(layer, family.plan)
        if (axes.rows, axes.columns) == (rows, columns)
    ]
    return _Cut(
        tuple((linear, axes.blocks) for linear, axes in found),
        rows=found[0][1].num_rows(sizes),
        columns=found[0][1].num_columns(sizes),
    )


def _rate(layer: nn.Module, path: str | None) -> float:
    if path is None:
        return 0.0
    dropout = cast(nn.Dropout, layer.get_submodule(path))
    return dropout.p if dropout.training else 0.0


class _Attention(torch.autograd.Function):
    """LayerNorm(x + dropout(dropout(softmax(q k^T / sqrt(D) + mask)) v W_o^T + b_o))."""

    @staticmethod
    def forward(
        ctx: Any, state: Tensor, norm_weight: Tensor, norm_bias: Tensor, mask: Tensor, half: _Half
    ) -> Tensor:
        B, T, E = state.shape
        D = half.head_size
        with torch.autocast(state.device.type, enabled=False):
            input = state.to(half.dtype).view(-1, E)
            inner = half.inner.weight(half.dtype)
            projected = functional.linear(input, inner, half.inner.bias(half.dtype))
            heads = projected.view(B, T, 3, -1, D).permute(2, 0, 3, 1, 4).contiguous()
            query, key, value = heads.flatten(1, 2)
            scores = torch.bmm(query, key.mT).view(B, -1, T, T)
            shares = torch.add(mask, scores, alpha=D**-0.5).softmax(-1).flatten(0, 1)
            kept = half.drawn(shares, half.inner_dropout)
            mixed = torch.bmm(_dropped(shares, kept, half.dtype), value)
            context = mixed.view(B, -1, T, D).transpose(1, 2).reshape(B * T, -1)
            outer = half.outer.weight(half.dtype)
            output, drawn = _add_and_norm(state, context, outer, half)
        result, summed, mean, deviation = output
        ctx.save_for_backward(
            input, inner, heads, shares, context, outer, summed, mean, deviation, norm_weight
        )
        ctx.half, ctx.kept, ctx.drawn = half, kept, drawn
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        input, inner, heads, shares, context, outer, *normed = ctx.saved_tensors
        half, kept = ctx.half, ctx.kept
        _, B, H, T, D = heads.shape
        residual, written, norms = _norm_backward(gradient, normed, ctx.drawn, half)
        half.outer.accumulate(written, context)
        mixed = (written @ outer).view(B, T, H, D).transpose(1, 2).reshape(B * H, T, D)
        query, key, value = heads.flatten(1, 2)
        gradients = torch.empty_like(heads)
        of_query, of_key, of_value = gradients.flatten(1, 2)
        torch.bmm(_dropped(shares, kept, half.dtype).mT, mixed, out=of_value)
        of_shares = torch.bmm(mixed, value.mT)
        if kept is not None:
            of_shares.mul_(kept.factors)
        of_scores = torch._softmax_backward_data(of_shares.float(), shares, -1, torch.float32)
        scale = D**-0.5 * (1.0 if kept is None else kept.scale)
        scaled = _scaled(of_scores, scale, half.dtype)
        torch.bmm(scaled, key, out=of_query)
        torch.bmm(scaled.mT, query, out=of_key)
        projected = gradients.permute(1, 3, 0, 2, 4).reshape(B * T, -1)
        half.inner.accumulate(projected, input)
        residual += projected @ inner
        return residual.view_as(gradient), *norms, None, None


class _FeedForward(torch.autograd.Function):
    """LayerNorm(x + dropout(activation(x W_1^T + b_1) W_2^T + b_2))."""

    @staticmethod
    def forward(
        ctx: Any, state: Tensor, norm_weight: Tensor, norm_bias: Tensor, mask: Tensor, half: _Half
    ) -> Tensor:
        with torch.autocast(state.device.type, enabled=False):
            input = state.to(half.dtype).view(-1, state.shape[-1])
            inner = half.inner.weight(half.dtype)
            before = functional.linear(input, inner, half.inner.bias(half.dtype))
            with torch.set_grad_enabled(half.learns):
                activated = half.activation(before.requires_grad_(half.learns))
            outer = half.outer.weight(half.dtype)
            output, drawn = _add_and_norm(state, activated.detach(), outer, half)
        result, summed, mean, deviation = output
        if half.learns:
            ctx.save_for_backward(input, inner, outer, summed, mean, deviation, norm_weight)
            ctx.half, ctx.drawn, ctx.activation = half, drawn, (before, activated)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        input, inner, outer, *normed = ctx.saved_tensors
        half = ctx.half
        before, activated = ctx.activation
        del ctx.activation
        residual, written, norms = _norm_backward(gradient, normed, ctx.drawn, half)
        half.outer.accumulate(written, activated.detach())
        (of_before,) = torch.autograd.grad(activated, before, written @ outer)
        half.inner.accumulate(of_before, input)
        residual += of_before @ inner
        return residual.view_as(gradient), *norms, None, None


def _add_and_norm(
    state: Tensor, input: Tensor, weight: Tensor, half: _Half
) -> tuple[tuple[Tensor, Tensor, Tensor, Tensor], DropoutMask | None]:
    """The end of a half.

    Args:
        state: What the half reads, [B, T, E].
        input: What its last linear layer reads, [N, units].
        weight: That layer's, [E, units].
        half: The half.

    Returns:
        Hidden states [B, T, E], what was normalised, [N, E], with its mean and 1 / its standard
        deviation; and what dropout kept.
    """
    written = functional.linear(input, weight, half.outer.bias(half.dtype))
    kept = half.drawn(written, half.outer_dropout)
    if kept is not None:
        written.mul_(kept.factors)
    summed = torch.add(state.view_as(written), written, alpha=1.0 if kept is None else kept.scale)
    norm = half.norm
    result, mean, deviation = torch.native_layer_norm(
        summed, norm.normalized_shape, norm.weight, norm.bias, norm.eps
    )
    return (result.view_as(state), summed, mean, deviation), kept


def _norm_backward(
    gradient: Tensor, normed: Sequence[Tensor], kept: DropoutMask | None, half: _Half
) -> tuple[Tensor, Tensor, tuple[Tensor | None, Tensor | None]]:
    """The gradients at the end of a half.

    Returns:
        That of the residual, [N, E] float32; that of what the last linear layer wrote, [N, E]; and
        those of the LayerNorm's parameters.
    """
    summed, mean, deviation, weight = normed
    bias = half.norm.bias
    learns = [True, weight.requires_grad, bias.requires_grad]
    residual, of_weight, of_bias = torch.ops.aten.native_layer_norm_backward(
        gradient.reshape_as(summed).contiguous(),
        summed,
        half.norm.normalized_shape,
        mean,
        deviation,
        weight,
        bias,
        learns,
    )
    written = _scaled(residual, 1.0 if kept is None else kept.scale, half.dtype)
    if kept is not None:
        written.mul_(kept.factors)
    return residual, written, (of_weight, of_bias)


def _dropped(shares: Tensor, kept: DropoutMask | None, dtype: torch.dtype) -> Tensor:
    """Attention's probabilities after dropout, for a matrix product."""
    if kept is None:
        return shares.to(dtype)
    return _scaled(shares, kept.scale, dtype).mul_(kept.factors)


def _scaled(tensor: Tensor, scale: float, dtype: torch.dtype) -> Tensor:
    """A new tensor, scaled before it is rounded."""
    return torch.mul(tensor, scale, out=torch.empty_like(tensor, dtype=dtype))


def _stacked(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))
