"""Scores of the same networks at several fidelities, as parallel lines (no torch)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from matplotlib.figure import Figure as Canvas

from ...search.halving import kendall
from ..palette import DOMINATED, FRONT, QUIET
from .drawing import Picture, canvas, plain


@dataclass(frozen=True, slots=True)
class FidelitiesFigure(Picture):
    """Scores of networks at several fidelities.

    Attributes:
        name: Its name in files and anchors.
        title: The heading.
        caption: What is shown, in sentences.
        fidelities: The cheapest first.
        scores: By network one for each fidelity, None where it was not scored.
        agreements: Of each two neighbouring fidelities Kendall's rank correlation, None where too
            few networks have both, and how many have both.
        axis_title: What the score is.
    """

    name: str
    title: str
    caption: str
    fidelities: tuple[str, ...]
    scores: Mapping[str, tuple[float | None, ...]]
    agreements: tuple[tuple[float | None, int], ...]
    axis_title: str

    def drawn(self) -> Canvas:
        """A line for each network, those that reach the last fidelity in colour."""
        drawing = canvas(height=4.6)
        axes = plain(drawing.add_subplot(), title=self.title)
        for scores in sorted(self.scores.values(), key=lambda entry: entry[-1] is not None):
            known = [(place, score) for place, score in enumerate(scores) if score is not None]
            arrived = scores[-1] is not None
            axes.plot(
                *zip(*known, strict=True),
                color=FRONT if arrived else DOMINATED,
                alpha=0.9 if arrived else 0.5,
                linewidth=1.3,
                marker="o",
                markersize=4,
            )
        for place, (tau, number) in enumerate(self.agreements):
            said = "too few to rank" if tau is None else f"Kendall tau {tau:+.2f}"
            axes.annotate(
                f"{said}\n{number} networks",
                (place + 0.5, 1.0),
                xycoords=("data", "axes fraction"),
                ha="center",
                va="top",
                fontsize=9,
                color=QUIET,
            )
        low, high = axes.get_ylim()
        axes.set_ylim(low, high + 0.18 * (high - low))
        axes.set_xlim(-0.2, len(self.fidelities) - 0.8)
        axes.set_xticks(range(len(self.fidelities)), labels=list(self.fidelities))
        axes.set_ylabel(self.axis_title, parse_math=False)
        return drawing


def fidelities_figure(
    scores: Mapping[str, Mapping[str, float]], *, fidelities: Sequence[str], metric: str
) -> FidelitiesFigure:
    """Gather the scores of networks at several fidelities.

    Args:
        scores: By network the scores by fidelity.
        fidelities: The cheapest first.
        metric: What a score is.
    """
    agreements = []
    for cheap, dear in pairwise(fidelities):
        both = [(own[cheap], own[dear]) for own in scores.values() if {cheap, dear} <= own.keys()]
        agreements.append((kendall(both), len(both)))
    return FidelitiesFigure(
        name="fidelities",
        title="Whether a cheap score ranks as a dear one does",
        caption=(
            f"{metric.capitalize()} on the search split of each network that was scored at more "
            "than one fidelity: with the weights that the run gives it, and after distillation "
            "of its own. Those that reach the last fidelity are in colour. Between two fidelities "
            "stands the rank correlation of the networks that have both; networks that were let "
            "through for their first score lower it."
        ),
        fidelities=tuple(fidelities),
        scores={
            network: tuple(own.get(fidelity) for fidelity in fidelities)
            for network, own in scores.items()
        },
        agreements=tuple(agreements),
        axis_title=f"{metric}, search split",
    )
