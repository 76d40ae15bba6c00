"""Colours and marks of every figure (no torch).

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

QUIET = "#666666"
"""Remarks."""

GRID = "#E4E4E4"
"""Grid lines."""


@dataclass(frozen=True, slots=True)
class Mark:
    """How one series looks.

    Attributes:
        colour: The mark's colour, as a hexadecimal colour.
        shape: One of `SHAPES`.
    """

    colour: str
    shape: str


MARKS = (
    Mark("#009E73", "diamond"),
    Mark("#CC79A7", "square"),
    Mark("#E69F00", "triangle-up"),
    Mark("#56B4E9", "triangle-down"),
    Mark("#000000", "pentagon"),
    Mark("#7A6A4F", "hexagon"),
)
"""Series of models beside the sub-networks, in order; there are never more than these."""

DEPLOYED = (
    Mark(FRONT, "circle"),
    Mark(FULL, "square"),
    Mark("#009E73", "diamond"),
    Mark("#CC79A7", "triangle-up"),
    Mark("#E69F00", "triangle-down"),
    Mark("#56B4E9", "pentagon"),
    Mark("#000000", "hexagon"),
    Mark("#7A6A4F", "triangle-left"),
    Mark("#8C6BB1", "triangle-right"),
)
"""Deployments in one figure, in order; as many as there are on one device."""

STAR = "star"
"""The full model's shape."""

SHAPES = {
    "circle": "o",
    "square": "s",
    "diamond": "D",
    "triangle-up": "^",
    "triangle-down": "v",
    "triangle-left": "<",
    "triangle-right": ">",
    "pentagon": "p",
    "hexagon": "h",
    "star": "*",
}
"""Every shape, as the page calls it and as matplotlib does."""
