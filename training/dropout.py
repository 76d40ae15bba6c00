"""Dropout for training on processors: one 64-bit random number serves four elements.

PyTorch draws a number per element on one thread, which costs as much as a narrow layer's matrix
product. Here the kept share is exact to 2**-16, far below what any result can show.
"""

from typing import Self

import torch
from torch import Tensor, nn

_LEVELS = 2**16


class PackedDropout(nn.Dropout):
    """`nn.Dropout` that draws 16 bits per element."""

    @classmethod
    def from_dropout(cls, dropout: nn.Dropout) -> Self:
        """Return a layer of the same probability and mode."""
        return cls(dropout.p).train(dropout.training)

    def forward(self, input: Tensor) -> Tensor:
        """Zero a share `p` of the elements in training and scale the rest; any shape."""
        dropped = round(self.p * _LEVELS)
        if not self.training or dropped == 0:
            return input
        words = torch.empty(-(-input.numel() // 4), dtype=torch.int64, device=input.device)
        bits = words.random_(-(2**63), None).view(torch.int16)[: input.numel()]
        kept = bits.view(input.shape) >= dropped - _LEVELS // 2
        return input * kept.to(input.dtype).mul_(_LEVELS / (_LEVELS - dropped))
