"""`random`: draws of the space, the control in every comparison.

A draw is even in the logarithm of its cost (`networks.spaces`), which is harder to beat than
independent sizes for each layer.
"""

from collections.abc import Collection, Sequence

from ...networks.subnet import SubnetConfig
from ..problem import Observation
from .engine import Engine, known_to


class Random(Engine):
    """Scores what it draws."""

    def propose(
        self, observed: Sequence[Observation], pending: Collection[SubnetConfig] = ()
    ) -> SubnetConfig | None:
        """A draw."""
        return self.drawn(known_to(observed, pending))
