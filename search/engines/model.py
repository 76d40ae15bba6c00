"""`model`: scores are learnt from what was scored, and the most promising are scored for real.

Costs are known of any network, so only the score is learnt, by a Gaussian process on the sizes of
each layer and the ranks of the scores. On it, many generations of mutation and crossover cost
nothing: they look for the networks whose score, taken `OPTIMISM` standard deviations above what is
predicted, adds most to the hypervolume of the front, which are promising, or uncertain, or both.
`BATCH` of them are scored, and so on; where the model knows of none that adds anything, which is
most of the time once it has found what it can, it is a child of the front found so far, as NSGA-II
has them. This is the scheme of LINAS (Cummings et al. 2022) with a
predictor that knows what it does not know, and an acquisition instead of the predicted front.

It begins with the landmarks of the space and random networks, with the front of `exact` first
where losses of layers are given. Start, batch, scale and optimism are those that did best on a
space that was scored whole (`benchmarks/search_engines.py`). A batch follows from what was
observed before it, whole batches at a time.
"""

import warnings
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

import moocore
import numpy as np
from numpy.typing import NDArray

from ...networks.shape import EncoderShape
from ...networks.space import Space
from ...networks.subnet import SubnetConfig
from ..problem import Observation, Problem
from ..ranking import MARGIN, nondominated, survivors
from .engine import Engine, first_new, known_to
from .exact import additive_front

STARTS = 12
"""Landmarks, or networks of an additive front, that are scored first."""

DRAWN = 6
"""Random networks that are scored after them, before a model is fitted."""

BATCH = 4
"""Networks that one model proposes."""

OPTIMISM = 1.0
"""Standard deviations above its prediction that a network is taken for."""

POPULATION = 100
GENERATIONS = 20
"""Of mutation and crossover on a model."""

_BEYOND = 5.0

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pool:
    """Networks with what is predicted of them.

    Attributes:
        configs: The networks.
        values: Their objectives, smaller being better, the score an optimistic one: (K, M).
    """

    configs: list[SubnetConfig]
    values: Floats

    def take(self, places: Iterable[int]) -> "Pool":
        """Some of the networks."""
        chosen = list(places)
        return Pool([self.configs[place] for place in chosen], self.values[chosen])


class Model(Engine):
    """Scores what a model of the scores proposes."""

    def __init__(self, problem: Problem) -> None:
        """Begin without a model."""
        super().__init__(problem)
        self._starts = problem.landmarks
        if problem.losses is not None:
            front = additive_front(problem, problem.losses, depths=1)
            self._starts = [*front, *self._starts]
        self._starts = self._starts[:STARTS]
        self._first = len(self._starts) + DRAWN
        self._batches: dict[int, list[SubnetConfig]] = {}

    def propose(
        self, observed: Sequence[Observation], pending: Collection[SubnetConfig] = ()
    ) -> SubnetConfig | None:
        """A landmark, a draw, then the first of the batch that was not scored."""
        known = known_to(observed, pending)
        start = first_new(self._starts, known)
        if start is not None:
            return start
        if len(observed) < self._first:
            return self.drawn(known)
        begun = len(observed) + len(pending)
        base = self._first + (begun - self._first) // BATCH * BATCH
        if base not in self._batches:
            self._batches[base] = self._batch(observed[:base], pending)
        return (
            first_new(self._batches[base], known)
            or self._bred(observed, known)
            or self.drawn(known)
        )

    def _bred(
        self, observed: Sequence[Observation], known: set[SubnetConfig]
    ) -> SubnetConfig | None:
        """A new child of the front found so far; None where none was found."""
        problem = self.problem
        front = [seen.config for seen in problem.front(observed)]
        if not front:
            return None
        return problem.drawn(
            f"child {len(known)}", partial(_child, problem.space, front), known=known
        )

    def _batch(
        self, observed: Sequence[Observation], pending: Collection[SubnetConfig]
    ) -> list[SubnetConfig]:
        """New networks, the most promising first beside what others are at."""
        problem, generator = self.problem, Random(f"{self.problem.seed} batch {len(observed)}")
        optimistic = fitted(problem.space.shape, observed)
        known = known_to(observed, pending)

        def judged(configs: Sequence[SubnetConfig]) -> Pool:
            values = [
                problem.signed(Observation(config, float(score)))
                for config, score in zip(configs, optimistic(configs), strict=True)
            ]
            return Pool(list(configs), np.array(values).reshape(len(configs), -1))

        evolved = self._evolved(
            judged, [seen.config for seen in problem.front(observed)], generator
        )
        new = [place for place, config in enumerate(evolved.configs) if config not in known]
        there = np.array([problem.signed(seen) for seen in observed])
        if pending:
            there = np.vstack([there, judged(list(pending)).values])
        return _most_hypervolume(evolved.take(new), there, number=2 * BATCH)

    def _evolved(
        self,
        judged: Callable[[Sequence[SubnetConfig]], Pool],
        parents: Sequence[SubnetConfig],
        generator: Random,
    ) -> Pool:
        """What many generations on a model come to."""
        space, problem = self.problem.space, self.problem
        configs = dict.fromkeys(parents)
        while len(configs) < POPULATION:
            config = space.draw(generator)
            if problem.affordable(config):
                configs[config] = None
            elif generator.random() < 1 / POPULATION:
                break
        population = judged(list(configs))
        for _ in range(GENERATIONS):
            parents = population.configs
            children: dict[SubnetConfig, None] = {}
            for _ in range(POPULATION):
                child = _child(space, parents, generator)
                if child not in configs and problem.affordable(child):
                    children[child] = None
            if not children:
                continue
            configs |= children
            new = judged(list(children))
            both = Pool(
                [*population.configs, *new.configs],
                np.concatenate([population.values, new.values]),
            )
            population = both.take(survivors(both.values, POPULATION))
        return population


