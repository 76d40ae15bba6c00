"""How much a search flatters what it chooses, and the score with that taken off (no torch).

The best score among many networks is partly luck: on other examples the same network scores less,
the less the more networks were tried. The luck is found on the search split alone. The examples
are divided at random in two, stratified by label; the network is chosen again on each half, and
on the other half it is compared with the network that was chosen on all. What it loses there, on
average over halves and repetitions, is taken off the plain score:

    corrected = plain - mean over halves [score(chosen on all) - score(chosen on the other half)]

This is the cross-validation of a choice (Varma and Simon 2006; Tsamardinos, Greasidou and
Borboudakis 2018). With one network nothing is chosen and nothing is taken off. What remains is a
bias to the low side, because half the examples choose worse than all do.

A front is many choices: each member is the best of the networks that cost no more than it in
anything, and is corrected for the choice among these.

Left out: variation over training seeds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..tasks.metrics import CORRELATIONS, weighted_scores, weights_right
from .front import ParetoFront
from .pool import Outcomes, Pool, cheapest_first, outcomes
from .quantities import QUANTITIES

FOLDS = 2
"""Parts of a division: a network is chosen on one half and compared on the other."""

REPEATS = 100
"""Divisions that a correction is averaged over."""

MIN_EXAMPLES = 10
"""The fewest examples that are worth dividing."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CorrectedScore:
    """The score of the best of several networks, as it is and corrected for having been chosen.

    Attributes:
        plain: Its score on the examples that it was chosen on.
        corrected: What networks chosen like it score on examples that they were not chosen on.
        standard_error: Of `corrected`, over examples: that of the score of one network.
        num_tried: Networks it was chosen from, itself among them.
        n: The number of examples.
        repeats: Random divisions of the examples behind `corrected`.
        seed: Of the divisions.
    """

    plain: float
    corrected: float
    standard_error: float
    num_tried: int
    n: int
    repeats: int
    seed: int

    @property
    def optimism(self) -> float:
        """How much the choice flatters the plain score."""
        return self.plain - self.corrected

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        return cls(**record)


