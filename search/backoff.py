"""How long a worker waits whose claim came too late (no torch).

Workers that have seen the same propose the same, and of claims on one network all but one fail.
Whoever looked again at once would meet the same workers again. So each waits for a random time,
the longer the more claims it has lost one after the other: exponential back-off with full jitter,
as on a shared cable (Metcalfe and Boggs 1976).
"""

from random import Random

SHORTEST_S = 0.05
"""Half of the longest wait after the first lost claim: about what a look and a claim take."""

DOUBLINGS = 5
"""After so many lost claims the bound stays."""


def backoff_s(lost: int, generator: Random) -> float:
    """Seconds to wait after a lost claim, drawn evenly from 0 to a bound.

    Args:
        lost: Claims that the worker has lost one after the other, this one among them.
        generator: The worker's own, so that no two wait alike.
    """
    return generator.uniform(0, SHORTEST_S * 2 ** min(lost, DOUBLINGS))
