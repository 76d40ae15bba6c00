"""`exact`: the best network under every budget, where losses add up over layers.

What a network loses is taken for the sum of what each layer loses at its size, as SPDY (Frantar
and Alistarh 2022) and HALP (Shen et al. 2022) do, and its cost for a sum over layers as well. Then
dynamic programming over layers finds the best sizes for every budget at once (`proposals`). The
networks of that front are scored ends and middle first, on a logarithmic scale of budgets, then
what halves the gaps. In a space with tokens multipliers each of them is scored at each.

Where sub-networks are repaired in closed form, losses were measured when their units were sorted
(`dynabert.removal`), those of gaps between layers too; they compare networks of equally many
layers, so under each budget the best of the `DEPTHS` most promising numbers of layers are scored.
Elsewhere each layer is first scored at a few sizes with the others full, the more in the middle;
what lies between is interpolated, and what layers lose that go is added up.

Costs are those of the first cost among the objectives, read off single layers. They are exact for
parameters and multiply-adds; limits are held against the whole network's cost as for any engine.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice, product

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...networks.space import Space
from ...networks.spaces import Layerwise
from ...networks.subnet import SubnetConfig
from ..problem import Observation, Problem
from ..proposals import AdditiveLosses, Option, Proposals, worthwhile
from .engine import Engine, first_new, halving, known_to

PROBES = (0.25, 0.5)
"""Shares of the heads and of the neurons at which a layer is scored by itself."""

DEPTHS = 4
"""Numbers of layers that are scored under a budget where losses are given."""

EVEN_BUDGETS = 65
"""Budgets that come first."""

Floats = NDArray[np.float64]


class Exact(Engine):
    """Scores the front that dynamic programming gives."""

    def __init__(self, problem: Problem) -> None:
        """Check that layers have sizes of their own.

        Raises:
            InputError: When they do not.
        """
        super().__init__(problem)
        self._space = layerwise(problem.space)
        self._front: list[SubnetConfig] | None = None

    def propose(
        self, observed: Sequence[Observation], pending: Collection[SubnetConfig] = ()
    ) -> SubnetConfig | None:
        """A probe of a layer where losses are not given, then a network of the front."""
        known = known_to(observed, pending)
        if self._front is None:
            if self.problem.losses is not None:
                self._front = additive_front(self.problem, self.problem.losses, depths=DEPTHS)
            else:
                scores = {seen.config: seen.score for seen in observed}
                probes = _probes(self._space)
                missing = [config for config in probes if config not in scores]
                if missing:
                    return first_new(missing, known)
                self._front = additive_front(
                    self.problem, probed_losses(self._space, scores), depths=1
                )
        return first_new(self._front, known)


def layerwise(space: Space) -> Layerwise:
    """A space whose layers have sizes of their own.

    Raises:
        InputError: When they do not.
    """
    if not isinstance(space, Layerwise):
        raise InputError(
            f"The engine exact chooses the sizes of each layer, which the space {space.name} does "
            "not allow: train the run with --space layerwise, or choose another engine."
        )
    return space


def additive_front(problem: Problem, losses: AdditiveLosses, *, depths: int) -> list[SubnetConfig]:
    """The best networks of all budgets by losses that add up, none over a limit on costs.

    Args:
        problem: What is searched; its space has layers of their own sizes.
        losses: What each layer loses at each size, and what gaps lose.
        depths: The best of how many numbers of layers are given for each budget.

    Returns:
        The networks, ends and middle of the budgets first on a logarithmic scale, then what
        halves the gaps.
    """
    space = layerwise(problem.space)
    options = _options(problem, space, losses)
    limit = sum(max(option.cost for option in layer) for layer in options)

    def gap(before: int, after: int) -> float:
        """As the losses say, but the last layer never goes."""
        is_last = after == space.shape.num_layers and before + 1 < after
        return math.inf if is_last else losses.of_gap(before, after)

    found = Proposals(options, gap, limit=limit)

    def promising(steps: int) -> list[SubnetConfig]:
        """The best few of so many steps that keep the limits, each at each tokens multiplier."""
        allowed = (
            [config for config in space.at_each_tokens(best) if _allowed(config, problem)]
            for best in found.within(steps)
        )
        return list(chain.from_iterable(islice(filter(None, allowed), depths)))

    budgets = {steps: configs for steps in found.improvements if (configs := promising(steps))}
    return list(dict.fromkeys(c for steps in _spread(list(budgets)) for c in budgets[steps]))


def _spread(budgets: Sequence[int]) -> list[int]:
    """Budgets in an order of which every beginning is even on a logarithmic scale, then the rest.

    Args:
        budgets: Whole numbers, increasing.
    """
    if not budgets:
        return []
    even = np.geomspace(max(1, budgets[0]), budgets[-1], EVEN_BUDGETS)
    places = np.searchsorted(budgets, np.round(even), side="right") - 1
    chosen = list(dict.fromkeys(budgets[place] for place in places if place >= 0))
    spread = [chosen[place] for place in halving(len(chosen))]
    return list(dict.fromkeys([*spread, *(budgets[place] for place in halving(len(budgets)))]))


def _allowed(config: SubnetConfig, problem: Problem) -> bool:
    return problem.space.contains(config) and problem.affordable(config)


@dataclass(frozen=True, slots=True)
class ProbedLosses:
    """What single layers lose, from scores of networks that differ in one layer.

    At a size it is a sum of (1 - h), (1 - h)^2, (1 - n) and (1 - n)^2, of the shares h of its
    heads and n of its neurons, fitted with weights of 0 or more; layers that go add up.

    Attributes:
        space: Whose layers they are.
        weights: Of these four terms, for each layer.
        dropped: What is lost without a layer, for each but the last.
    """

    space: Layerwise
    weights: tuple[Floats, ...]
    dropped: tuple[float, ...]

    def of_halves(self, layer: int, *, heads: int, neurons: int) -> float:
        """What is lost when a layer keeps so many heads and neurons."""
        return float(self.weights[layer] @ _terms(self.space, (heads, neurons)))

    def of_gap(self, before: int, after: int) -> float:
        """What is lost without the layers between two."""
        return sum(self.dropped[before + 1 : after])


def probed_losses(space: Layerwise, scores: Mapping[SubnetConfig, float]) -> ProbedLosses:
    """What each layer loses by itself, from the scores of the probes."""
    from scipy.optimize import nnls

    full = scores[space.full]
    last = space.shape.num_layers - 1
    sizes = _probed_sizes(space)
    terms = np.array([_terms(space, size) for size in sizes])
    weights, dropped = [], []
    for layer in range(last + 1):
        lost = [full - scores[_changed(space, layer, size)] for size in sizes]
        weights.append(nnls(terms, np.maximum(lost, 0))[0])
        if layer < last:
            dropped.append(max(0.0, full - scores[_changed(space, layer, None)]))
    return ProbedLosses(space, tuple(weights), tuple(dropped))


def _terms(space: Layerwise, size: tuple[int, int]) -> Floats:
    gone = 1 - np.array(size) / (space.shape.num_heads, space.shape.ffn_size)
    return np.concatenate([gone, gone**2])


def _probes(space: Layerwise) -> list[SubnetConfig]:
    """The full model and those that differ from it in one layer."""
    sizes: list[tuple[int, int] | None] = [None, *_probed_sizes(space)]
    changed = (
        _changed(space, layer, size)
        for layer, size in product(range(space.shape.num_layers), sizes)
    )
    return [space.full, *filter(space.contains, changed)]


def _probed_sizes(space: Layerwise) -> list[tuple[int, int]]:
    """The sizes of the space that are nearest to the probes'."""
    whole = np.array([space.shape.num_heads, space.shape.ffn_size])
    every = [size for size in space.layer_sizes if size != tuple(whole)]
    shares = np.array(every) / whole
    wanted = [*((share, 1.0) for share in PROBES), *((1.0, share) for share in PROBES)]
    nearest = (int(np.abs(shares - point).sum(axis=1).argmin()) for point in wanted)
    return [every[place] for place in dict.fromkeys(nearest)]


def _changed(space: Layerwise, layer: int, size: tuple[int, int] | None) -> SubnetConfig:
    """The full model with one layer of another size, or without it."""
    full = space.full
    sizes = dict(zip(full.layers, zip(full.heads, full.neurons, strict=True), strict=True))
    if size is None:
        del sizes[layer]
    else:
        sizes[layer] = size
    heads, neurons = zip(*sizes.values(), strict=True)
    return SubnetConfig(tuple(sizes), heads, neurons)


def _options(problem: Problem, space: Layerwise, losses: AdditiveLosses) -> list[list[Option]]:
    """What each layer can be, without what is beaten."""
    name = problem.first_cost

    def cost(config: SubnetConfig) -> float:
        return problem.cost(config).values[name]

    found = []
    for layer in range(space.shape.num_layers):
        without = cost(_changed(space, layer, None))
        found.append(
            worthwhile(
                Option(
                    heads,
                    neurons,
                    max(0.0, cost(_changed(space, layer, (heads, neurons))) - without),
                    losses.of_halves(layer, heads=heads, neurons=neurons),
                )
                for heads, neurons in space.layer_sizes
            )
        )
    return found
