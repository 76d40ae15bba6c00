"""The figure of an extraction: W over the candidates, and the winner's terms (no torch).

`extraction_figure` computes a record of plain numbers, `extraction_html` draws it as a page of its
own that needs no network. Above, every trained candidate is a mark at its parameters and its W;
below are the three terms of the winner beside those of the trained candidates that are nearest to
it in both sizes, by the ratios.
"""

import math
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ..search.ose import Coefficient, Extraction
from .palette import DOMINATED, FRONT, FULL, GRID, INK, STAR
from .shared import plotly_text

NEIGHBOURS = 6
"""Candidates whose terms are drawn beside the winner's."""

_TERMS = ("parameters saved, share", "inference saved, share", "error")


@dataclass(frozen=True, slots=True)
class CandidateMark:
    """A trained candidate.

    Attributes:
        name: What it is called.
        millions: Its parameters, in millions.
        inference: Its inference cost, in the figure's unit.
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
class ExtractionFigure:
    """Everything that the figure shows.

    Attributes:
        winner: The best candidate.
        others: The other trained ones, best first.
        neighbours: Those nearest to the winner in size, the smallest first, itself among them.
        unit: What inference costs are.
        caption: How many there were, in a sentence.
    """

    winner: CandidateMark
    others: tuple[CandidateMark, ...]
    neighbours: tuple[CandidateMark, ...]
    unit: str
    caption: str


def extraction_figure(
    extraction: Extraction[Any], *, candidates: int, inference: str
) -> ExtractionFigure:
    """What the figure of an extraction shows.

    Args:
        extraction: What was found.
        candidates: Architectures of the whole set.
        inference: The unit of the inference costs.
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
        winner,
        tuple(others),
        tuple(together),
        inference,
        f"{len(marks)} of {candidates} candidates were trained: those that stand for one of "
        f"{len(extraction.blocks)} blocks and are smaller and faster than the largest.",
    )


def extraction_html(figure: ExtractionFigure) -> str:
    """The figure as a page of its own."""
    html: str = extraction_drawing(figure).to_html(include_plotlyjs=True, full_html=True)
    return html


def extraction_drawing(figure: ExtractionFigure) -> go.Figure:
    """Draw the record with plotly."""
    drawing = make_subplots(
        rows=2,
        cols=3,
        specs=[[{"colspan": 3}, None, None], [{}, {}, {}]],
        row_heights=[0.6, 0.4],
        vertical_spacing=0.2,
        subplot_titles=("", *_TERMS),
    )
    for name, marks, look in (
        ("candidates", figure.others, {"color": DOMINATED, "size": 8}),
        ("winner", (figure.winner,), {"color": FULL, "size": 15, "symbol": STAR}),
    ):
        drawing.add_trace(
            go.Scatter(
                x=[mark.millions for mark in marks],
                y=[mark.w for mark in marks],
                customdata=[[mark.name, mark.inference, mark.error] for mark in marks],
                hovertemplate="%{customdata[0]}<br>%{x:.4g} M parameters, %{customdata[1]:.4g} "
                f"{plotly_text(figure.unit)}<br>error %{{customdata[2]:.4g}}, W %{{y:.4g}}"
                "<extra></extra>",
                mode="markers",
                marker=look,
                name=name,
            ),
            row=1,
            col=1,
        )
    for column, title in enumerate(_TERMS, start=1):
        drawing.add_trace(
            go.Bar(
                x=[mark.name for mark in figure.neighbours],
                y=[mark.terms[column - 1] for mark in figure.neighbours],
                marker={
                    "color": [
                        FULL if mark == figure.winner else FRONT for mark in figure.neighbours
                    ]
                },
                name=title,
                showlegend=False,
            ),
            row=2,
            col=column,
        )
    drawing.update_xaxes(title_text="million parameters", row=1, col=1)
    drawing.update_yaxes(title_text="W", row=1, col=1)
    drawing.update_xaxes(gridcolor=GRID, linecolor=INK)
    drawing.update_yaxes(gridcolor=GRID, linecolor=INK, rangemode="tozero")
    drawing.update_layout(
        title={
            "text": f"{plotly_text(figure.winner.name)} has the best W"
            f"<br><sub>{plotly_text(figure.caption)}</sub>"
        },
        font={"color": INK, "size": 13},
        paper_bgcolor="white",
        plot_bgcolor="white",
        height=820,
        margin={"b": 150},
    )
    return drawing


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
