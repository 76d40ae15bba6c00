"""What `query --explain` prints below the answer."""

from ..search.candidate import Candidate
from ..search.explanation import Alternative, Explanation, LayerShare
from ..search.quantities import QUANTITIES
from .display import show
from .layout import EXTRA, Column, Sheet

BAR = 10
"""Characters of a full bar."""


def show_explanation(found: Explanation) -> None:
    """Print why an answer is what it is."""
    show("\n".join(["", *explanation_lines(found)]))
    layers = layers_sheet(found)
    if layers is not None:
        show(layers)


def explanation_lines(found: Explanation) -> list[str]:
    """Which limits bind, what more of them buys, and what other deployments would give."""
    lines, key = [], found.candidate.key
    if found.limits:
        lines.append("Which limit binds:")
    for limit in found.limits:
        left = f"{limit.left:.1%} left" if limit.left >= 0 else f"missed by {-limit.left:.1%}"
        verdict = f"binds: {_outcome(limit.without, key)}" if limit.binds else "does not bind"
        lines.append(f"  {limit.limit} ({left}) {verdict}")
    for heading, entries in (
        ("What a tenth more of each buys:", found.more),
        ("What the same budget buys elsewhere:", found.elsewhere),
    ):
        if entries:
            lines.append(heading)
        lines += [f"  {entry.asked}: {_outcome(entry, key)}" for entry in entries]
    return lines


def layers_sheet(found: Explanation) -> Sheet | None:
    """What is left of each layer, as bars, and what speaks for it; None where nothing was cut."""
    layers = found.layers
    if not layers:
        return None
    columns = [
        Column("layer", [str(entry.layer) for entry in layers]),
        Column("heads", [_bar(entry.heads, entry.of[0]) for entry in layers], is_text=True),
        Column("neurons", [_bar(entry.neurons, entry.of[1]) for entry in layers], is_text=True),
        Column("the other way", [_otherwise(entry) for entry in layers], EXTRA, is_text=True),
    ]
    if any(entry.lost is not None for entry in layers):
        lost = ["" if entry.lost is None else f"{entry.lost:.3g}" for entry in layers]
        columns.insert(3, Column("lost", lost))
    return Sheet(
        columns,
        title="What is left of each layer",
        caption="of a layer the first heads and neurons stay, in the order in which training "
        "sorted them; the other way: the best network within the budget that has the layer "
        "where this one has not, or has it not",
    )


def _outcome(entry: Alternative, key: str) -> str:
    """What an alternative to the network of a key comes to."""
    found = entry.candidate
    if found is None:
        return "nothing fits"
    if found.key == key:
        return "the same network"
    if entry.comparison is None:
        return _named(found)
    interval = entry.comparison.interval.scaled(100).text("+.2f", unit=" points")
    return f"{_named(found)}, {interval}, {entry.comparison.verdict}"


def _named(found: Candidate) -> str:
    metric, latency = found.evaluation.metric, found.latency
    speed = "" if latency is None else f", {QUANTITIES['latency_ms'].text(latency.time_ms.value)}"
    return f"{found.label} ({metric} {found.evaluation.value:.4f}{speed})"


def _otherwise(entry: LayerShare) -> str:
    other = entry.otherwise
    if other is None or other.candidate is None:
        return "nothing fits"
    if other.comparison is None:
        return other.candidate.label
    points = 100 * other.comparison.interval.value
    tie = ", a tie" if other.comparison.tie else ""
    return f"{other.candidate.label}, {points:+.2f} points{tie}"


def _bar(kept: int, whole: int) -> str:
    """So many of all as a bar and a number; a layer that is dropped has none.

    >>> _bar(6, 12)
    '█████       6'
    """
    full = max(round(BAR * kept / whole), 1) if kept else 0
    return f"{'█' * full:<{BAR}} {kept or '-':>3}"
