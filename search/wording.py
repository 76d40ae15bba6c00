"""An answer in a few words: its headline, the networks to see beside it, what to be careful of.

`QueryResult.sentences` says everything; this is what a person reads first.
"""

from typing import TYPE_CHECKING

from ..tasks.metrics import Evaluation
from .candidate import Candidate, StatedScore
from .quantities import QUANTITIES

if TYPE_CHECKING:
    from .query import QueryResult


def headline(result: "QueryResult") -> str:
    """The answer, or the nearest network where nothing fits, on a line or two."""
    answer = result.answer
    if answer is not None:
        score = answer.evaluation if result.report is None else result.report
        return f"{result.name(answer)}: {_facts(answer, score)}."
    nearest = result.nearest
    assert nearest is not None
    return (
        f"Nothing fits. Nearest is {result.name(nearest)}: {_facts(nearest, nearest.evaluation)}."
    )


def reason(result: "QueryResult") -> str:
    """Why it is the answer, and on what its score is; or what the nearest one misses."""
    first = result.answer or result.nearest
    assert first is not None
    metric = first.evaluation.metric
    asked = result.budget.phrase(metric=metric)
    if result.answer is None:
        misses = [
            f"{miss.constraint.kind.word} by {miss.constraint.kind.text(miss.excess)}"
            for miss in result.misses(first)
        ]
        loss = result.budget.loss
        if loss is not None and result.budget.loss_of(first).interval.high > loss.limit:
            misses.append(f"the loss: {result.budget.loss_of(first).interval.high:.4f} at worst")
        missed = f" It misses {' and '.join(misses)}." if misses else ""
        return f"None of {result.num_candidates} networks meets {asked}.{missed}"
    aim = result.budget.cheapest
    verdict = "Scores best" if aim is None else f"Best by {QUANTITIES[aim].word}"
    field = (
        f"{result.num_feasible} networks (of {result.num_candidates}) that meet {asked}"
        if result.budget.is_limited
        else f"{result.num_candidates} networks"
    )
    if result.report is None:
        return f"{verdict} of the {field}."
    return (
        f"{verdict} of the {field}. Its {metric} is on {result.report.n} examples of the report "
        "split, which took no part in the choice."
    )


def rows(result: "QueryResult") -> list[tuple[str, Candidate]]:
    """The networks to see together, each with its part; at most four.

    The answer, the cheapest that ties with it, the best of the others, and the full model.
    """
    first = result.answer or result.nearest
    assert first is not None
    found = [("answer" if result.answer is not None else "nearest", first)]
    tie = result.cheapest_tie
    if tie is not None:
        found.append(("cheapest tie", tie.candidate))
    others = [entry.candidate for entry in result.rivals if entry is not tie]
    found += [("runner-up", entry) for entry in others[:1]]
    if result.full is not None and result.full.key not in {entry.key for _, entry in found}:
        found.append(("full model", result.full))
    return found


def caveats(result: "QueryResult") -> tuple[str, ...]:
    """What to be careful of, the most important first."""
    passed = tuple(entry.sentence() for entry in result.passed_over)
    return (*result.hints, *result.warnings, *passed)


def _facts(candidate: Candidate, score: Evaluation | StatedScore) -> str:
    interval, latency = score.interval, candidate.latency
    shown = f"{score.value:.3f}" if interval is None else interval.text(".3f")
    parts = [f"{score.metric} {shown}"]
    if latency is not None:
        parts.append(latency.time_ms.text(".3g", unit=" ms"))
    if candidate.num_params is not None:
        parts.append(f"{QUANTITIES['num_params'].text(candidate.num_params)} parameters")
    return ", ".join(parts)
