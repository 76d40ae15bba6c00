"""What `compare` prints: both networks, the difference, and what users notice of it."""

from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.text import Text

from ..pipeline.steps.compare import Comparison
from .layout import LABEL, Column, Sheet
from .tables import candidate_columns


def comparison_view(found: Comparison, numbers: Mapping[str, int]) -> RenderableType:
    """Two networks side by side.

    Args:
        found: The comparison.
        numbers: The networks' numbers by their ids.
    """
    scores = found.scores
    difference = scores.interval.text("+.4f")
    lines = [f"{scores.metric} on {found.split}, A minus B: {difference}, {scores.verdict}."]
    if found.ratio is not None:
        lines.append(f"A takes {found.ratio.text('.3f')} of B's time: {found.pace}.")
    if found.flip_rate is not None:
        n = scores.interval.n
        lines.append(f"{len(found.flipped)} of {n} answers change ({found.flip_rate:.2%}).")
    columns = candidate_columns([found.a, found.b], numbers)
    titles = [entry.deployment.title for entry in (found.a, found.b)]
    columns.insert(0, Column("", ["A", "B"], is_text=True))
    columns.insert(4, Column("deployment", titles, LABEL, is_text=True))
    return Group(
        *(Text(f"Caveat: {line}", style="yellow") for line in found.warnings[:1]),
        Text("\n".join(lines), style="bold"),
        Text(),
        Sheet(
            columns,
            caption=f"{scores.metric} on the search split, by which networks are chosen",
            names_rest=False,
        ),
        *_classes(found),
    )


def _classes(found: Comparison) -> list[RenderableType]:
    if not found.classes:
        return []
    return [
        Text(),
        Sheet(
            [
                Column("recognised of", [c.name for c in found.classes], is_text=True, wraps=True),
                Column("n", [f"{c.n:,}" for c in found.classes]),
                Column("A", [f"{c.recall_a:.1%}" for c in found.classes]),
                Column("B", [f"{c.recall_b:.1%}" for c in found.classes]),
            ]
        ),
    ]
