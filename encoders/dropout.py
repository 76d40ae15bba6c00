"""Dropout for training on processors: one 64-bit random number serves four elements.

PyTorch draws a number per element on one thread, which costs as much as a narrow layer's matrix
product. Here the kept share is exact to 2**-16, far below what any result can show.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

_LEVELS = 2**16


@dataclass(frozen=True, slots=True)
class DropoutMask:
    """What dropout leaves of a tensor: `factors` times `scale` is what it is multiplied with.

    Attributes:
        factors: 1 where an element stays and 0 where it is dropped.
        scale: Makes up for those that are dropped.
    """

    factors: Tensor
    scale: float


def draw_mask(
    shape: Sequence[int], p: float, *, dtype: torch.dtype, device: torch.device
) -> DropoutMask | None:
    """Draw which elements of a tensor of some shape stay, each with probability 1 - p.

    Args:
        shape: Any.
        p: The share that is dropped.
        dtype: Of the factors.
        device: Where they are drawn.

    Returns:
        None when p is 0 to the precision of the draw.
    """
    dropped = round(p * _LEVELS)
    if dropped == 0:
        return None
    factors = torch.empty(shape, dtype=dtype, device=device)
    words = torch.empty(-(-factors.numel() // 4), dtype=torch.int64, device=device)
    bits = words.random_(-(2**63), None).view(torch.int16)[: factors.numel()]
    torch.ge(bits.view(factors.shape), dropped - _LEVELS // 2, out=factors)
    return DropoutMask(factors, _LEVELS / (_LEVELS - dropped) if dropped < _LEVELS else 0.0)


class PackedDropout(nn.Dropout):
    """`nn.Dropout` that draws 16 bits per element."""

    @classmethod
    def from_dropout(cls, dropout: nn.Dropout) -> Self:
        """Return a layer of the same probability and mode."""
        return cls(dropout.p).train(dropout.training)

    def forward(self, input: Tensor) -> Tensor:
        """Zero a share `p` of the elements in training and scale the rest; any shape."""
        if not self.training:
            return input
        mask = draw_mask(input.shape, self.p, dtype=input.dtype, device=input.device)
        return input if mask is None else input * mask.factors.mul_(mask.scale)
