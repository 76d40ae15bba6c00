"""`ose`: the best network by size, cost and error together (Optimal Subarchitecture Extraction).

Candidates are the landmarks of the space and, beyond the grid, random networks up to `CANDIDATES`.
Size is a network's share of the encoder's weights, inference the first cost among the objectives,
and the error what its score lacks to 1 (`search.ose`). One size of each block of `EPSILON` is
scored, the ends and the middle of the sizes first, which is the algorithm; of networks of the same
size the first, and when every block has one, the others.

Then it goes on, under the assumption that the algorithm's promise has too: that within a block a
smaller network errs no less. So what a candidate saves, divided by the error of its block, bounds
its W from above. The candidate of the highest bound is scored next, until no bound is above the
best W that was found: that is then the best of all.
"""

from collections.abc import Collection, Sequence
from itertools import zip_longest

from ...networks.subnet import SubnetConfig
from ..ose import Point, Size, blocks_of, coefficient
from ..problem import Observation, Problem
from .engine import Engine, first_new, halving, known_to

CANDIDATES = 300
"""Networks of a space beyond the grid that are chosen among; the published set has as many."""

EPSILON = 0.1
"""How far W may be below the best after one network of each block."""


class OSE(Engine):
    """Scores the largest networks of each block, then what may be better than the best."""

    def __init__(self, problem: Problem) -> None:
        """Draw the candidates and cut them into blocks; the full model is the maximum point."""
        super().__init__(problem)
        configs = dict.fromkeys([problem.space.full, *candidates(problem)])
        self._maximum = self._size(problem.space.full)
        sizes = {config: self._size(config) for config in configs}
        kept = [config for config, size in sizes.items() if self._within(size)]
        self._configs = {config.key: config for config in kept}
        blocks = blocks_of([Point(config.key, sizes[config]) for config in kept], EPSILON)
        self._blocks = [[point for alike in block for point in alike] for block in blocks]
        self._leads = [block[-1] for block in blocks]

    def propose(
        self, observed: Sequence[Observation], pending: Collection[SubnetConfig] = ()
    ) -> SubnetConfig | None:
        """The largest of a block, then the candidate that may have the highest W."""
        known = known_to(observed, pending)
        spread = [self._leads[place] for place in halving(len(self._leads))]
        leads = (point for together in zip_longest(*spread) for point in together if point)
        configs = (self._configs[point.name] for point in leads)
        wanted = [config for config in configs if self.problem.affordable(config)]
        return first_new(wanted, known) or first_new(self._promising(observed), known)

    def _promising(self, observed: Sequence[Observation]) -> list[SubnetConfig]:
        """The candidates whose bound is above the best W, the highest bound first."""
        errors = {seen.config.key: 1 - seen.score for seen in observed}
        points = [point for block in self._blocks for point in block if point.name in errors]
        best = max(
            (coefficient(p, self._maximum, error=errors[p.name]).value for p in points),
            default=0.0,
        )
        bounds: dict[SubnetConfig, float] = {}
        for block, leads in zip(self._blocks, self._leads, strict=True):
            least = min((errors[p.name] for p in leads if p.name in errors), default=None)
            for point in block if least is not None else ():
                bounds[self._configs[point.name]] = coefficient(
                    point, self._maximum, error=least
                ).value
        ordered = sorted(bounds, key=lambda config: -bounds[config])
        return [c for c in ordered if bounds[c] > best and self.problem.affordable(c)]

    def _size(self, config: SubnetConfig) -> Size:
        cost = self.problem.cost(config).values[self.problem.first_cost]
        return Size(self.problem.space.share(config), cost)

    def _within(self, size: Size) -> bool:
        """Whether a network costs no more than the full model, as a noisy estimate might say."""
        return size.inference <= self._maximum.inference


def candidates(problem: Problem) -> list[SubnetConfig]:
    """The landmarks of a space, and beyond the grid random networks, within limits on costs."""
    found = dict.fromkeys(problem.landmarks)
    while len(found) < CANDIDATES:
        drawn = problem.drawn(f"ose {len(found)}", problem.space.draw, known=set(found))
        if drawn is None:
            break
        found[drawn] = None
    return list(found)
