"""Pareto fronts and their hypervolume, both by moocore (no torch).

A candidate is dominated when another one is at least as good in every objective and better in one.
Candidates that are equal in every objective do not dominate each other: all of them are members.
Values are taken as they are; whether two scores or times are distinguishable at all is a question
for paired comparisons, not for the front.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .candidate import Candidate
from .markup import html_table
from .quantities import QUANTITIES
from .ranking import MARGIN, nondominated


@dataclass(frozen=True, slots=True)
class Hypervolume:
    """The volume that a front dominates, which means nothing without its reference point.

    Attributes:
        value: The volume between the front and the reference point, in the product of the
            objectives' units.
        reference: The reference point: the worst value that counts, for each objective.
    """

    value: float
    reference: Mapping[str, float]

    def __str__(self) -> str:
        """The volume and its reference point for a reader."""
        point = ", ".join(
            f"{QUANTITIES[name].word} {QUANTITIES[name].text(value)}"
            for name, value in self.reference.items()
        )
        return f"{self.value:.6g} (reference point: {point})"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return {"value": self.value, "reference": dict(self.reference)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        return cls(**record)


@dataclass(frozen=True, slots=True)
class ParetoFront:
    """Which candidates no other one beats.

    Attributes:
        objectives: Names from `QUANTITIES`.
        members: The non-dominated candidates, cheapest first by the first cost among the
            objectives, best score first among equals.
        dominated: The others, in the same order.
        unmeasured: Candidates without a value of some objective, such as a latency that a search
            only estimated: no front has them, and they were tried all the same.
    """

    objectives: tuple[str, ...]
    members: tuple[Candidate, ...]
    dominated: tuple[Candidate, ...]
    unmeasured: tuple[Candidate, ...] = ()

    def __repr__(self) -> str:
        """The front on one line."""
        words = " and ".join(QUANTITIES[name].word for name in self.objectives)
        total = len(self.members) + len(self.dominated)
        return f"<ParetoFront of {words}: {len(self.members)} of {total} networks>"

    def _repr_html_(self) -> str:
        """What a notebook shows: the members, cheapest first."""
        total = len(self.members) + len(self.dominated)
        return html_table(
            self.members, caption=f"The front: {len(self.members)} of {total} networks."
        )

    @classmethod
    def of(cls, candidates: Sequence[Candidate], objectives: Sequence[str]) -> Self:
        """Split candidates into the front, the dominated and those that cannot be compared.

        Raises:
            ValueError: When there is no objective.
        """
        lacking = [
            any(candidate.value(name) is None for name in objectives) for candidate in candidates
        ]
        apart = tuple(entry for entry, lacks in zip(candidates, lacking, strict=True) if lacks)
        candidates = [entry for entry, lacks in zip(candidates, lacking, strict=True) if not lacks]
        values = _values(candidates, objectives)
        flags = nondominated(values) if candidates else ()
        costs_first = sorted(objectives, key=lambda name: QUANTITIES[name].larger_is_better)
        ordered = sorted(
            zip(candidates, flags, strict=True),
            key=lambda entry: [_signed(entry[0], name) for name in costs_first],
        )
        return cls(
            objectives=tuple(objectives),
            members=tuple(candidate for candidate, is_member in ordered if is_member),
            dominated=tuple(candidate for candidate, is_member in ordered if not is_member),
            unmeasured=apart,
        )

    def hypervolume(self, reference: Mapping[str, float]) -> Hypervolume:
        """The volume that the members dominate; what is worse than the reference counts nothing.

        Args:
            reference: A value for each objective and for nothing else.

        Raises:
            ValueError: When the reference point is of other objectives.
        """
        if set(reference) != set(self.objectives):
            raise ValueError(
                f"the reference point is of {sorted(reference)}, the front of "
                f"{sorted(self.objectives)}"
            )
        point = [QUANTITIES[name].signed(reference[name]) for name in self.objectives]
        values = _values(self.members, self.objectives)
        import moocore

        volume = float(moocore.hypervolume(values, ref=point)) if self.members else 0.0
        return Hypervolume(volume, {name: float(reference[name]) for name in self.objectives})

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return {
            "objectives": list(self.objectives),
            "members": [candidate.to_dict() for candidate in self.members],
            "dominated": [candidate.to_dict() for candidate in self.dominated],
            "unmeasured": [candidate.to_dict() for candidate in self.unmeasured],
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        return cls(
            objectives=tuple(record["objectives"]),
            members=tuple(map(Candidate.from_dict, record["members"])),
            dominated=tuple(map(Candidate.from_dict, record["dominated"])),
            unmeasured=tuple(map(Candidate.from_dict, record["unmeasured"])),
        )


def reference_beyond(
    candidates: Sequence[Candidate], objectives: Sequence[str]
) -> dict[str, float]:
    """A reference point a little worse than every candidate, so that extreme ones count too.

    The worst value of each objective, moved outwards by `MARGIN` of the candidates' range. It
    depends on the candidates: fronts are compared by one fixed point only.

    Raises:
        ValueError: When there are no candidates or one lacks a value.
    """
    if not candidates:
        raise ValueError("no candidates to lay a reference point around")
    values = _values(candidates, objectives)
    beyond = values.max(axis=0) + MARGIN * np.ptp(values, axis=0)
    return {
        name: QUANTITIES[name].signed(float(value))
        for name, value in zip(objectives, beyond, strict=True)
    }


def _values(candidates: Sequence[Candidate], objectives: Sequence[str]) -> NDArray[np.float64]:
    """One row per candidate, one column per objective, smaller is better."""
    if not objectives:
        raise ValueError("a front needs at least one objective")
    rows = [[_signed(candidate, name) for name in objectives] for candidate in candidates]
    return np.array(rows, dtype=np.float64).reshape(len(candidates), len(objectives))


def _signed(candidate: Candidate, name: str) -> float:
    return QUANTITIES[name].signed(candidate.known_value(name))
