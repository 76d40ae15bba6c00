"""Optimal Subarchitecture Extraction: the W-coefficient, blocks, the algorithm (no torch).

After de Wynter 2020, "An Approximation Algorithm for Optimal Subarchitecture Extraction" (arXiv
2010.08512), which finds, in a set Xi of architectures, the one whose parameters p, inference cost
i and error e are the best together. No implementation of it for BERT was published; its repository
says that it does not run the algorithm.

*Quoted*, as the paper's abstract, its author and its readers state them: the surrogates p^ and i^
are functions of the architecture, and e^ is the loss that is reached after s training steps; the
maximum point T has the largest p^ and the largest i^ of Xi; candidates are compared by

    W(xi) = (p_T - p^(xi)) / p_T  *  (i_T - i^(xi)) / i_T  *  1 / e^(xi),

of which more is better and W(T) = 0; Xi is sorted by (p^, i^), one architecture of each block of
epsilon is trained with every theta in Theta, and the best one is returned; under the paper's
assumptions that a training problem is smooth and strongly convex and that middle layers dominate,
the result is within |1 - epsilon| of the optimum.

*Reconstructed*, because the original pseudo-code was not at hand: what a block is. Here it is a
run of the sorted sizes over which the first two factors of W differ by no more than a factor of
1 - epsilon, and its largest size stands for it. Let the optimum be in a block whose largest size
has no more error. Then the largest size has at least 1 - epsilon of the optimum's first two
factors, so that its W is at least 1 - epsilon of the best: the promise, under the one assumption
that within a block more parameters do not raise the error. As epsilon goes to 0 every size is its
own block, and with epsilon = 1 nothing is promised. Architectures of equal p^ and i^, which
differ in heads alone, cannot be told apart but by training, and stand for their block together.

A candidate as large or as slow as T has W = 0 whatever its error, and is not trained. A training
that diverged has an infinite error, and W = 0.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Generic, TypeVar

from ..errors import InputError, shortened

Theta = TypeVar("Theta")
"""A setting of what is left to choose in training, such as a learning rate."""


@dataclass(frozen=True, slots=True)
class Size:
    """What the surrogates say of an architecture before it is trained.

    Attributes:
        params: p^, parameters.
        inference: i^, what one inference costs: multiply-adds, or milliseconds.
    """

    params: float
    inference: float

    def __post_init__(self) -> None:
        """Check that both are positive and finite."""
        if not (0 < self.params < math.inf and 0 < self.inference < math.inf):
            raise ValueError(f"sizes must be positive and finite, not {self}")


@dataclass(frozen=True, slots=True)
class Point:
    """A candidate as the algorithm sees it.

    Attributes:
        name: What it is called, once in a set.
        size: What the surrogates say of it.
    """

    name: str
    size: Size


@dataclass(frozen=True, slots=True)
class Coefficient(Generic[Theta]):
    """The W-coefficient of a candidate, by its three terms.

    Attributes:
        point: The candidate.
        theta: What it was trained with; None where it need not be.
        smaller: (p_T - p^) / p_T: the share of the largest parameters that it saves.
        faster: (i_T - i^) / i_T: the share of the largest inference cost that it saves.
        error: e^; infinite where training diverged, None where it was not trained.
    """

    point: Point
    theta: Theta | None
    smaller: float
    faster: float
    error: float | None

    @property
    def saved(self) -> float:
        """The first two factors, which are known before training."""
        return self.smaller * self.faster

    @property
    def value(self) -> float:
        """W; infinite where the error is 0 and anything is saved, NaN where it is not known."""
        if not self.saved:
            return 0.0
        if self.error is None:
            return math.nan
        return self.saved / self.error if self.error else math.inf

    def to_dict(self) -> dict[str, Any]:
        """The candidate, its terms and W, as JSON types; an infinite error is null."""
        return {
            "name": self.point.name,
            "params": self.point.size.params,
            "inference": self.point.size.inference,
            "theta": self.theta,
            "smaller": self.smaller,
            "faster": self.faster,
            "error": None if self.error == math.inf else self.error,
            "w": self.value,
        }


@dataclass(frozen=True, slots=True)
class Extraction(Generic[Theta]):
    """What the algorithm found.

    Attributes:
        maximum: The maximum point T.
        blocks: The names of the candidates of each block, smallest sizes first.
        ranking: The candidates that stood for a block, best first, each with its best theta.
    """

    maximum: Size
    blocks: tuple[tuple[str, ...], ...]
    ranking: tuple[Coefficient[Theta], ...]

    @property
    def winner(self) -> Coefficient[Theta]:
        """The best candidate."""
        return self.ranking[0]


def maximum_point(points: Sequence[Point]) -> Size:
    """T: the largest parameters and the largest inference cost, perhaps of two candidates.

    Raises:
        InputError: When there are no candidates.
    """
    if not points:
        raise InputError("The candidate set is empty: give at least two architectures.")
    return Size(
        max(point.size.params for point in points), max(point.size.inference for point in points)
    )


def coefficient(
    point: Point, maximum: Size, *, error: float | None = None, theta: Theta | None = None
) -> Coefficient[Theta]:
    """The W-coefficient of a candidate.

    Args:
        point: The candidate.
        maximum: The maximum point T.
        error: Its error e^; None where it is not known yet.
        theta: What it was trained with.

    Raises:
        ValueError: When the error is negative or NaN, or the candidate is beyond T in a size: the
            product of two negative factors would be positive.
    """
    size = point.size
    if size.params > maximum.params or size.inference > maximum.inference:
        raise ValueError(f"{point.name} is beyond the maximum point: {size} against {maximum}")
    if error is not None and not error >= 0:
        raise ValueError(f"the error of {point.name} must be at least 0, not {error}")
    return Coefficient(
        point,
        theta,
        smaller=(maximum.params - size.params) / maximum.params,
        faster=(maximum.inference - size.inference) / maximum.inference,
        error=error,
    )


def blocks_of(points: Sequence[Point], epsilon: float) -> list[list[list[Point]]]:
    """Cut a set into its blocks.

    Args:
        points: The candidates.
        epsilon: How far W may be below the best, in (0, 1].

    Returns:
        The blocks, each the sizes that it holds from the smallest on, each size the candidates
        that have it, in the order of the set.

    Raises:
        InputError: When there are no candidates, or epsilon is out of its range.
    """
    refuse_epsilon(epsilon)
    maximum = maximum_point(points)

    def key(point: Point) -> tuple[float, float]:
        return point.size.params, point.size.inference

    blocks: list[list[list[Point]]] = []
    least = most = math.nan
    for _, group in groupby(sorted(points, key=key), key=key):
        alike = list(group)
        saved = coefficient(alike[0], maximum).saved
        low, high = min(least, saved), max(most, saved)
        if blocks and low >= (1 - epsilon) * high and (low > 0 or high == 0):
            blocks[-1].append(alike)
            least, most = low, high
        else:
            blocks.append([alike])
            least = most = saved
    return blocks


def standing(blocks: Sequence[Sequence[Sequence[Point]]]) -> list[Point]:
    """The candidates that stand for their blocks: all of the largest size of each."""
    return [point for block in blocks for point in block[-1]]


def to_train(blocks: Sequence[Sequence[Sequence[Point]]], maximum: Size) -> list[Point]:
    """Those of them whose error is asked for: W of the others is 0 whatever it is."""
    return [point for point in standing(blocks) if coefficient(point, maximum).saved]


def extract(
    points: Sequence[Point],
    *,
    epsilon: float,
    thetas: Sequence[Theta],
    error: Callable[[Point, Theta], float],
) -> Extraction[Theta]:
    """Find the best candidate of a set.

    Args:
        points: The candidates Xi.
        epsilon: How far W may be below the best, in (0, 1].
        thetas: What is tried in training, Theta.
        error: Trains a candidate with a theta and gives e^, at least 0.

    Raises:
        InputError: When there are no candidates, epsilon is out of its range, two candidates
            have one name, or all are as large or as slow as T.
    """
    names = [point.name for point in points]
    if len(set(names)) < len(names):
        raise InputError("Two candidates of the set have the same name: leave one out.")
    blocks, maximum = blocks_of(points, epsilon), maximum_point(points)
    trained = set(to_train(blocks, maximum))
    if not trained:
        raise InputError(
            "Every candidate is as large or as slow as the largest, so that W is 0 for all of "
            "them: add smaller ones."
        )
    found: list[Coefficient[Theta]] = []
    for point in standing(blocks):
        known: list[Coefficient[Theta]] = [coefficient(point, maximum)]
        if point in trained:
            known = [
                coefficient(point, maximum, error=error(point, theta), theta=theta)
                for theta in thetas
            ]
        found.append(max(known, key=lambda entry: entry.value))
    return Extraction(
        maximum,
        tuple(tuple(point.name for alike in block for point in alike) for block in blocks),
        ranked(found),
    )


def ranked(found: Sequence[Coefficient[Theta]]) -> tuple[Coefficient[Theta], ...]:
    """The best W first; of equal ones the smaller, then the faster, then the earlier."""
    return tuple(
        sorted(
            found,
            key=lambda entry: (-entry.value, entry.point.size.params, entry.point.size.inference),
        )
    )


def refuse_epsilon(epsilon: float) -> None:
    """Raise unless epsilon can be promised.

    Raises:
        InputError: Naming the range.
    """
    if not 0 < epsilon <= 1:
        raise InputError(
            f"epsilon must be above 0 and at most 1, not {shortened(epsilon)}: the result is "
            "within 1 - epsilon of the best."
        )
