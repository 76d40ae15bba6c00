"""Successive halving: many networks scored cheaply, the best of them better and better (no torch).

A fidelity is a way to score a network: with the weights that it inherits, after some steps of
distillation, finished. Every rung scores what the rung before let through, at the next fidelity,
and lets the best share through: the fronts of score and costs one after the other, of the last
one that fits the loneliest. The scheme is successive halving (Jamieson and Talwalkar 2016), with
fronts in place of one loss.

Whether a cheap score says anything about a dear one is measured, not believed. Each rung also
takes `audited` of the networks that were let go, by chance, and Kendall's rank correlation of the
two scores is computed over networks of both kinds, for each region of the space: inherited weights
rank nothing where the supernet was not trained. Networks that were let through were chosen by the
first score, which narrows its range and so lowers the correlation; the audited ones were not.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar

import numpy as np

from ..networks.subnet import SubnetConfig
from .problem import Observation, Problem
from .ranking import survivors

ETA = 3
"""Of so many networks one is let through."""

AUDITED = 4
"""Networks of those that are let go which the next fidelity scores all the same."""

FEWEST_RANKED = 4
"""Networks that a rank correlation needs."""

REGIONS = ("small", "middle", "large")
"""Thirds of the networks by cost."""

Asked = TypeVar("Asked")
"""What a network is named by."""


@dataclass(frozen=True, slots=True)
class Fidelity:
    """A way to score networks.

    Attributes:
        name: What it is called.
        score: Scores a network on the search split, and keeps it.
    """

    name: str
    score: Callable[[SubnetConfig], float]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How alike two fidelities rank the networks of one region.

    Attributes:
        region: The region, `all` for all of them.
        cheap: The name of the cheaper fidelity.
        dear: The name of the dearer one.
        tau: Kendall's rank correlation; None where there are too few networks, or all are equal.
        n: How many networks both have scored.
    """

    region: str
    cheap: str
    dear: str
    tau: float | None
    n: int

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return {
            "region": self.region,
            "cheap": self.cheap,
            "dear": self.dear,
            "tau": self.tau,
            "n": self.n,
        }


@dataclass(frozen=True, slots=True)
class Halving:
    """What successive halving found.

    Attributes:
        names: Those of the fidelities, the cheapest first.
        rungs: What each fidelity scored, the cheapest first, audited networks included.
        agreements: How alike neighbouring fidelities rank, region by region.
        front: The front of what the last fidelity scored and every limit allows.
    """

    names: tuple[str, ...]
    rungs: tuple[tuple[Observation, ...], ...]
    agreements: tuple[Agreement, ...]
    front: tuple[Observation, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types, networks by their keys."""
        return {
            "rungs": [
                {"fidelity": name, "scores": {seen.config.key: seen.score for seen in rung}}
                for name, rung in zip(self.names, self.rungs, strict=True)
            ],
            "agreements": [entry.to_dict() for entry in self.agreements],
            "front": [seen.config.key for seen in self.front],
        }


def thirds(costs: Mapping[Asked, float]) -> Callable[[Asked], str]:
    """Names the `REGIONS` of networks, equally many of those whose costs are given in each."""
    low, high = np.quantile(list(costs.values()), [1 / 3, 2 / 3])
    return lambda network: REGIONS[int(costs[network] > low) + int(costs[network] > high)]


def successive_halving(
    problem: Problem,
    configs: Sequence[SubnetConfig],
    fidelities: Sequence[Fidelity],
    *,
    eta: int = ETA,
    audited: int = AUDITED,
    region: Callable[[SubnetConfig], str] | None = None,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> Halving:
    """Score networks at ever better fidelities, fewer and fewer of them.

    What it scores follows from the problem's seed and from scores, so that a killed call goes on
    where scores are kept.

    Args:
        problem: Objectives, limits and costs.
        configs: What the first fidelity scores, without repetition.
        fidelities: The cheapest first.
        eta: Of so many networks one is let through.
        audited: How many of those that are let go are scored at the next fidelity all the same.
        region: Names the region of a network; None for thirds of the first cost.
        on_progress: Is called with a fidelity's name, the number of networks that it has scored
            and of all that it is to score.

    Raises:
        ValueError: When there is no fidelity or no network, or a network comes twice.
    """
    if not fidelities or not configs or len(set(configs)) < len(configs):
        raise ValueError("halving needs fidelities and networks, each once")
    first = problem.first_cost
    named = region or thirds({config: problem.cost(config).values[first] for config in configs})
    wanted, passed = list(configs), list(configs)
    rungs: list[tuple[Observation, ...]] = []
    for number, fidelity in enumerate(fidelities):
        observed = []
        for config in wanted:
            observed.append(Observation(config, fidelity.score(config)))
            if on_progress is not None:
                on_progress(fidelity.name, len(observed), len(wanted))
        rungs.append(tuple(observed))
        rivals = [seen for seen in observed if seen.config in set(passed)]
        passed = _best(problem, rivals, math.ceil(len(rivals) / eta))
        gone = sorted({seen.config for seen in rivals} - set(passed), key=lambda c: c.key)
        generator = Random(f"{problem.seed} audit {number}")
        wanted = [*passed, *generator.sample(gone, min(audited, len(gone)))]
    return Halving(
        names=tuple(fidelity.name for fidelity in fidelities),
        rungs=tuple(rungs),
        agreements=_agreements(fidelities, rungs, named),
        front=tuple(problem.front(rungs[-1])),
    )


def _best(problem: Problem, observed: Sequence[Observation], number: int) -> list[SubnetConfig]:
    """So many networks, by fronts; those beyond a limit last."""
    values = np.array([problem.signed(seen) for seen in observed])
    beyond = [problem.excess(seen) for seen in observed]
    order = survivors(values, len(observed))
    order = order[np.argsort(np.array(beyond)[order], kind="stable")]
    return [observed[place].config for place in order[:number]]


def _agreements(
    fidelities: Sequence[Fidelity],
    rungs: Sequence[Sequence[Observation]],
    region: Callable[[SubnetConfig], str],
) -> tuple[Agreement, ...]:
    found = []
    for place in range(1, len(rungs)):
        cheap = {seen.config: seen.score for seen in rungs[place - 1]}
        both = [(seen.config, cheap[seen.config], seen.score) for seen in rungs[place]]
        regions = dict.fromkeys(["all", *sorted({region(config) for config, _, _ in both})])
        for name in regions:
            pairs = [(a, b) for config, a, b in both if name in ("all", region(config))]
            found.append(
                Agreement(
                    name,
                    fidelities[place - 1].name,
                    fidelities[place].name,
                    kendall(pairs),
                    len(pairs),
                )
            )
    return tuple(found)


def kendall(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Kendall's rank correlation of two scores; None of too few networks, or of equal scores."""
    from scipy.stats import kendalltau

    columns = list(zip(*pairs, strict=True))
    if len(pairs) < FEWEST_RANKED or any(len(set(column)) == 1 for column in columns):
        return None
    return float(kendalltau(*columns).statistic)
