"""How a search approached its front: hypervolume against networks scored (no torch)."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure as Canvas

from ...search.candidate import Candidate
from ...search.front import ParetoFront, reference_beyond
from ...search.quantities import QUANTITIES
from ..palette import DOMINATED, FRONT
from .drawing import Picture, canvas, legend, plain

COST = "num_flops"
"""The cost that is known of every network, measured or not."""

OBJECTIVES = ("score", COST)


@dataclass(frozen=True, slots=True)
class ProgressFigure(Picture):
    """How a search approached its front.

    Attributes:
        name: Its name in files and anchors.
        title: The heading.
        caption: What is shown, in sentences.
        shares: After each scored network, in order, the share of all networks' hypervolume.
        landmarks: The share that the landmarks of the space have by themselves.
    """

    name: str
    title: str
    caption: str
    shares: tuple[float, ...]
    landmarks: float

    def drawn(self) -> Canvas:
        """A staircase, and the landmarks as a line to beat."""
        drawing = canvas(height=4.2)
        axes = plain(drawing.add_subplot(), title=self.title)
        scored = range(1, 1 + len(self.shares))
        axes.step(scored, self.shares, where="post", color=FRONT, label="all scored so far")
        axes.axhline(
            self.landmarks, color=DOMINATED, linestyle="--", label="landmarks by themselves"
        )
        axes.set_xlim(1, len(self.shares))
        axes.set_ylim(min(self.shares[0], self.landmarks) - 0.02, 1.02)
        axes.set_xlabel("networks scored")
        axes.set_ylabel("share of the hypervolume")
        legend(drawing, axes)
        return drawing


def progress_figure(scored: Sequence[Candidate], *, landmarks: set[str]) -> ProgressFigure:
    """Gather the progress of a search.

    Args:
        scored: Every network in the order in which they were scored.
        landmarks: The ids of those that the space lists by itself.
    """
    reference = reference_beyond(scored, OBJECTIVES)
    volumes: list[float] = []
    members: tuple[Candidate, ...] = ()
    for candidate in scored:
        front = ParetoFront.of([*members, candidate], OBJECTIVES)
        members = front.members
        volumes.append(front.hypervolume(reference).value)
    own = ParetoFront.of([c for c in scored if c.network.id in landmarks], OBJECTIVES)
    share = own.hypervolume(reference).value / volumes[-1]
    word = QUANTITIES[COST].word
    return ProgressFigure(
        name="progress",
        title="How the search approached its front",
        caption=(
            f"The hypervolume of score and {word} on the search split after each of "
            f"{len(scored)} networks in the order in which they were scored, as a share of what "
            f"all of them have; the {len(landmarks)} landmarks of the space alone have "
            f"{share:.3f}. The scores are those by which the search chose."
        ),
        shares=tuple(value / volumes[-1] for value in volumes),
        landmarks=share,
    )
