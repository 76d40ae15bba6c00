"""Which rows of objectives are not beaten, and which of many survive (no torch).

Smaller is better in every column. moocore is imported when something is ranked; a query ranks
nothing.
"""

import numpy as np
from numpy.typing import NDArray

MARGIN = 0.1
"""How far the reference point of a hypervolume lies beyond the worst values, as a share of their
range."""


def nondominated(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which rows no other row beats; equal rows do not beat one another."""
    import moocore

    flags: NDArray[np.bool_] = moocore.is_nondominated(values, keep_weakly=True)
    return flags


def survivors(values: NDArray[np.float64], number: int) -> NDArray[np.int64]:
    """The places of so many rows, the least beaten and of these the loneliest (NSGA-II)."""
    import moocore

    ranks = moocore.pareto_rank(values)
    loneliness = np.zeros(len(values))
    for rank in np.unique(ranks):
        places = np.flatnonzero(ranks == rank)
        for column in values[places].T:
            order = np.argsort(column, kind="stable")
            gaps = np.full(len(order), np.inf)
            width = np.ptp(column) or 1.0
            gaps[1:-1] = (column[order[2:]] - column[order[:-2]]) / width
            loneliness[places[order]] += gaps
    return np.lexsort([-loneliness, ranks])[:number]
