"""What an extraction found: W over the candidates, and the winner's terms (no torch).

Above, every trained candidate is a mark at its parameters and its W; below are the three terms of
the winner beside those of the trained candidates that are nearest to it in both sizes, by the
ratios.
"""

import math
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure as Canvas

from ...search.ose import Coefficient, Extraction
from ..palette import DOMINATED, FRONT, FULL, SHAPES, STAR
from .drawing import Picture, canvas, legend, plain

NEIGHBOURS = 6
"""Candidates whose terms are drawn beside the winner's."""

_TERMS = ("share of parameters saved", "share of inference saved", "error")


@dataclass(frozen=True, slots=True)
class CandidateMark:
    """A trained candidate.

    Attributes:
        name: What it is called.
        millions: Its parameters, in millions.
        inference: Its inference cost.
        smaller: The share of the largest parameters that it saves.
        faster: The share of the largest inference cost that it saves.
        error: Its error.
        w: Its W.
    """

    name: str
    millions: float
    inference: float
    smaller: float
    faster: float
    error: float
    w: float

    @property
    def terms(self) -> tuple[float, float, float]:
        """The three terms, in the order in which they are drawn."""
        return self.smaller, self.faster, self.error


@dataclass(frozen=True, slots=True)
class ExtractionFigure(Picture):
    """W over the candidates, and the winner's terms.

    Attributes:
        name: Its name in files and anchors.
        title: The heading.
        caption: How many there were, in a sentence.
        winner: The best candidate.
        others: The other trained ones, best first.
        neighbours: Those nearest to the winner in size, the smallest first, itself among them.
    """

    name: str
    title: str
    caption: str
    winner: CandidateMark
    others: tuple[CandidateMark, ...]
    neighbours: tuple[CandidateMark, ...]

    def drawn(self) -> Canvas:
        """A scatter above, and a bar of each neighbour for each term below."""
        drawing = canvas(height=7.2)
        areas = drawing.subplot_mosaic([["w", "w", "w"], ["0", "1", "2"]], height_ratios=(3, 2))
        axes = plain(areas["w"], title=self.title)
        for label, marks, colour, shape, size in (
            ("candidates", self.others, DOMINATED, SHAPES["circle"], 5),
            ("winner", (self.winner,), FULL, SHAPES[STAR], 13),
        ):
            xs, ys = [mark.millions for mark in marks], [mark.w for mark in marks]
            axes.plot(xs, ys, shape, color=colour, markersize=size, label=label)
        axes.set_xlabel("million parameters")
        axes.set_ylabel("W")
        axes.set_ylim(bottom=0)
        colours = [FULL if mark == self.winner else FRONT for mark in self.neighbours]
        places = range(len(self.neighbours))
        for column, heading in enumerate(_TERMS):
            bars = plain(areas[str(column)])
            bars.barh(places, [mark.terms[column] for mark in self.neighbours], color=colours)
            bars.set_yticks(
                places, [mark.name if column == 0 else "" for mark in self.neighbours], fontsize=8
            )
            bars.grid(axis="y", visible=False)
            bars.set_xlabel(heading, fontsize=9)
        legend(drawing, axes)
        return drawing


def extraction_figure(extraction: Extraction[Any], *, candidates: int) -> ExtractionFigure:
    """What the figure of an extraction shows.

    Args:
        extraction: What was found.
        candidates: Architectures of the whole set.
    """
    marks = [
        _mark(entry)
        for entry in extraction.ranking
        if entry.error is not None and math.isfinite(entry.error) and math.isfinite(entry.value)
    ]
    winner, *others = marks
    near = sorted(others, key=lambda mark: _distance(mark, winner))[:NEIGHBOURS]
    together = sorted([winner, *near], key=lambda mark: (mark.millions, mark.inference))
    return ExtractionFigure(
        name="extraction",
        title=f"{winner.name} has the best W",
        caption=(
            f"{len(marks)} of {candidates} candidates were trained: those that stand for one of "
            f"{len(extraction.blocks)} blocks and are smaller and faster than the largest."
        ),
        winner=winner,
        others=tuple(others),
        neighbours=tuple(together),
    )


def _mark(entry: Coefficient[Any]) -> CandidateMark:
    assert entry.error is not None
    size = entry.point.size
    return CandidateMark(
        name=entry.point.name,
        millions=size.params / 1e6,
        inference=size.inference,
        smaller=entry.smaller,
        faster=entry.faster,
        error=entry.error,
        w=entry.value,
    )


def _distance(mark: CandidateMark, other: CandidateMark) -> float:
    """How far two candidates' sizes are apart, by their ratios."""
    return abs(math.log(mark.millions / other.millions)) + abs(
        math.log(mark.inference / other.inference)
    )
