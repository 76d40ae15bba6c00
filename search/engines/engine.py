"""What an engine is (no torch, no Optuna).

An engine proposes the network that is worth scoring next, from what was scored so far. It keeps no
state but what follows from these observations and the problem's seed, so that a search that was
killed goes on as an unbroken one, whoever scored what.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence

from ...networks.subnet import SubnetConfig
from ..problem import Observation, Problem


class Engine(ABC):
    """Proposes networks.

    Attributes:
        problem: What is searched.
    """

    def __init__(self, problem: Problem) -> None:
        """Take what is searched."""
        self.problem = problem

    @abstractmethod
    def propose(
        self, observed: Sequence[Observation], pending: Collection[SubnetConfig] = ()
    ) -> SubnetConfig | None:
        """The network to score next, which is new and keeps every limit on costs.

        Args:
            observed: What was scored, in order; a later call gives the same and more.
            pending: What others are scoring.

        Returns:
            A network; None where nothing is left.
        """

    def drawn(self, known: set[SubnetConfig]) -> SubnetConfig | None:
        """A new random network that keeps every limit on costs; None where none was found."""
        return self.problem.drawn(f"draw {len(known)}", self.problem.space.draw, known=known)


def known_to(
    observed: Sequence[Observation], pending: Collection[SubnetConfig]
) -> set[SubnetConfig]:
    """The networks that are not new."""
    return {*(seen.config for seen in observed), *pending}


def first_new(
    wanted: Collection[SubnetConfig], known: Collection[SubnetConfig]
) -> SubnetConfig | None:
    """The first network that is not known; None where all are."""
    return next((config for config in wanted if config not in known), None)


def halving(number: int) -> list[int]:
    """The places from 0 on so that every beginning is spread: the ends, the middle, and so on.

    >>> halving(5)
    [4, 0, 2, 1, 3]
    """
    order = dict.fromkeys(place for place in (number - 1, 0) if place >= 0)
    gaps = [(0, number - 1)]
    while gaps:
        low, high = gaps.pop(0)
        if high - low > 1:
            middle = (low + high) // 2
            order[middle] = None
            gaps += [(low, middle), (middle, high)]
    return list(order)
