"""What a search is about: a space, what its networks cost, objectives and limits (no torch)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

import moocore
import numpy as np

from ..networks.space import Space
from ..networks.subnet import SubnetConfig
from .constraints import Constraint, total_violation
from .cost_model import Costs
from .proposals import AdditiveLosses
from .quantities import QUANTITIES

DRAWS = 1000
"""Networks that are drawn before none is said to be left."""

FINALISTS = 16
"""Networks of a search that are measured together, unless its front has more."""


@dataclass(frozen=True, slots=True)
class Observation:
    """A network that was scored.

    Attributes:
        config: The network.
        score: The task's metric on the search split.
    """

    config: SubnetConfig
    score: float


@dataclass(frozen=True)
class Problem:
    """What an engine knows before anything is scored.

    Attributes:
        space: The networks.
        cost: What any of them costs, of the objectives' and limits' quantities.
        objectives: Names from `QUANTITIES`, the score among them.
        constraints: Limits on costs and on the score.
        seed: Decides what is left to chance.
        losses: What layers lose that are narrower or go, where it is known.
    """

    space: Space
    cost: Callable[[SubnetConfig], Costs]
    objectives: tuple[str, ...] = ("score", "num_flops")
    constraints: tuple[Constraint, ...] = ()
    seed: int = 0
    losses: AdditiveLosses | None = None

    @property
    def cost_limits(self) -> tuple[Constraint, ...]:
        """The limits that are decided before a network is scored."""
        return tuple(entry for entry in self.constraints if entry.quantity != "score")

    @property
    def first_cost(self) -> str:
        """The first of the objectives that is no score."""
        return next(name for name in self.objectives if name != "score")

    @property
    def landmarks(self) -> list[SubnetConfig]:
        """The landmarks of the space that keep every limit on costs, in order."""
        return [config for config in self.space.landmarks if self.affordable(config)]

    def affordable(self, config: SubnetConfig) -> bool:
        """Whether a network keeps every limit on costs."""
        limits = self.cost_limits
        return not limits or not total_violation(limits, self.cost(config).judged)

    def violations(self, seen: Observation) -> dict[str, float]:
        """How far a scored network is beyond each limit, as shares of the limits."""
        values = self._judged(seen)
        return {
            entry.quantity: entry.relative_violation(values[entry.quantity])
            for entry in self.constraints
        }

    def excess(self, seen: Observation) -> float:
        """How far a scored network is beyond all limits together; 0 when it keeps every one."""
        return total_violation(self.constraints, self._judged(seen))

    def signed(self, seen: Observation) -> tuple[float, ...]:
        """A scored network's objectives, turned so that smaller is better."""
        values = {**self.cost(seen.config).values, "score": seen.score}
        return tuple(QUANTITIES[name].signed(values[name]) for name in self.objectives)

    def front(self, observed: Sequence[Observation]) -> list[Observation]:
        """What no other scored network beats, of those that keep every limit."""
        kept = [seen for seen in observed if not self.excess(seen)]
        return [seen for seen, rank in self._ranked(kept) if not rank]

    def finalists(
        self, observed: Sequence[Observation], number: int = FINALISTS
    ) -> list[Observation]:
        """The front, and what is on the next ones until there are so many."""
        kept = [seen for seen in observed if not self.excess(seen)]
        ranked = sorted(self._ranked(kept), key=lambda entry: entry[1])
        return [seen for place, (seen, rank) in enumerate(ranked) if not rank or place < number]

    def _judged(self, seen: Observation) -> dict[str, float]:
        """What limits are held against."""
        return {**self.cost(seen.config).judged, "score": seen.score}

    def _ranked(self, observed: Sequence[Observation]) -> list[tuple[Observation, int]]:
        """Scored networks, each with the number of its front from 0 on."""
        if not observed:
            return []
        ranks = moocore.pareto_rank(np.array([self.signed(seen) for seen in observed]))
        return [(seen, int(rank)) for seen, rank in zip(observed, ranks, strict=True)]

    def drawn(
        self, name: str, draw: Callable[[Random], SubnetConfig], *, known: set[SubnetConfig]
    ) -> SubnetConfig | None:
        """A new network that keeps every limit on costs; None where none was found.

        Args:
            name: With the seed it decides what is drawn.
            draw: Draws a network.
            known: What is not new.
        """
        generator = Random(f"{self.seed} {name}")
        for _ in range(DRAWS):
            config = draw(generator)
            if config not in known and self.affordable(config):
                return config
        return None
