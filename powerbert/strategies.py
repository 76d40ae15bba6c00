"""Which word-vectors stay, without looking at them: the paper's static strategies (section 4).

Head-WS keeps the first positions, Rand-WS positions that are drawn once and then fixed. Both keep
as many as a retention configuration says and serve as baselines of the attention score.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from ..encoders.elimination import Kept, Select, chooser

Strategy = Literal["attention", "head", "random"]


def static_chooser(
    strategy: Strategy,
    amounts: Sequence[int],
    unit: str,
    mask: Tensor,
    *,
    seed: int,
    num_positions: int,
) -> Select:
    """Hard extraction by a strategy.

    Args:
        strategy: "attention" for the score that the layers give, else a static one.
        amounts: What leaves each layer.
        unit: "tokens", or "percent" of each example's own length.
        mask: [B, T] of the input, 1 at tokens.
        seed: Of the random positions.
        num_positions: Positions that the model has.
    """
    choose = chooser(amounts, unit, mask)
    if strategy == "attention":
        return choose
    generator = torch.Generator().manual_seed(seed)
    order = -torch.arange(num_positions, dtype=torch.float32)
    if strategy == "random":
        order = torch.rand(num_positions, generator=generator)
    order = order.to(mask.device)
    positions = torch.arange(mask.shape[1], device=mask.device).expand(mask.shape)

    def choose_static(place: int, score: Tensor, present: Tensor) -> Kept | None:
        nonlocal positions
        kept = choose(place, order[positions], present)
        if kept is not None:
            positions = positions.gather(1, kept.positions)
        return kept

    return choose_static
