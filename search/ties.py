"""The cheapest network that is not distinguishable from the answer (no torch).

A higher score need not mean a better network, so others are compared with the answer on the same
examples. Whether to take the cheaper one is the user's choice.
"""

from collections.abc import Iterator

import numpy as np

from ..tasks.comparison import compare, discordant
from ..tasks.proportions import LEVEL, mcnemar_p_value
from ..tasks.scores import Evaluation
from .candidate import Candidate
from .pool import RANKED_COSTS, Floats, Places, Pool, cheapest_first, outcomes

BLOCK = 256
"""Networks that are compared with the answer at once."""

SLACK = 1e-3
"""Of a comparison of squared numbers of examples that were rounded."""


def cheapest_tie(fitting: Pool) -> Candidate | None:
    """The cheapest network that is cheaper than the answer and not distinguishable from it.

    Cheapest first, so that the search ends with the first tie. What differs too much to tie is
    passed over by a bound on McNemar's test before any test is made.

    Args:
        fitting: What keeps the budget, the answer first.
    """
    costs = np.stack([fitting.column(name).values for name in RANKED_COSTS], axis=1)
    known = ~(np.isnan(costs) | np.isnan(costs[0]))
    cheaper = (~known | (costs <= costs[0])).all(axis=1) & (known & (costs < costs[0])).any(axis=1)
    rivals = fitting.take(np.flatnonzero(cheaper))
    if not len(rivals):
        return None
    rivals = rivals.take(cheapest_first(rivals))
    for place in ties(outcomes(fitting[0]), rivals):
        return rivals[place]
    return None


def ties(answer: Evaluation, rivals: Pool) -> Iterator[int]:
    """The places of the networks that are not distinguishable from the answer."""
    if answer.metric != "accuracy":
        yield from (
            place for place, rival in enumerate(rivals) if compare(answer, outcomes(rival)).tie
        )
        return
    # Beyond 4 standard deviations of a fair coin the exact test rejects whatever the number of
    # discordant examples: Hoeffding's bound of its p-value is 2 exp(-8).
    near = _near(answer, rivals.column("score").values)
    for first in range(0, len(near), BLOCK):
        places = near[first : first + BLOCK]
        only_a, only_b = discordant(answer, rivals.take(places).outcomes.predictions)
        for place in np.flatnonzero((only_a - only_b) ** 2 <= 16 * (only_a + only_b)):
            if mcnemar_p_value(int(only_a[place]), int(only_b[place])) >= LEVEL:
                yield int(places[place])


def _near(answer: Evaluation, scores: Floats) -> Places:
    """The places of what may be within 4 standard deviations, by how many examples are right.

    Of the examples that only one of two networks has right, those of the rival are no more than
    the answer has wrong.
    """
    more = answer.n * (answer.value - scores)
    most_discordant = more + 2 * answer.n * (1 - answer.value)
    return np.flatnonzero(more**2 <= 16 * most_discordant + SLACK)


def is_cheaper(candidate: Candidate, than: Candidate) -> bool:
    """Whether one network costs no more than another in anything and less in something."""
    ours, theirs = candidate.profile.values, than.profile.values
    known = [
        (ours[name], theirs[name]) for name in RANKED_COSTS if name in ours and name in theirs
    ]
    return all(a <= b for a, b in known) and any(a < b for a, b in known)
