"""Why a query's answer is what it is (no torch).

Which limit binds: without it another network would be the answer. What a tenth more of each limit
buys (`MORE`, the page's rule too), and what the same budget buys elsewhere, on another runtime or
precision. Which layers, heads and neurons went, and what speaks for it: the best network within
the budget that treats a layer the other way, scored on the same examples, and, where the run has
measured them, what `dynabert.losses` say that the logits lose.

Everything is judged by what is known, as `answer_query` does: nothing is timed again for it, and
what was timed again for the answer has its second timing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..dynabert.losses import RepairLosses
from ..errors import InputError
from ..networks.subnet import SubnetConfig
from ..tasks.comparison import PairedComparison, compare
from .budget import Budget
from .candidate import Candidate
from .pool import Pool, outcomes
from .query import answer_query
from .result import QueryResult

MORE = 1.1
"""How many times more of a limit an explanation asks for; the page as well."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """What another budget, or another pool, would give.

    Attributes:
        asked: What is different, for a reader.
        candidate: The answer then; None where still nothing fits.
        comparison: Its score minus that of the answer as it is, in pairs; None where either is
            missing, or both are one network as deployed.
    """

    asked: str
    candidate: Candidate | None
    comparison: PairedComparison | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return {
            "asked": self.asked,
            "answer": self.candidate and self.candidate.summary(),
            "difference": self.comparison and self.comparison.interval.numbers,
            "tie": self.comparison and self.comparison.tie,
        }


@dataclass(frozen=True, slots=True)
class LimitShare:
    """One limit of a budget.

    Attributes:
        limit: The limit, for a reader.
        left: What the answer leaves of it, as a share; below 0 where it is missed.
        without: The answer without it.
        binds: Whether that is another one.
    """

    limit: str
    left: float
    without: Alternative
    binds: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return {
            "limit": self.limit,
            "left": self.left,
            "binds": self.binds,
            "without": self.without.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class LayerShare:
    """What is left of one layer of the full model, and what speaks for it.

    Attributes:
        layer: Its index.
        heads: The heads that are left; 0 where it is dropped.
        neurons: The neurons that are left; 0 where it is dropped.
        of: The heads and neurons of the full model.
        otherwise: The best network within the budget that has the layer where the answer has not,
            or the other way round; None where there is none.
        lost: What the logits lose by what went of it, or, where it is dropped, by the gap between
            kept layers that it is in, in the unit of the run's losses; None where they were not
            measured.
    """

    layer: int
    heads: int
    neurons: int
    of: tuple[int, int]
    otherwise: Alternative | None
    lost: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return {
            "layer": self.layer,
            "heads": self.heads,
            "neurons": self.neurons,
            "of": list(self.of),
            "otherwise": self.otherwise and self.otherwise.to_dict(),
            "lost": self.lost,
        }


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why an answer, or the network that is nearest to being one, is what it is.

    Attributes:
        candidate: The answer, or the nearest network.
        limits: Each limit of the budget.
        more: What a tenth more of each limit buys.
        layers: Each layer of the full model; none where it was not cut from one.
        elsewhere: What the same budget buys on other deployments, the best first.
    """

    candidate: Candidate
    limits: tuple[LimitShare, ...]
    more: tuple[Alternative, ...]
    layers: tuple[LayerShare, ...]
    elsewhere: tuple[Alternative, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return {
            name: [entry.to_dict() for entry in getattr(self, name)]
            for name in ("limits", "more", "layers", "elsewhere")
        }


def explain(
    pool: Pool,
    result: QueryResult,
    *,
    elsewhere: Mapping[str, Pool] | None = None,
    losses: RepairLosses | None = None,
) -> Explanation:
    """Explain what a query found.

    Args:
        pool: What it chose from.
        result: What it found.
        elsewhere: The networks on other deployments, by the name of each.
        losses: What the full model loses by what is cut; None where that was not measured.
    """
    found = result.answer or result.nearest
    assert found is not None
    pool = pool.replaced(result.named)
    others = [
        _alternative(name, other, result.budget, result.answer)
        for name, other in (elsewhere or {}).items()
    ]
    return Explanation(
        candidate=found,
        limits=tuple(_limits(pool, result, found)),
        more=tuple(_more(pool, result, found)),
        layers=tuple(_layers(pool, result, found, losses)),
        elsewhere=tuple(sorted(filter(None, others), key=_worst_score_last)),
    )


def _worst_score_last(entry: Alternative) -> float:
    return np.inf if entry.candidate is None else -entry.candidate.evaluation.value


def _alternative(asked: str, pool: Pool, budget: Budget, answer: Candidate | None) -> Alternative:
    """The answer to another budget; none where the budget names what was not measured there."""
    try:
        found = answer_query(pool, budget).answer
    except InputError:
        found = None
    return _against(asked, found, answer)


def _against(asked: str, found: Candidate | None, answer: Candidate | None) -> Alternative:
    if found is None or answer is None or found.key == answer.key:
        return Alternative(asked, found)
    return Alternative(asked, found, compare(outcomes(found), outcomes(answer)))


def _limits(pool: Pool, result: QueryResult, found: Candidate) -> list[LimitShare]:
    """Each limit, with the answer that there would be without it."""
    headroom, answer = result.headroom(found), result.answer
    within = answer_query(pool, result.budget).answer
    shares = []
    for name, part in result.budget.parts.items():
        phrase = part.phrase(metric=found.evaluation.metric)
        without = result.budget.changed(name, None)
        other = _alternative(f"without {phrase}", pool, without, answer)
        binds = other.candidate is not None and (
            within is None or other.candidate.key != within.key
        )
        shares.append(LimitShare(phrase, headroom[name] / part.limit, other, binds))
    return shares


def _more(pool: Pool, result: QueryResult, found: Candidate) -> list[Alternative]:
    """What a tenth more of each limit buys."""
    relaxed = {name: part.relaxed(MORE) for name, part in result.budget.parts.items()}
    return [
        _alternative(
            f"with {part.phrase(metric=found.evaluation.metric)}",
            pool,
            result.budget.changed(name, part),
            result.answer,
        )
        for name, part in relaxed.items()
    ]


def _layers(
    pool: Pool, result: QueryResult, found: Candidate, losses: RepairLosses | None
) -> list[LayerShare]:
    """What is left of each layer of the full model."""
    config, shape = found.config, found.network.shape
    if config is None or shape is None:
        return []
    fitting = pool.take(result.budget.feasible(pool))
    fitting = fitting.take(result.budget.best_first(fitting))
    kept = dict(zip(config.layers, zip(config.heads, config.neurons, strict=True), strict=True))
    shares = []
    for layer in range(shape.num_layers):
        heads, neurons = kept.get(layer, (0, 0))
        asked = f"with layer {layer}" if layer not in kept else f"without layer {layer}"
        other = _first_otherwise(fitting, layer, kept=layer in kept)
        shares.append(
            LayerShare(
                layer=layer,
                heads=heads,
                neurons=neurons,
                of=(shape.num_heads, shape.ffn_size),
                otherwise=None if other is None else _against(asked, other, result.answer),
                lost=None if losses is None else _lost(losses, config, layer),
            )
        )
    return shares


def _lost(losses: RepairLosses, config: SubnetConfig, layer: int) -> float:
    """What is lost by what went of a layer, or by the gap that it is in."""
    for kept, heads, neurons in zip(config.layers, config.heads, config.neurons, strict=True):
        if kept == layer:
            return losses.of_halves(layer, heads=heads, neurons=neurons)
    before = max((kept for kept in config.layers if kept < layer), default=-1)
    after = min((kept for kept in config.layers if kept > layer), default=len(losses.layers))
    return losses.of_gap(before, after)


def _first_otherwise(fitting: Pool, layer: int, *, kept: bool) -> Candidate | None:
    """The first network that was cut and drops a layer, or keeps it."""
    for candidate in fitting:
        config: SubnetConfig | None = candidate.config
        if config is not None and (layer in config.layers) != kept:
            return candidate
    return None
