"""Scored networks as deployed, by columns, so that thousands are judged at once (no torch).

A query looks at a few numbers of every network and at everything of a few networks. So a pool
holds columns, an entry for each network, and makes a candidate when it is asked for one.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..tasks.metrics import Labels
from ..tasks.scores import Evaluation
from .candidate import Candidate

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

RANKED_COSTS = ("latency_ms", "num_flops", "num_params")
"""What decides between equal scores: the fastest, then the fewest FLOPs and parameters."""


@dataclass(frozen=True, slots=True)
class Column:
    """A quantity of every network, NaN where it is not known.

    Attributes:
        values: The values: (K,).
        judged: What limits are held against, the worse end of what has an interval: (K,).
    """

    values: Floats
    judged: Floats

    @classmethod
    def of(cls, candidates: Sequence[Candidate], quantity: str) -> Self:
        """The column of some candidates."""
        values = [entry.value(quantity) for entry in candidates]
        judged = [entry.judged.get(quantity) for entry in candidates]
        return cls(np.array(values, dtype=np.float64), np.array(judged, dtype=np.float64))

    def take(self, places: Places) -> Self:
        """The same for some of the networks, in the order of their places."""
        return type(self)(self.values[places], self.judged[places])


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What every network predicts on the same examples.

    Attributes:
        metric: The task's primary metric.
        labels: The true class index or score of each example: (n,).
        predictions: The predicted ones: (K, n).
    """

    metric: str
    labels: Labels
    predictions: NDArray[Any]

    @classmethod
    def of(cls, candidates: Sequence[Candidate]) -> Self:
        """The outcomes of some candidates.

        Raises:
            ValueError: When they are not of the same examples.
        """
        evaluations = [outcomes(entry) for entry in candidates]
        first = evaluations[0]
        if not all(entry.is_of_the_examples_of(first) for entry in evaluations):
            raise ValueError("the candidates are not scored on the same examples")
        rows = [np.asarray(entry.predictions) for entry in evaluations]
        return cls(first.metric, first.labels, np.stack(rows))


class Pool:
    """Scored networks as deployed; letters: K networks, n examples.

    Attributes:
        keys: Of every network as deployed, without repetition.
    """

    def __init__(
        self,
        keys: Sequence[str],
        *,
        make: Callable[[int], Candidate],
        columns: Callable[[str], Column],
        outcomes: Callable[[], Outcomes],
    ) -> None:
        """Keep how to find what is asked for.

        Args:
            keys: Of the networks.
            make: Makes the candidate at a place.
            columns: Finds a quantity's column.
            outcomes: Finds what every network predicts.
        """
        self.keys = tuple(keys)
        self._make = make
        self._column = columns
        self._outcomes = outcomes
        self._made: dict[int, Candidate] = {}
        self._columns: dict[str, Column] = {}
        self._found: Outcomes | None = None
        self._part: tuple[Pool, Places] | None = None

    @classmethod
    def of(cls, candidates: Sequence[Candidate]) -> "Pool":
        """Some candidates as a pool; published numbers, which have no outcomes, are left out."""
        run = [entry for entry in candidates if entry.origin != "published"]
        return cls(
            [entry.key for entry in run],
            make=run.__getitem__,
            columns=lambda quantity: Column.of(run, quantity),
            outcomes=lambda: Outcomes.of(run),
        )

    def __len__(self) -> int:
        """The number of networks."""
        return len(self.keys)

    def __getitem__(self, place: int) -> Candidate:
        """The candidate at a place."""
        if place not in self._made:
            self._made[place] = self._make(place)
        return self._made[place]

    def __iter__(self) -> Iterator[Candidate]:
        """Every candidate, in order."""
        return (self[place] for place in range(len(self)))

    @property
    def num_deployments(self) -> int:
        """How many combinations of runtime and precision there are."""
        return len({key.partition("/")[2] for key in self.keys})

    @property
    def outcomes(self) -> Outcomes:
        """What every network predicts on the search split.

        Raises:
            ValueError: When they are not scored on the same examples.
        """
        if self._found is None:
            self._found = self._outcomes()
        return self._found

    def column(self, quantity: str) -> Column:
        """A quantity of every network."""
        if quantity not in self._columns:
            self._columns[quantity] = self._column(quantity)
        return self._columns[quantity]

    def take(self, places: Places) -> "Pool":
        """Some of the networks, in the order of their places.

        Of what is taken again and again, predictions are copied once.
        """
        whole, mine = self, places
        if self._part is not None:
            whole, before = self._part
            mine = before[places]

        def some() -> Outcomes:
            found = whole.outcomes
            return Outcomes(found.metric, found.labels, found.predictions[mine])

        taken = Pool(
            [self.keys[place] for place in places],
            make=lambda place: self[int(places[place])],
            columns=lambda quantity: self.column(quantity).take(places),
            outcomes=some,
        )
        taken._part = whole, mine
        return taken

    def replaced(self, candidates: Sequence[Candidate]) -> "Pool":
        """The same with other costs for some of the networks.

        Args:
            candidates: The same networks as deployed, with other costs.
        """
        by_key = {key: place for place, key in enumerate(self.keys)}
        places = np.array([by_key[entry.key] for entry in candidates], dtype=np.int64)
        others = dict(zip(places.tolist(), candidates, strict=True))

        def changed(quantity: str) -> Column:
            mine, new = self.column(quantity), Column.of(candidates, quantity)
            values, judged = mine.values.copy(), mine.judged.copy()
            values[places], judged[places] = new.values, new.judged
            return Column(values, judged)

        return Pool(
            self.keys,
            make=lambda place: others[place] if place in others else self[place],
            columns=changed,
            outcomes=lambda: self.outcomes,
        )


def outcomes(candidate: Candidate) -> Evaluation:
    """The outcomes of a network that was run.

    Raises:
        ValueError: When its score is stated, without outcomes.
    """
    if not isinstance(candidate.evaluation, Evaluation):
        raise ValueError(f"{candidate.label} has a stated score, without outcomes of examples")
    return candidate.evaluation


def cost_columns(pool: Pool) -> Floats:
    """What decides between equal scores; what is not known is infinite: (K, 3)."""
    costs = np.stack([pool.column(name).values for name in RANKED_COSTS], axis=1)
    return np.where(np.isnan(costs), np.inf, costs)


def cheapest_first(pool: Pool, *, after: Sequence[Floats] = ()) -> Places:
    """The places of all networks, the cheapest first and equal ones by key.

    Args:
        pool: The networks.
        after: What is looked at before costs, smaller being better, the most important first.
    """
    criteria = [*after, *cost_columns(pool).T]
    return np.lexsort([np.array(pool.keys), *reversed(criteria)])
