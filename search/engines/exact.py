"""`exact`: the best network under every budget, where errors add up over layers.

What a network loses is taken for the sum of what each layer loses at its size, as SPDY (Frantar
and Alistarh 2022) and HALP (Shen et al. 2022) do, and its cost for a sum over layers as well. Then
dynamic programming over layers finds the best sizes for every budget at once: with B budgets and S
sizes of a layer, L B S steps. The networks of that front are scored ends and
middle first, then what halves the gaps.

Errors may be given. Where they are not, each layer is first scored at a few sizes with the others
full, the more in the middle; what lies between is interpolated.

Costs are those of the first cost among the objectives, read off single layers. They are exact for
parameters and multiply-adds; limits are held against the whole network's cost as for any engine.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...networks.space import Space
from ...networks.spaces import Layerwise
from ...networks.subnet import SubnetConfig
from ..problem import LayerErrors, Observation, Problem
from ..ranking import nondominated
from .engine import Engine, first_new, halving, known_to

BUDGETS = 2000
"""Budgets that costs are rounded up to."""

PROBES = (0.25, 0.5)
"""Shares of the heads and of the neurons at which a layer is scored by itself."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Option:
    """What a layer can be.

    Attributes:
        heads: Its heads; 0 where it is dropped.
        neurons: Its neurons; 0 where it is dropped.
        cost: What it costs.
        error: What it loses.
    """

    heads: int
    neurons: int
    cost: float
    error: float


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
        """A probe of a layer where errors are not given, then a network of the front."""
        known = known_to(observed, pending)
        scores = {seen.config: seen.score for seen in observed}
        errors = self.problem.errors
        if errors is None:
            probes = _probes(self._space)
            missing = [config for config in probes if config not in scores]
            if missing:
                return first_new(missing, known)
            errors = probed_errors(self._space, scores)
        if self._front is None:
            self._front = additive_front(self.problem, errors)
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


def additive_front(problem: Problem, errors: LayerErrors) -> list[SubnetConfig]:
    """The best networks of all budgets by errors that add up, none over a limit on costs.

    Args:
        problem: What is searched; its space has layers of their own sizes.
        errors: What each layer loses at each size.

    Returns:
        The networks, ends and middle first, then what halves the gaps.
    """
    space = layerwise(problem.space)
    fixed, options = _options(problem, space, errors)
    total = fixed + sum(max(entry.cost for entry in layer) for layer in options)
    unit = total / BUDGETS
    found = [
        config
        for config in map(_config, _best_sizes(options, unit))
        if space.contains(config) and problem.affordable(config)
    ]
    return [found[place] for place in halving(len(found))]


def _config(sizes: Sequence[Option]) -> SubnetConfig:
    """The network of each layer's sizes."""
    kept = [(layer, size) for layer, size in enumerate(sizes) if size.heads]
    return SubnetConfig(
        tuple(layer for layer, _ in kept),
        tuple(size.heads for _, size in kept),
        tuple(size.neurons for _, size in kept),
    )


def probed_errors(space: Layerwise, scores: Mapping[SubnetConfig, float]) -> LayerErrors:
    """What each layer loses by itself, from scores of networks that differ in one layer.

    At a size it is a sum of (1 - h), (1 - h)^2, (1 - n) and (1 - n)^2, of the shares h of its
    heads and n of its neurons, fitted with weights of 0 or more.
    """
    from scipy.optimize import nnls

    full = scores[space.full]
    last = space.shape.num_layers - 1
    weights, dropped = [], []
    for layer in range(last + 1):
        sizes = _probed_sizes(space)
        losses = [full - scores[_changed(space, layer, size)] for size in sizes]
        terms = np.array([_terms(space, size) for size in sizes])
        weights.append(nnls(terms, np.maximum(losses, 0))[0])
        if layer < last:
            dropped.append(full - scores[_changed(space, layer, None)])

    def error(layer: int, heads: int, neurons: int) -> float:
        if not heads:
            return float(max(dropped[layer], 0))
        return float(weights[layer] @ _terms(space, (heads, neurons)))

    return error


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


def _options(
    problem: Problem, space: Layerwise, errors: LayerErrors
) -> tuple[float, list[list[Option]]]:
    """What every network costs, and what each layer can be, without what is beaten."""
    name = problem.first_cost

    def cost(config: SubnetConfig) -> float:
        return problem.cost(config).values[name]

    layers = []
    fixed = full = cost(space.full)
    for layer in range(space.shape.num_layers):
        without = cost(_changed(space, layer, None))
        fixed -= full - without
        every = [
            Option(*size, cost(_changed(space, layer, size)) - without, errors(layer, *size))
            for size in space.layer_sizes
        ]
        if layer + 1 < space.shape.num_layers:
            every.append(Option(0, 0, 0.0, errors(layer, 0, 0)))
        flags = nondominated(np.array([(entry.cost, entry.error) for entry in every]))
        layers.append([entry for entry, kept in zip(every, flags, strict=True) if kept])
    return fixed, layers


def _best_sizes(options: Sequence[Sequence[Option]], unit: float) -> list[list[Option]]:
    """The sizes of least error for every budget that lessens it, the smallest budget first."""
    errors = np.zeros(BUDGETS + 1)
    choices = []
    for layer in options:
        tried = np.full((len(layer), BUDGETS + 1), np.inf)
        for row, entry in zip(tried, layer, strict=True):
            taken = int(np.ceil(entry.cost / unit - 1e-9))
            if taken <= BUDGETS:
                row[taken:] = errors[: BUDGETS + 1 - taken] + entry.error
        choices.append(tried.argmin(axis=0))
        errors = tried.min(axis=0)
    found = []
    for budget in range(BUDGETS + 1):
        if budget and errors[budget] >= errors[budget - 1]:
            continue
        left, sizes = budget, []
        for layer, chosen in zip(reversed(options), reversed(choices), strict=True):
            entry = layer[chosen[left]]
            sizes.append(entry)
            left -= int(np.ceil(entry.cost / unit - 1e-9))
        found.append(sizes[::-1])
    return found
