"""The front in words: what its networks save and cost against the full model (no torch).

Scores are compared in pairs, on the same examples, so "not distinguishable" is the verdict of a
test and not of two overlapping intervals.
"""

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import cast

from ..profiling.table import LatencySummary
from ..search.candidate import Candidate
from ..search.front import ParetoFront
from ..search.quantities import QUANTITIES
from ..search.selection import SelectionReport
from ..tasks.comparison import compare
from ..tasks.scores import Evaluation
from . import shared


def headlines(candidates: Sequence[Candidate], *, judged: Sequence[Candidate]) -> dict[str, str]:
    """One sentence for each network of the front but the full model, cheapest first.

    Args:
        candidates: Networks scored on one split; when the full model is not among them, sentences
            state values instead of comparing. Where several deployments run them, it is the full
            model on the first one that they are compared with.
        judged: The same with the scores that decide which of them are on the front.

    Returns:
        The sentences by the candidates' keys.
    """
    cost = main_cost(candidates)
    members = [c.key for c in ParetoFront.of(shared.rivals(judged, cost), ("score", cost)).members]
    by_key = {c.key: c for c in candidates}
    full = next((entry for entry in candidates if entry.is_full), None)
    deployed = shared.several(candidates)
    return {
        key: sentence(by_key[key], full, with_deployment=deployed)
        for key in members
        if full is None or key != full.key
    }


def selection_sentences(
    selection: SelectionReport,
    candidates: Sequence[Candidate],
    *,
    reported: Mapping[str, Evaluation],
) -> str:
    """How many networks a front was chosen from, and how much that flatters its scores.

    Where every network is scored on the report split, also how far the two splits lie apart
    for all of them: that much of a member's gap is not due to its having been chosen.

    Args:
        selection: The corrected scores of the front.
        candidates: The networks it was chosen from, scored on the search split.
        reported: Scores on the report split by key.
    """
    scores = list(selection.scores.values())
    metric = shared.METRICS[candidates[0].evaluation.metric]
    flattered = max(0.0, *(score.optimism for score in scores))
    text = (
        f"The front was chosen from {selection.num_tried} networks by {scores[0].n} search "
        f"examples, and the best of many is partly lucky: that flatters the {metric} of its "
        f"members on these examples by up to {100 * flattered:.1f} points."
    )
    if any(entry.key not in reported for entry in candidates):
        return text
    gap = mean(entry.evaluation.value - reported[entry.key].value for entry in candidates)
    return (
        f"{text} Apart from that the splits differ: on average over all networks, chosen or "
        f"not, report lies {_points(-gap)} points from search."
    )


def main_cost(candidates: Sequence[Candidate]) -> str:
    """The first cost of `shared.COSTS` that every candidate has: latency when it was measured."""
    return next(
        cost
        for cost in shared.COSTS
        if all(candidate.value(cost) is not None for candidate in candidates)
    )


def sentence(
    candidate: Candidate, full: Candidate | None, *, with_deployment: bool = False
) -> str:
    """What a network saves and costs, in words.

    Args:
        candidate: The network.
        full: What it is compared with; None to state values.
        with_deployment: Whether its runtime and precision are named.
    """
    score = candidate.evaluation
    name = candidate.label + (f", {candidate.deployment.title}" if with_deployment else "")
    if full is None:
        costs = ", ".join(
            f"{QUANTITIES[cost].word} {QUANTITIES[cost].text(value)}"
            for cost in shared.COSTS
            if (value := candidate.value(cost)) is not None
        )
        return f"{name}: {shared.METRICS[score.metric]} {score.value:.4f}, {costs}."
    shares = [
        f"×{own / whole:.2f} {word}"
        for own, whole, word in (
            (candidate.num_params, full.num_params, "parameters"),
            (candidate.num_flops, full.num_flops, "FLOPs"),
        )
        if own and whole
    ]
    if candidate.latency is not None:
        shares.insert(0, _latency(candidate.latency))
    return f"{name}: {', '.join(shares)} for {_score(candidate, full)}."


def _latency(latency: LatencySummary) -> str:
    text = f"×{latency.ratio.text('.2f', unit=' latency')}"
    return text if latency.resolved else f"{text} (not resolved in the time given)"


def _score(candidate: Candidate, full: Candidate) -> str:
    pair = compare(cast(Evaluation, candidate.evaluation), cast(Evaluation, full.evaluation))
    unit = f" points of {shared.METRICS[pair.metric]}"
    return f"{pair.interval.text(_points, unit=unit)}, {pair.verdict}"


def _points(fraction: float) -> str:
    return f"{100 * fraction:+.1f}".replace("-", "−")
