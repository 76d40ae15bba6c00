"""`grid`: the landmarks of the space, in order, and nothing else."""

from collections.abc import Collection, Sequence

from ...networks.subnet import SubnetConfig
from ..problem import Observation
from .engine import Engine, first_new, known_to


class Grid(Engine):
    """Scores every landmark once."""

    def propose(
        self, observed: Sequence[Observation], pending: Collection[SubnetConfig] = ()
    ) -> SubnetConfig | None:
        """The first landmark that was not scored."""
        return first_new(self.problem.landmarks, known_to(observed, pending))
