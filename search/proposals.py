"""Which sub-networks to ask for at a cost, where losses add up (no torch).

What a network loses is taken for the sum of what each kept layer loses at its size and what each
gap between kept layers loses. Under a limit of costs that add up as well, the best layers and
their sizes are a knapsack problem, solved by dynamic programming over layers, for every limit at
once, as in SPDY, HALP and ZipLM (Frantar and Alistarh 2022; Shen et al. 2022; Kurtic et al. 2023).
What is proposed is then scored, repaired or trained, like any sub-network.

What later layers make up for depends on how many there are, and is in no such sum: so the best
network of each number of layers is given, and which number is best is left to whoever scores a few
of these.

Legend: L layers of the full model; S steps that the limit is divided into.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Protocol

import numpy as np

from ..dynabert.losses import RepairLosses
from ..errors import InputError
from ..networks.subnet import SubnetConfig
from ..profiling.counts import Rates
from .ranking import nondominated

STEPS = 2048
"""Into how many steps the limit is divided; costs are rounded up to whole steps."""

Array = np.ndarray[Any, Any]

Gap = Callable[[int, int], float]
"""What is lost between two kept layers; see `AdditiveLosses.of_gap`."""


class AdditiveLosses(Protocol):
    """What is lost where layers are narrower, and where they go: `RepairLosses`, or its like."""

    def of_halves(self, layer: int, *, heads: int, neurons: int) -> float:
        """What is lost when a layer keeps so many heads and neurons."""

    def of_gap(self, before: int, after: int) -> float:
        """What is lost when the layers between two kept ones go.

        Args:
            before: The kept layer before them; -1 for none.
            after: The one after them; L for none.
        """


@dataclass(frozen=True, slots=True)
class Option:
    """What a kept layer can be.

    Attributes:
        heads: Its heads.
        neurons: Its neurons.
        cost: What it costs.
        loss: What is lost.
    """

    heads: int
    neurons: int
    cost: float
    loss: float


def worthwhile(options: Iterable[Option]) -> list[Option]:
    """The options that no other one of the layer beats."""
    every = list(options)
    flags = nondominated(np.array([(option.cost, option.loss) for option in every]))
    return [option for option, kept in zip(every, flags, strict=True) if kept]


@dataclass(frozen=True, slots=True)
class _Kept:
    """The best networks of so many layers that end with one of them, by what they may cost.

    Attributes:
        losses: What they lose up to there, [S + 1].
        chosen: The option of the layer, [S + 1].
        behind: The place of the layer before it, 0 for none, [S + 1] by what is left for those.
    """

    losses: Array
    chosen: Array
    behind: Array


class Proposals:
    """The networks of least loss of each number of layers, under every limit up to one."""

    def __init__(self, options: Sequence[Sequence[Option]], gap: Gap, *, limit: float) -> None:
        """Find them all.

        Args:
            options: What each layer can be where it is kept.
            gap: What is lost in a gap; infinite where layers must stay.
            limit: The most that all layers may cost.
        """
        self._options = options
        self._steps = [
            [math.ceil(option.cost * STEPS / limit - 1e-9) for option in layer]
            for layer in options
        ]
        nothing = _Kept(np.zeros(STEPS + 1), np.zeros(0), np.zeros(0))
        self._rounds: list[dict[int, _Kept]] = [{0: nothing}]
        total = len(options)
        for number in range(1, total + 1):
            ended = self._rounds[-1]
            self._rounds.append(
                {layer + 1: self._kept(layer, ended, gap) for layer in range(number - 1, total)}
            )
        self._ends = [
            (
                list(ended),
                np.stack([kept.losses + gap(end - 1, total) for end, kept in ended.items()]),
            )
            for ended in self._rounds[1:]
        ]

    def within(self, steps: int = STEPS) -> list[SubnetConfig]:
        """The best network of each number of layers that costs so many steps, the best first.

        Args:
            steps: Of the limit, which is all of them.
        """
        found = []
        for number, (ends, losses) in enumerate(self._ends, start=1):
            last = int(losses[:, steps].argmin())
            if losses[last, steps] < math.inf:
                network = self._read_back(number, ends[last], steps)
                found.append((float(losses[last, steps]), network))
        return [network for _, network in sorted(found, key=lambda entry: entry[0])]

    @property
    def improvements(self) -> list[int]:
        """The steps at which the best network of any number of layers loses less than before."""
        best = np.min([losses.min(0) for _, losses in self._ends], axis=0)
        return [0] * bool(best[0] < math.inf) + [
            int(step) + 1 for step in np.flatnonzero(best[1:] < best[:-1])
        ]

    def _kept(self, layer: int, ended: dict[int, _Kept], gap: Gap) -> _Kept:
        """The best networks that end with a layer, from those of one layer fewer."""
        places = [place for place in ended if place <= layer]
        before = np.stack([ended[place].losses + gap(place - 1, layer) for place in places])
        least, behind = before.min(0), np.array(places)[before.argmin(0)]
        tried = np.full((len(self._options[layer]), STEPS + 1), np.inf)
        for row, option, taken in zip(
            tried, self._options[layer], self._steps[layer], strict=True
        ):
            if taken <= STEPS:
                row[taken:] = least[: STEPS + 1 - taken] + option.loss
        return _Kept(tried.min(0), tried.argmin(0), behind)

    def _read_back(self, number: int, place: int, left: int) -> SubnetConfig:
        """The network of so many layers whose last one is at a place, and may cost so much."""
        found = []
        for ended in self._rounds[number:0:-1]:
            chosen = int(ended[place].chosen[left])
            option = self._options[place - 1][chosen]
            found.append((place - 1, option.heads, option.neurons))
            left -= self._steps[place - 1][chosen]
            place = int(ended[place].behind[left])
        layers, heads, neurons = zip(*reversed(found), strict=True)
        return SubnetConfig(layers, heads, neurons)


def propose(losses: RepairLosses, rates: Rates, *, limit: float) -> list[SubnetConfig]:
    """The sub-network of the least estimated loss of each number of layers within a limit.

    Args:
        losses: Of the full model.
        rates: What layers, heads and neurons cost.
        limit: The most that all of them may cost.

    Returns:
        Networks of sizes that the losses name, those of the least estimate first.

    Raises:
        InputError: When one head and one neuron of one layer cost more, as far as steps can tell.
    """
    options = []
    for layer, known in enumerate(losses.layers):
        sizes = product((n for n, _ in known.heads if n), (n for n, _ in known.neurons if n))
        options.append(
            worthwhile(
                Option(
                    heads,
                    neurons,
                    rates.total(SubnetConfig((layer,), (heads,), (neurons,))),
                    losses.of_halves(layer, heads=heads, neurons=neurons),
                )
                for heads, neurons in sizes
            )
        )
    found = Proposals(options, losses.of_gap, limit=limit).within()
    if not found:
        raise InputError(
            f"No layer of one head and one neuron costs as little as {limit:.3g}: ask for more."
        )
    return found
