"""An answer in words: what a person reads first, and everything in sentences (no torch).

First comes a headline, then the networks to see beside the answer, then what to be careful of.
"""

from typing import TYPE_CHECKING

from ..intervals import Interval
from ..tasks.comparison import PairedComparison
from ..tasks.scores import Evaluation
from .candidate import Candidate, StatedScore
from .pool import outcomes
from .quantities import QUANTITIES, TIMED

if TYPE_CHECKING:
    from .result import Miss, QueryResult, RunnerUp


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
    field = _field(result, metric)
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
    return (*result.hints, *result.warnings, *passed, *_unmeasured(result))


def sentences(result: "QueryResult") -> list[str]:
    """Everything, warnings first, one sentence or list item per line."""
    found = _refusal(result, result.nearest) if result.nearest is not None else _found(result)
    return [*result.warnings, *found]


def _found(result: "QueryResult") -> list[str]:
    answer = result.answer
    assert answer is not None
    metric = answer.evaluation.metric
    aim = result.budget.cheapest
    verdict = "scores best" if aim is None else f"is best by {QUANTITIES[aim].word}"
    lines = [
        f"{result.name(answer)} {verdict} of the {_field(result, metric)}.",
        f"{metric}: {outcomes(answer).interval.text('.4f')} on {answer.evaluation.n} search "
        "examples.",
    ]
    if result.corrected is not None and result.corrected.num_tried > 1:
        lines.append(
            f"{metric}: {result.corrected.corrected:.4f} when corrected for having been chosen "
            f"from {result.corrected.num_tried}."
        )
    if result.report is not None:
        lines.append(
            f"{metric}: {result.report.interval.text('.4f')} on {result.report.n} report "
            "examples, which took no part in the choice."
        )
    if result.budget.loss is not None:
        lines.append(f"Against the full model it loses {_loss(result.budget.loss_of(answer))}.")
    lines.append(f"Costs: {costs(answer)}.")
    if result.report is not None and answer.latency is not None:
        latency = answer.latency
        lines.append(
            f"Brackets of latencies: {latency.ratio.meaning}, all of one session; the full "
            f"model takes {_time(latency.full_ms)}."
        )
    lines.extend(entry.sentence() for entry in result.passed_over)
    lines.extend(_unmeasured(result))
    if result.budget.limits:
        lines.append(f"Headroom: {_headroom_text(result, answer)}.")
    lines.extend(
        f"{place}. {result.name(entry.candidate)}: {metric} "
        f"{entry.candidate.evaluation.value:.4f}, {_difference(entry.comparison)}; "
        f"{costs(entry.candidate)}{_tie_of_times(result, entry)}."
        for place, entry in enumerate(result.rivals, start=2)
    )
    tie = result.cheapest_tie
    if tie is not None and aim is None:
        lines.append(
            "The cheapest of these that is not distinguishable from the answer is "
            f"{result.name(tie.candidate)}."
        )
    return lines


def _refusal(result: "QueryResult", nearest: Candidate) -> list[str]:
    metric = nearest.evaluation.metric
    lines = [
        f"None of the {result.num_candidates} networks meets "
        f"{result.budget.phrase(metric=metric)}.",
        *result.hints,
        f"Nearest is {result.name(nearest)}: {metric} {outcomes(nearest).interval.text('.4f')}, "
        f"{costs(nearest)}.",
        *(
            f"It misses {miss.constraint.phrase(metric=metric)} by "
            f"{miss.constraint.kind.text(miss.excess)} ({_share(miss)}){_judged_at(miss)}."
            for miss in result.misses(nearest)
        ),
    ]
    loss = result.budget.loss
    if loss is not None and result.budget.loss_of(nearest).interval.high > loss.limit:
        lines.append(
            f"It misses {loss.phrase()}: it loses {_loss(result.budget.loss_of(nearest))}."
        )
    lines.extend(entry.sentence() for entry in result.passed_over)
    return [*lines, *_unmeasured(result)]


def _unmeasured(result: "QueryResult") -> tuple[str, ...]:
    """How many networks could not be judged, if any."""
    if not result.num_unmeasured:
        return ()
    return (
        f"Passed over: {result.num_unmeasured} of {result.num_candidates} networks, of which not "
        "everything was measured that this budget names.",
    )


def _field(result: "QueryResult", metric: str) -> str:
    if not result.budget.is_limited:
        return f"{result.num_candidates} networks"
    return (
        f"{result.num_feasible} networks (of {result.num_candidates}) that meet "
        f"{result.budget.phrase(metric=metric)}"
    )


def _headroom_text(result: "QueryResult", answer: Candidate) -> str:
    metric = answer.evaluation.metric
    left = result.headroom(answer)
    return ", ".join(
        f"{entry.kind.text(left[entry.quantity])} of {entry.word(metric=metric)} "
        f"({left[entry.quantity] / entry.limit:.1%})"
        for entry in result.budget.limits
    )


def _tie_of_times(result: "QueryResult", entry: "RunnerUp") -> str:
    if result.budget.cheapest not in TIMED or entry.ratio is None:
        return ""
    return f"; in time {entry.ratio.verdict(1, 'a tie', 'distinguishable')}"


def _facts(candidate: Candidate, score: Evaluation | StatedScore) -> str:
    interval, latency = score.interval, candidate.latency
    shown = f"{score.value:.3f}" if interval is None else interval.text(".3f")
    parts = [f"{score.metric} {shown}"]
    if latency is not None:
        parts.append(latency.time_ms.text(".3g", unit=" ms"))
    if candidate.num_params is not None:
        parts.append(f"{QUANTITIES['num_params'].text(candidate.num_params)} parameters")
    return ", ".join(parts)


def _difference(comparison: PairedComparison) -> str:
    """How a network scores against the answer, with the verdict."""
    difference = comparison.interval.scaled(-1).text("+.4f")
    return f"{difference} against the answer, {comparison.verdict}"


def _loss(comparison: PairedComparison) -> str:
    """What is lost against the full model."""
    return f"{comparison.interval.scaled(100).text('.2f', unit=' points')}, {comparison.verdict}"


def _time(time_ms: Interval) -> str:
    return time_ms.text(QUANTITIES["latency_ms"].text)


def costs(candidate: Candidate) -> str:
    """What a network costs, for a sentence."""
    values, latency = candidate.profile.values, candidate.latency
    parts = [
        f"{QUANTITIES['num_params'].text(values['num_params'])} parameters",
        f"{QUANTITIES['num_flops'].text(values['num_flops'])} FLOPs",
    ]
    for name, word in (("size_bytes", "on disk"), ("peak_memory_bytes", "of memory")):
        if name in values:
            parts.append(f"{QUANTITIES[name].text(values[name])} {word}")
    if latency is None:
        return ", ".join(parts)
    speed = (
        "the full model"
        if latency.is_reference
        else f"{latency.speedup:.3g} times the full model's speed"
    )
    mark = "" if latency.resolved else " (not resolved)"
    return ", ".join([_time(latency.time_ms) + mark, speed, *parts])


def _share(miss: "Miss") -> str:
    """How far a limit is missed, as a share of it, or as a factor where it is missed by far."""
    share = miss.constraint.relative_violation(miss.value)
    return f"{share:.1%}" if share < 1 else f"{1 + share:.3g} times the limit"


def _judged_at(miss: "Miss") -> str:
    if miss.constraint.quantity not in TIMED:
        return ""
    end = "lower" if miss.constraint.kind.larger_is_better else "upper"
    return f", judged by the {end} end of its interval, {miss.constraint.kind.text(miss.value)}"
