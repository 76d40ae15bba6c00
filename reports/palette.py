"""Colours and marks that the two drawing back ends share (no torch).

The colours are those of Okabe and Ito (2008), which stay apart for colour-blind readers; every
series also has a mark of its own, so that the figures survive a black-and-white printer.
"""

from dataclasses import dataclass

FRONT = "#0072B2"
"""Sub-networks on the front, and the front itself."""

DOMINATED = "#8A8A8A"
"""Sub-networks that another one beats on both axes."""

FULL = "#D55E00"
"""The full model."""

INK = "#222222"
"""Axes and text."""

GRID = "#E4E4E4"
"""Grid lines."""


@dataclass(frozen=True, slots=True)
class Mark:
    """How one series looks in both back ends.

    Attributes:
        colour: The mark's colour, as a hexadecimal colour.
        plotly: The mark's name in plotly when it is filled.
        matplotlib: The same mark's code in matplotlib.
    """

    colour: str
    plotly: str
    matplotlib: str


MARKS = (
    Mark("#009E73", "diamond", "D"),
    Mark("#CC79A7", "square", "s"),
    Mark("#E69F00", "triangle-up", "^"),
    Mark("#56B4E9", "triangle-down", "v"),
    Mark("#000000", "pentagon", "p"),
    Mark("#7A6A4F", "hexagon", "h"),
)
"""Series of models beside the sub-networks, in order; there are never more than these."""

DEPLOYED = (
    Mark(FRONT, "circle", "o"),
    Mark(FULL, "square", "s"),
    Mark("#009E73", "diamond", "D"),
    Mark("#CC79A7", "triangle-up", "^"),
    Mark("#E69F00", "triangle-down", "v"),
    Mark("#56B4E9", "pentagon", "p"),
    Mark("#000000", "hexagon", "h"),
    Mark("#7A6A4F", "triangle-left", "<"),
    Mark("#8C6BB1", "triangle-right", ">"),
)
"""Deployments in one figure, in order; as many as there are on one device."""

STAR = ("star", "*")
"""The full model's mark in plotly and in matplotlib."""
