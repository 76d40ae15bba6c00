"""Which sub-network to ask for at a cost, judged by what repair cannot make up for (no torch).

`dynabert.losses` says what the logits lose when one half of one layer keeps fewer of its units, or
layers between two others go; these losses add up. So the best layers, and heads and neurons of
each, under a limit of additive costs are a knapsack problem, solved by dynamic programming as in
SPDY and ZipLM (Frantar & Alistarh 2022; Kurtic et al. 2023). What is proposed is then repaired, or
trained, like any sub-network.

Legend: S steps that the limit is divided into.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..dynabert.losses import Losses, RepairLosses
from ..errors import InputError
from ..networks.subnet import SubnetConfig
from ..profiling.counts import Rates

STEPS = 4096
"""Into how many steps the limit is divided; costs are rounded up to whole steps."""

Array = np.ndarray[Any, Any]


def propose(losses: RepairLosses, rates: Rates, *, limit: float) -> SubnetConfig:
    """The sub-network of the least estimated loss within a limit of its cost.

    Sizes are those that the losses name.

    Args:
        losses: Of the full model.
        rates: What layers, heads and neurons cost.
        limit: The most that all of them may cost.

    Raises:
        InputError: When one head and one neuron of one layer cost more, as far as steps can tell.
    """
    scale, total = STEPS / limit, len(losses.layers)
    per_layer = math.ceil(rates.per_layer * scale)
    kept = [_Kept(np.zeros(STEPS + 1), np.zeros(0), np.zeros(0), np.zeros(0))]
    for layer, known in enumerate(losses.layers):
        before, behind = _least(
            [each.losses + losses.gaps[i][layer - i] for i, each in enumerate(kept)]
        )
        before, heads = _with_units(before, known.heads, rates.per_head * scale)
        before, neurons = _with_units(
            _moved(before, per_layer), known.neurons, rates.per_neuron * scale
        )
        kept.append(_Kept(before, behind, heads, neurons))
    ends = [kept[i].losses[-1] + losses.gaps[i][total - i] for i in range(1, total + 1)]
    if not min(ends) < math.inf:
        raise InputError(
            f"No layer of one head and one neuron costs as little as {limit:.3g}: ask for more."
        )
    place, left, found = int(np.argmin(ends)) + 1, STEPS, []
    while place:
        num_neurons = int(kept[place].neurons[left])
        left -= math.ceil(num_neurons * rates.per_neuron * scale) + per_layer
        num_heads = int(kept[place].heads[left])
        left -= math.ceil(num_heads * rates.per_head * scale)
        found.append((place - 1, num_heads, num_neurons))
        place = int(kept[place].behind[left])
    of_layers, of_heads, of_neurons = zip(*reversed(found), strict=True)
    return SubnetConfig(of_layers, of_heads, of_neurons)


@dataclass(frozen=True, slots=True)
class _Kept:
    """The best networks that end with one layer, or with none, by what they may cost.

    Attributes:
        losses: What they lose up to there, [S].
        behind: The place of the layer before it, 0 for none, [S] by what is left for those.
        heads: Of the layer, [S] by what is left for it and those without its neurons.
        neurons: Of the layer, [S].
    """

    losses: Array
    behind: Array
    heads: Array
    neurons: Array


def _least(choices: Sequence[Array]) -> tuple[Array, Array]:
    """The least of several losses at each number of steps, and which one it is."""
    stacked = np.stack(choices)
    return stacked.min(0), stacked.argmin(0)


def _with_units(steps: Array, losses: Losses, cost: float) -> tuple[Array, Array]:
    """The least loss at each number of steps once a half is in it, and how many units it then has.

    Args:
        steps: The least loss without it, [S].
        losses: Of the half.
        cost: Of a unit, in steps.
    """
    best, chosen = np.full_like(steps, np.inf), np.zeros(len(steps), dtype=int)
    for size, loss in losses:
        if size:
            found = _moved(steps, math.ceil(size * cost)) + loss
            better = found < best
            best[better], chosen[better] = found[better], size
    return best, chosen


def _moved(steps: Array, by: int) -> Array:
    """The same losses, each at so many steps more."""
    moved = np.full_like(steps, np.inf)
    if by < len(steps):
        moved[by:] = steps[: len(steps) - by]
    return moved