def fitted(
    shape: EncoderShape, observed: Sequence[Observation]
) -> Callable[[Sequence[SubnetConfig]], Floats]:
    """Learn scores: gives optimistic scores of any networks.

    What is learnt are the normal quantiles of the scores' ranks. Many networks score next to
    nothing; on the scale of the scores these would decide what the process looks like, and what
    matters lies between the good ones. Beyond the best score the scale goes on half as steep as
    from the median to it.
    """
    from scipy.stats import norm, rankdata
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    scores = np.array([seen.score for seen in observed])
    quantiles = norm.ppf((rankdata(scores) - 0.5) / len(scores))
    known, places = np.unique(scores, return_index=True)
    steepness = (known[-1] - np.median(scores)) / max(quantiles.max(), 1e-9) / 2
    beyond = quantiles.max() + _BEYOND, known[-1] + _BEYOND * steepness
    kernel = ConstantKernel(1.0) * Matern(1.0, nu=2.5) + WhiteKernel(0.01, (1e-4, 1.0))
    process = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        process.fit(features(shape, [seen.config for seen in observed]), quantiles)

    def optimistic(configs: Sequence[SubnetConfig]) -> Floats:
        means, deviations = process.predict(features(shape, configs), return_std=True)
        found: Floats = np.interp(
            means + OPTIMISM * deviations,
            [*quantiles[places], beyond[0]],
            [*known, beyond[1]],
        )
        return found

    return optimistic


def features(shape: EncoderShape, configs: Sequence[SubnetConfig]) -> Floats:
    """What the model sees of networks: (K, 3 L + 3).

    Of each layer the shares of its heads and neurons, 0 where it is dropped, and half of whether
    it is kept; the shares of layers, heads and neurons of the whole network.
    """
    found = np.zeros((len(configs), shape.num_layers, 3))
    for row, config in zip(found, configs, strict=True):
        row[list(config.layers), 0] = np.array(config.heads) / shape.num_heads
        row[list(config.layers), 1] = np.array(config.neurons) / shape.ffn_size
        row[list(config.layers), 2] = 0.5
    whole = found.mean(axis=1) * (1, 1, 2)
    return np.concatenate([found.reshape(len(configs), -1), whole], axis=1)


def _child(space: Space, parents: Sequence[SubnetConfig], generator: Random) -> SubnetConfig:
    """A network with each gene of one of two networks, mutated."""
    pair = generator.choices(parents, k=2)
    choices = zip(*map(space.encode, pair), strict=True)
    return space.mutate(space.decode([generator.choice(each) for each in choices]), generator)


def _most_hypervolume(pool: Pool, observed: Floats, *, number: int) -> list[SubnetConfig]:
    """So many networks, each of which adds most hypervolume to what is there and to those before.

    Args:
        pool: What is chosen from.
        observed: The objectives of what was scored, smaller being better: (N, M).
        number: How many are wanted; fewer where no other one adds anything.
    """
    low, high = observed.min(axis=0), observed.max(axis=0)
    width = np.where(high > low, high - low, 1.0)
    front = (observed - low) / width
    front = front[nondominated(front)]
    values = (pool.values - low) / width
    reference = np.full(observed.shape[1], 1 + MARGIN)
    chosen: list[SubnetConfig] = []
    left = list(range(len(values)))
    while left and len(chosen) < number:
        volume = moocore.hypervolume(front, ref=reference)
        gains = [
            moocore.hypervolume(np.vstack([front, values[place]]), ref=reference) - volume
            for place in left
        ]
        best = int(np.argmax(gains))
        if gains[best] <= 0:
            break
        place = left.pop(best)
        chosen.append(pool.configs[place])
        front = np.vstack([front, values[place]])
    return chosen