@dataclass(frozen=True, slots=True)
class SelectionReport:
    """The corrected scores of a front.

    Attributes:
        objectives: The front's objectives.
        num_tried: Networks that the whole front was chosen from.
        scores: Each member's score by its key, in the front's order.
    """

    objectives: tuple[str, ...]
    num_tried: int
    scores: Mapping[str, CorrectedScore]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return {
            "objectives": list(self.objectives),
            "num_tried": self.num_tried,
            "scores": {key: score.to_dict() for key, score in self.scores.items()},
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        scores = {key: CorrectedScore.from_dict(each) for key, each in record["scores"].items()}
        return cls(tuple(record["objectives"]), record["num_tried"], scores)


def corrected_choice(pool: Pool, *, repeats: int = REPEATS, seed: int = 0) -> CorrectedScore:
    """The score of the best of some networks, such as all that keep a budget.

    Args:
        pool: What there was to choose from, in any order; of equal scores the cheaper one is the
            choice, as in a query.
        repeats: Random divisions of the examples.
        seed: Of the divisions.

    Raises:
        ValueError: See `Choices`.
    """
    choices = Choices(pool, repeats=repeats, seed=seed)
    everyone = np.ones(len(pool), dtype=bool)
    return choices.corrected(int(choices.plain.argmax()), everyone)


def corrected_answer(pool: Pool, key: str) -> CorrectedScore:
    """The score of one of some networks, none of which scores more, that was chosen among them.

    Args:
        pool: What there was to choose from.
        key: That of the one.
    """
    choices = Choices(pool, repeats=REPEATS, seed=0)
    everyone = np.ones(len(pool), dtype=bool)
    return choices.corrected(choices.pool.keys.index(key), everyone)


def corrected_front(
    front: ParetoFront, *, repeats: int = REPEATS, seed: int = 0
) -> SelectionReport:
    """The scores of a front's members, each corrected for the choice among what costs no more.

    What a search scored and nobody measured was chosen from as well: where a cost is not known,
    FLOPs stand for it.

    Args:
        front: A front of the score and costs, with the candidates that are not of it.
        repeats: Random divisions of the examples.
        seed: Of the divisions.

    Raises:
        ValueError: When the score is none of the objectives, or see `Choices`.
    """
    if "score" not in front.objectives:
        raise ValueError(f"a front of {front.objectives} was not chosen by a score")
    pool = Pool.of((*front.members, *front.dominated, *front.unmeasured))
    choices = Choices(pool, repeats=repeats, seed=seed)
    names = [name for name in front.objectives if not QUANTITIES[name].larger_is_better]
    costs = np.stack([choices.pool.column(name).values for name in names], axis=1)
    flops = choices.pool.column("num_flops").values
    unknown = np.isnan(costs).any(axis=1)

    def rivals(place: int) -> NDArray[np.bool_]:
        known = (costs <= costs[place]).all(axis=1)
        found: NDArray[np.bool_] = known | (unknown & (flops <= flops[place]))
        return found

    places = {key: place for place, key in enumerate(choices.pool.keys)}
    return SelectionReport(
        objectives=front.objectives,
        num_tried=len(choices.pool),
        scores={
            member.key: choices.corrected(places[member.key], rivals(places[member.key]))
            for member in front.members
        },
    )


class Choices:
    """Networks scored on the same examples, and the same on random halves of these.

    Legend: K networks, S halves, over all repetitions.

    Attributes:
        pool: The networks, the cheapest first: of equal scores the first one is chosen.
        plain: Their scores on all examples: (K,).
        on_halves: What orders them on each half: how many examples are right where the metric is
            accuracy, else their scores: (S, K).
        per: What that is divided by to be a score: (S,).
    """

    def __init__(self, pool: Pool, *, repeats: int, seed: int) -> None:
        """Score every network on every half.

        Raises:
            ValueError: When there are no networks, they are not of the same examples, or these
                are fewer than `MIN_EXAMPLES`.
        """
        if not len(pool):
            raise ValueError("there are no candidates to choose from")
        self.pool = pool.take(cheapest_first(pool))
        found = self.pool.outcomes
        self._n = len(found.labels)
        if self._n < MIN_EXAMPLES:
            raise ValueError(
                f"{self._n} examples are too few to divide, {MIN_EXAMPLES} are needed"
            )
        self._repeats, self._seed = repeats, seed
        strata = (0,) * self._n if found.metric in CORRELATIONS else found.labels
        halves = parts(strata, repeats=repeats, seed=seed)
        self.plain = self.pool.column("score").values
        self.on_halves, self.per = _on_halves(found, halves, plain=self.plain)

    def corrected(self, chosen: int, rivals: NDArray[np.bool_]) -> CorrectedScore:
        """The score of a network that was chosen among some of them.

        Args:
            chosen: Its place.
            rivals: Which ones it was chosen from, itself among them: (K,).
        """
        places = np.flatnonzero(rivals)
        whole = len(places) == len(self.pool)
        best = places[(self.on_halves if whole else self.on_halves[:, places]).argmax(axis=1)]
        again = best.reshape(-1, FOLDS)[:, ::-1].ravel()
        theirs = self.on_halves[np.arange(len(again)), again] / self.per
        losses = self.on_halves[:, chosen] / self.per - theirs
        return CorrectedScore(
            plain=float(self.plain[chosen]),
            corrected=float(self.plain[chosen] - losses.mean()),
            standard_error=outcomes(self.pool[chosen]).standard_error,
            num_tried=len(places),
            n=self._n,
            repeats=self._repeats,
            seed=self._seed,
        )


def _on_halves(found: Outcomes, halves: Floats, *, plain: Floats) -> tuple[NDArray[Any], Floats]:
    """What `Choices` holds of every network on each half, and what makes scores of it.

    The examples that are right on the second halves follow from those on the first ones.
    """
    if found.metric != "accuracy":
        scores = weighted_scores(found.metric, found.labels, found.predictions, halves)
        return scores, np.ones(len(halves))
    first = weights_right(found.labels, found.predictions, halves[::FOLDS])
    right = np.empty((len(halves), len(plain)), dtype=first.dtype)
    right[::FOLDS] = first
    np.subtract(np.rint(plain * len(found.labels)), first, out=right[1::FOLDS], casting="unsafe")
    return right, halves.sum(axis=1)


def parts(strata: Sequence[float], *, repeats: int, seed: int, folds: int = FOLDS) -> Floats:
    """Random divisions into parts of nearly the same size and mixture of labels.

    Args:
        strata: The label of each example; each is spread evenly over the parts.
        repeats: The number of divisions.
        seed: The same seed gives the same parts.
        folds: The number of parts.

    Returns:
        1 where an example is in a part, else 0: (repeats * folds, examples).
    """
    generator = np.random.default_rng(seed)
    labels = np.asarray(strata)
    n = len(labels)
    members = np.zeros((repeats, folds, n))
    for division in members:
        shuffled = generator.permutation(n)
        by_label = shuffled[np.argsort(labels[shuffled], kind="stable")]
        division[np.arange(n) % folds, by_label] = 1
    return members.reshape(repeats * folds, n)
