"""What a query found (no torch).

The answer or, where nothing fits, the nearest network; those that stand beside it; those that
were passed over. What is said of it to a reader is in `search.wording`.
"""

from dataclasses import dataclass
from html import escape
from typing import Any

from ..intervals import Interval
from ..profiling.conditions import Conditions
from ..tasks.comparison import PairedComparison
from ..tasks.scores import Evaluation
from . import wording
from .budget import Budget
from .candidate import Candidate, score_record
from .constraints import Constraint
from .markup import html_table
from .selection import CorrectedScore


@dataclass(frozen=True, slots=True)
class RunnerUp:
    """A feasible candidate that is no better than the answer.

    Attributes:
        candidate: The candidate.
        comparison: The answer minus this one, on the examples of the search split.
        is_cheaper: Whether it costs no more than the answer in anything and less in something.
        ratio: Its time relative to the answer's, in one session; None where they were not timed
            together.
    """

    candidate: Candidate
    comparison: PairedComparison
    is_cheaper: bool
    ratio: Interval | None = None


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A network that would have been named, but does not keep the limits when timed again.

    Attributes:
        candidate: The network, with the latency measured again.
        undecided: Whether its interval still straddles a limit after measuring longer.
        name: What it is called.
    """

    candidate: Candidate
    undecided: bool
    name: str

    def sentence(self) -> str:
        """Why it was passed over, for a reader."""
        reason = (
            "whose interval still straddles the latency limit after measuring longer"
            if self.undecided
            else "which broke the latency limit when measured again"
        )
        return f"Passed over: {self.name}, {reason}: {wording.costs(self.candidate)}."


@dataclass(frozen=True, slots=True)
class Miss:
    """A limit that a candidate does not keep.

    Attributes:
        constraint: The limit.
        value: The value held against it.
    """

    constraint: Constraint
    value: float

    @property
    def excess(self) -> float:
        """How far the value is beyond the limit, in the quantity's unit."""
        return self.constraint.violation(self.value)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types, with the excess and its share of the limit."""
        return {
            **self.constraint.to_dict(),
            "value": self.value,
            "excess": self.excess,
            "relative_excess": self.constraint.relative_violation(self.value),
        }


@dataclass(frozen=True, slots=True)
class QueryResult:
    """What a query found.

    Attributes:
        budget: What was asked.
        num_candidates: Candidates that were scored.
        num_feasible: Those of them that keep every limit by the cost table.
        answer: The best feasible one, None when there is none.
        rivals: The next best feasible ones, best first, and the cheapest that ties.
        cheapest_tie: The cheapest feasible one that is cheaper than the answer and not
            distinguishable from it; one of the rivals.
        nearest: The one that is nearest to the budget, when there is no answer.
        several: Whether the candidates are of several deployments, which names then carry.
        corrected: The answer's score on the search split, corrected for having been chosen, once
            delivered; None where there are too few examples, or a cost was asked for.
        report: The answer's outcomes on the report split, once delivered.
        passed_over: Networks that did not keep the limits when they were timed again.
        num_unmeasured: Candidates of which not everything is known that the budget names.
        hints: Limits that were probably meant in another unit.
        warnings: What forbids to take the latencies at their word, to be said first.
        full: The full model, with its time in the session of the others; None where it is not
            among the candidates.
        conditions: What the latencies were measured under; None where that is not known.
    """

    budget: Budget
    num_candidates: int
    num_feasible: int
    answer: Candidate | None
    rivals: tuple[RunnerUp, ...] = ()
    cheapest_tie: RunnerUp | None = None
    nearest: Candidate | None = None
    several: bool = False
    corrected: CorrectedScore | None = None
    report: Evaluation | None = None
    passed_over: tuple[PassedOver, ...] = ()
    num_unmeasured: int = 0
    hints: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    full: Candidate | None = None
    conditions: Conditions | None = None

    def __repr__(self) -> str:
        """The result on one line."""
        first = self.answer or self.nearest
        assert first is not None
        verdict = "answer" if self.answer is not None else "nothing fits, nearest"
        return (
            f"<QueryResult {self.num_feasible} of {self.num_candidates} fit; {verdict} "
            f"{self.name(first)}>"
        )

    def _repr_html_(self) -> str:
        """What a notebook shows: the answer, the networks beside it, one caveat."""
        shown, doubts = wording.rows(self), wording.caveats(self)
        parts = [f"<b>{escape(wording.headline(self))}</b>", escape(wording.reason(self))]
        parts += [f"<i>Caveat: {escape(line)}</i>" for line in doubts[:1]]
        table = html_table(
            [entry for _, entry in shown], first=[part for part, _ in shown], stressed=0
        )
        return "".join(f"<p>{part}</p>" for part in parts) + table

    def name(self, candidate: Candidate) -> str:
        """What a candidate is called, with its deployment where there are several."""
        if not self.several:
            return candidate.name
        return f"{candidate.name} on {candidate.deployment.title}"

    @property
    def named(self) -> tuple[Candidate, ...]:
        """Every candidate whose number stands in the result."""
        first = self.nearest if self.answer is None else self.answer
        assert first is not None
        return (first, *(entry.candidate for entry in self.rivals))

    def headroom(self, candidate: Candidate) -> dict[str, float]:
        """What a candidate leaves of each limit, in the quantity's unit; below 0 when missed."""
        left = {
            entry.quantity: -entry.violation(candidate.judged[entry.quantity])
            for entry in self.budget.limits
        }
        if self.budget.loss is not None:
            left["loss"] = self.budget.loss.limit - self.budget.loss_of(candidate).interval.high
        return left

    def misses(self, candidate: Candidate) -> tuple[Miss, ...]:
        """The limits on quantities that a candidate does not keep."""
        return tuple(
            Miss(entry, candidate.judged[entry.quantity])
            for entry in self.budget.limits
            if entry.violation(candidate.judged[entry.quantity]) > 0
        )

    def to_dict(self) -> dict[str, Any]:
        """The result as one JSON object.

        `answer` and `nearest` are objects or null, the others lists.
        """
        answer, nearest = self.answer, self.nearest
        return {
            "warnings": list(self.warnings),
            **self.budget.to_dict(),
            "conditions": self.conditions and self.conditions.to_dict(),
            "num_candidates": self.num_candidates,
            "num_feasible": self.num_feasible,
            "num_unmeasured": self.num_unmeasured,
            "answer": answer
            and {
                **_record(answer),
                "corrected": self.corrected and self.corrected.to_dict(),
                "report": self.report and score_record(self.report),
                "headroom": self.headroom(answer),
                "loss": self._loss_record(answer),
            },
            "runners_up": [
                {
                    **_record(entry.candidate),
                    "headroom": self.headroom(entry.candidate),
                    **_comparison_record(entry.comparison),
                    "cheaper": entry.is_cheaper,
                    "latency_ratio": entry.ratio
                    and {**entry.ratio.numbers, "tie": entry.ratio.holds(1)},
                }
                for entry in self.rivals
            ],
            "nearest": nearest
            and {
                **_record(nearest),
                "missed": [miss.to_dict() for miss in self.misses(nearest)],
                "loss": self._loss_record(nearest),
            },
            "passed_over": [
                {**entry.candidate.summary(), "undecided": entry.undecided}
                for entry in self.passed_over
            ],
            "hints": list(self.hints),
            "full": self.full and self.full.summary(),
        }

    def sentences(self) -> list[str]:
        """The result for a reader, warnings first, one sentence or list item per line."""
        return wording.sentences(self)

    def _loss_record(self, candidate: Candidate) -> dict[str, float] | None:
        loss = self.budget.loss
        return None if loss is None else self.budget.loss_of(candidate).interval.numbers


def _record(candidate: Candidate) -> dict[str, Any]:
    config = candidate.network.config
    assert config is not None
    layers = zip(config.layers, config.heads, config.neurons, strict=True)
    return {
        **candidate.summary(),
        "layers": [{"index": i, "heads": heads, "neurons": n} for i, heads, n in layers],
        "tokens": config.tokens and config.tokens.to_dict(),
    }


def _comparison_record(comparison: PairedComparison) -> dict[str, Any]:
    return {"difference": comparison.interval.numbers, **comparison.test}
