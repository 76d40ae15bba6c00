"""Which sub-network to ask for at a cost, judged by what repair cannot make up for (no torch).

`dynabert.losses` says what the logits lose when one half of one layer keeps fewer of its units and
is fitted again; these losses add up over the halves. So the best heads and neurons of each layer
under a limit of additive costs are a knapsack problem, solved by dynamic programming as in SPDY
and ZipLM (Frantar & Alistarh 2022; Kurtic et al. 2023). A layer may be dropped with both of its
halves. What is proposed is then repaired, or trained, like any sub-network.

Legend: S steps that the limit is divided into.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dynabert.losses import LayerLosses, Losses
from ..errors import InputError
from ..networks.subnet import SubnetConfig
from ..profiling.counts import Rates

STEPS = 4096
"""Into how many steps the limit is divided; costs are rounded up to whole steps."""

Array = np.ndarray[Any, Any]


def propose(losses: Sequence[LayerLosses], rates: Rates, *, limit: float) -> SubnetConfig:
    """The sub-network of the least estimated loss within a limit of its cost.

    Sizes are those that the losses name.

    Args:
        losses: Of every layer of the full model.
        rates: What layers, heads and neurons cost.
        limit: The most that all of them may cost.

    Raises:
        InputError: When one head and one neuron of one layer cost more, as far as steps can tell.
    """
    steps = np.zeros(STEPS + 1)
    choices = []
    for known in losses:
        after_heads, heads = _with_units(steps, known.heads, rates.per_head * STEPS / limit)
        layer = math.ceil(rates.per_layer * STEPS / limit)
        after_both, neurons = _with_units(
            _moved(after_heads, layer), known.neurons, rates.per_neuron * STEPS / limit
        )
        dropped = steps + known.heads[0][1] + known.neurons[0][1]
        keeps = after_both <= dropped
        choices.append((keeps, layer, heads, neurons))
        steps = np.where(keeps, after_both, dropped)
    left, kept = STEPS, {}
    for index, (keeps, layer, heads, neurons) in reversed([*enumerate(choices)]):
        if keeps[left]:
            num_neurons = int(neurons[left])
            left -= math.ceil(num_neurons * rates.per_neuron * STEPS / limit) + layer
            num_heads = int(heads[left])
            left -= math.ceil(num_heads * rates.per_head * STEPS / limit)
            kept[index] = num_heads, num_neurons
    if not kept:
        raise InputError(
            f"No layer of one head and one neuron costs as little as {limit:.3g}: ask for more."
        )
    return SubnetConfig(
        tuple(sorted(kept)),
        tuple(kept[index][0] for index in sorted(kept)),
        tuple(kept[index][1] for index in sorted(kept)),
    )


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
