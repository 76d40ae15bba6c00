"""Which sub-network to ask for at a cost, judged by what repair cannot make up for (no torch).

`dynabert.losses` says what the logits lose when one half of one layer keeps fewer of its units, or
layers between two others go; these losses add up. So the best layers, and heads and neurons of
each, under a limit of additive costs are a knapsack problem, solved by dynamic programming as in
SPDY and ZipLM (Frantar & Alistarh 2022; Kurtic et al. 2023). What is proposed is then repaired, or
trained, like any sub-network.

Legend: S steps that the limit is divided into.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..dynabert.losses import Losses, RepairLosses
from ..errors import InputError
from ..networks.subnet import SubnetConfig
from ..profiling.counts import Rates

STEPS = 2048
"""Into how many steps the limit is divided; costs are rounded up to whole steps."""

Array = np.ndarray[Any, Any]


def propose(losses: RepairLosses, rates: Rates, *, limit: float) -> list[SubnetConfig]:
    """The sub-network of the least estimated loss of each number of layers within a limit.

    What later layers make up for depends on how many there are, and is not estimated: so which
    number is best is left to whoever repairs and scores a few of these.

    Args:
        losses: Of the full model.
        rates: What layers, heads and neurons cost.
        limit: The most that all of them may cost.

    Returns:
        Networks of sizes that the losses name, those of the least estimate first.

    Raises:
        InputError: When one head and one neuron of one layer cost more, as far as steps can tell.
    """
    scale, total = STEPS / limit, len(losses.layers)
    per_layer = math.ceil(rates.per_layer * scale)
    nothing = _Kept(np.zeros(STEPS + 1), np.zeros(0), np.zeros(0), np.zeros(0))
    rounds: list[dict[int, _Kept]] = [{0: nothing}]
    found = []
    for number in range(1, total + 1):
        rounds.append({})
        for layer in range(number - 1, total):
            places = [place for place in rounds[-2] if place <= layer]
            before, which = _least(
                [rounds[-2][place].losses + losses.gaps[place][layer - place] for place in places]
            )
            known = losses.layers[layer]
            after, heads = _with_units(before, known.heads, rates.per_head * scale)
            after, neurons = _with_units(
                _moved(after, per_layer), known.neurons, rates.per_neuron * scale
            )
            rounds[-1][layer + 1] = _Kept(after, np.array(places)[which], heads, neurons)
        last = min(
            rounds[-1],
            key=lambda place: rounds[-1][place].losses[-1] + losses.gaps[place][total - place],
        )
        if rounds[-1][last].losses[-1] < math.inf:
            found.append(_read_back(rounds, last, rates, per_layer=per_layer, scale=scale))
    if not found:
        raise InputError(
            f"No layer of one head and one neuron costs as little as {limit:.3g}: ask for more."
        )
    return sorted(found, key=losses.estimate)


@dataclass(frozen=True, slots=True)
class _Kept:
    """The best networks of so many layers that end with one of them, by what they may cost.

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


def _read_back(
    rounds: Sequence[Mapping[int, _Kept]],
    place: int,
    rates: Rates,
    *,
    per_layer: int,
    scale: float,
) -> SubnetConfig:
    """The network whose last layer is at a place of the last round."""
    left, found = STEPS, []
    for kept in reversed(rounds[1:]):
        num_neurons = int(kept[place].neurons[left])
        left -= math.ceil(num_neurons * rates.per_neuron * scale) + per_layer
        num_heads = int(kept[place].heads[left])
        left -= math.ceil(num_heads * rates.per_head * scale)
        found.append((place - 1, num_heads, num_neurons))
        place = int(kept[place].behind[left])
    layers, heads, neurons = zip(*reversed(found), strict=True)
    return SubnetConfig(layers, heads, neurons)


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
