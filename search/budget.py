"""What a query asks of a network (no torch).

Limits on quantities and on the loss, and what is to be best. What was measured is held against its
limit by the worse end of its interval, as `search.constraints` says. When no network keeps every
limit, the nearest is the one whose missed limits sum to the smallest share.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..tasks.comparison import PairedComparison, compare, discordant
from ..tasks.proportions import tango_interval
from ..tasks.scores import Evaluation
from .candidate import Candidate
from .constraints import Constraint, LossLimit
from .pool import Floats, Places, Pool, cheapest_first, outcomes
from .quantities import QUANTITIES, TIMED


@dataclass(frozen=True)
class Budget:
    """What is asked of a network, and what for.

    Attributes:
        limits: Limits on quantities.
        loss: A limit on the score lost against the full model; None for none.
        cheapest: The quantity that is to be best; None for the score.
        full: The full model's outcomes on the search split, for `loss`.
    """

    limits: tuple[Constraint, ...] = ()
    loss: LossLimit | None = None
    cheapest: str | None = None
    full: Evaluation | None = None

    def __post_init__(self) -> None:
        """Check that a loss has something to be lost against."""
        if self.loss is not None and self.full is None:
            raise InputError(
                "A loss is against the full model, which is not scored yet: search first."
            )

    @cached_property
    def _losses(self) -> dict[str, PairedComparison]:
        return {}

    def loss_of(self, candidate: Candidate) -> PairedComparison:
        """What a candidate loses against the full model; computed once."""
        assert self.full is not None
        if candidate.key not in self._losses:
            self._losses[candidate.key] = compare(self.full, outcomes(candidate))
        return self._losses[candidate.key]

    def violation(self, candidate: Candidate) -> float:
        """The shares of the limits that are exceeded, summed; 0 when every limit is kept."""
        return float(self.violations(Pool.of([candidate]))[0])

    def violations(self, pool: Pool) -> Floats:
        """The same for many networks: (K,)."""
        missed = self._missed(pool)
        if self.loss is not None:
            missed += np.maximum(0.0, self._most_lost(pool) / self.loss.limit - 1)
        return missed

    def feasible(self, pool: Pool) -> Places:
        """The places of the networks that keep every limit; what is not known keeps none."""
        return self._losing_little(pool, self._missed(pool) == 0)

    def unjudged(self, pool: Pool) -> Places:
        """The places of what keeps the limits as far as it is known, and is not wholly known."""
        missed = self._shares(pool)
        kept = np.isnan(missed).any(axis=0) & (np.nansum(missed, axis=0) == 0)
        return self._losing_little(pool, kept)

    @property
    def quantities(self) -> tuple[str, ...]:
        """The quantities that it names, without the score that is the aim of most."""
        aim = () if self.cheapest is None else (self.cheapest,)
        return tuple(dict.fromkeys([*(entry.quantity for entry in self.limits), *aim]))

    def _losing_little(self, pool: Pool, kept: NDArray[np.bool_]) -> Places:
        """The places of those of some networks that keep the limit on the loss."""
        places = np.flatnonzero(kept)
        if self.loss is None:
            return places
        return places[self._most_lost(pool.take(places)) <= self.loss.limit]

    def _missed(self, pool: Pool) -> Floats:
        """The shares of the limits on quantities that are exceeded, summed: (K,)."""
        return np.asarray(self._shares(pool).sum(axis=0))

    def _shares(self, pool: Pool) -> Floats:
        """By limit the share of it that is exceeded, NaN where that is not known: (limits, K)."""
        shares = [
            np.maximum(0.0, limit.relative_violation(pool.column(limit.quantity).judged))
            for limit in self.limits
        ]
        return np.array(shares).reshape(len(shares), len(pool))

    def _most_lost(self, pool: Pool) -> Floats:
        """The upper ends of what networks lose against the full model: (K,)."""
        full = self.full
        assert full is not None
        if full.metric != "accuracy":
            return np.array([self.loss_of(entry).interval.high for entry in pool])
        only_full, only_other = discordant(full, pool.outcomes.predictions)
        _, high = tango_interval(only_full.astype(float), only_other.astype(float), n=full.n)
        return high

    def straddles(self, candidate: Candidate) -> bool:
        """Whether the interval of something that was timed holds a limit."""
        latency = candidate.latency
        if latency is None:
            return False
        time_ms = latency.time_ms
        best = {
            "latency_ms": time_ms.low,
            "throughput_per_s": candidate.known_value("throughput_per_s")
            * time_ms.value
            / time_ms.low,
            "speedup": 1 / latency.ratio.low,
        }
        worst = candidate.judged
        return any(
            entry.violation(best[entry.quantity]) <= 0 < entry.violation(worst[entry.quantity])
            for entry in self.limits
            if entry.quantity in TIMED
        )

    def phrase(self, *, metric: str) -> str:
        """The limits for a reader."""
        parts = [entry.phrase(metric=metric) for entry in self.limits]
        if self.loss is not None:
            parts.append(self.loss.phrase())
        return " and ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """What is asked, as JSON types."""
        return {
            "limits": [entry.to_dict() for entry in self.limits],
            "max_loss": self.loss and self.loss.limit,
            "cheapest": self.cheapest,
        }

    @property
    def parts(self) -> dict[str, Constraint | LossLimit]:
        """Every limit, by its quantity or `loss`."""
        limits: dict[str, Constraint | LossLimit] = {
            entry.quantity: entry for entry in self.limits
        }
        return limits if self.loss is None else {**limits, "loss": self.loss}

    def changed(self, name: str, part: Constraint | LossLimit | None) -> "Budget":
        """The same with another limit in the place of one of `parts`, or with none."""
        if name == "loss":
            assert not isinstance(part, Constraint)
            return replace(self, loss=part)
        assert not isinstance(part, LossLimit)
        kept = ((part if entry.quantity == name else entry) for entry in self.limits)
        return replace(self, limits=tuple(entry for entry in kept if entry is not None))

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit at all."""
        return bool(self.limits) or self.loss is not None

    def aim(self, pool: Pool) -> Floats:
        """What is to be best, turned so that smaller is better: (K,)."""
        if self.cheapest is None:
            return -pool.column("score").values
        values = QUANTITIES[self.cheapest].signed(pool.column(self.cheapest).values)
        return np.where(np.isnan(values), np.inf, values)

    def best_first(self, pool: Pool) -> Places:
        """The places of all networks, best first; ties go to the cheaper, then by key."""
        return cheapest_first(pool, after=[self.aim(pool), -pool.column("score").values])
