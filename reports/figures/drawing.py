"""How every figure is drawn: one style, as PNG and SVG, by matplotlib (no torch).

A figure is a record of plain numbers and words, which tests compare, and which draws itself. Only
matplotlib's Agg and SVG canvases are used, never `pyplot`, so no window system is looked for and
no global state is touched. Equal records give equal bytes.

Left out: anything interactive; the page has it, and `interactive` for notebooks.
"""

import io
import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, NullFormatter
from matplotlib.transforms import Bbox

from ... import storage
from ..palette import GRID, INK, QUIET

STYLE: dict[Any, Any] = {
    "svg.hashsalt": "paretobert",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}

LOG_FROM = 5.0
"""Values that span more than this factor get a logarithmic axis."""

_BESIDE = 2.0
"""Points between two labels, and between a label and its mark."""


class Picture(ABC):
    """A figure's record.

    Attributes:
        name: Its name in files and anchors.
        title: The heading.
        caption: What is shown, in sentences.
    """

    __slots__ = ()

    name: str
    title: str
    caption: str

    @abstractmethod
    def drawn(self) -> Canvas:
        """The drawing."""

    def png(self) -> bytes:
        """As PNG, 1500 pixels wide or as wide as it is drawn."""
        return self.files("png")["png"]

    def svg(self) -> bytes:
        """As SVG, its text as outlines so that it looks the same everywhere."""
        return self.files("svg")["svg"]

    def files(self, *kinds: str) -> dict[str, bytes]:
        """Its files by kind, "png" or "svg"; it is drawn and laid out once, whatever is asked."""
        with matplotlib.rc_context(STYLE), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            drawing = self.drawn()
            lay_out(drawing)
            drawing.set_layout_engine("none")
            return {kind: _saved(drawing, kind) for kind in kinds}

    def save(self, path: Path | str) -> None:
        """Write it, as PNG or as SVG by the name's ending."""
        path = Path(path)
        storage.write_bytes(path, self.svg() if path.suffix == ".svg" else self.png())

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return asdict(self)  # type: ignore[call-overload, no-any-return]

    def _repr_png_(self) -> bytes:
        """What a notebook shows."""
        return self.png()


def _saved(drawing: Canvas, kind: str) -> bytes:
    buffer = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else {}
    drawing.savefig(buffer, format=kind, dpi=200, metadata=metadata)
    return buffer.getvalue()


def save(drawing: Callable[[], Canvas], path: Path) -> None:
    """Draw in the common style and write it as PNG."""
    with matplotlib.rc_context(STYLE):
        drawing().savefig(path, dpi=200)


def canvas(*, width: float = 7.5, height: float = 5.2) -> Canvas:
    """An empty drawing, in inches."""
    drawing = Canvas(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(drawing)
    return drawing


def lay_out(drawing: Canvas) -> None:
    """Place the axes of a drawing, as saving it would do first."""
    engine = drawing.get_layout_engine()
    assert engine is not None
    engine.execute(drawing)


def plain(axes: Axes, *, title: str = "") -> Axes:
    """Axes with a light grid and without a frame."""
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title, loc="left", fontweight="bold", parse_math=False)
    return axes


def lengths(values: Sequence[tuple[float, float, float]]) -> list[list[float]]:
    """Values with the ends of their intervals, as matplotlib takes error bars."""
    below = [max(0.0, x - low) for x, low, _ in values]
    return [below, [max(0.0, high - x) for x, _, high in values]]


def round_numbers(low: float, high: float) -> list[float]:
    """Round numbers for a logarithmic axis, within what is shown or just outside.

    Those of 1, 2 and 5 times a power of ten; 1.5, 3 and 7 too when the values span less than 30.
    """
    low, high = low / 1.1, high * 1.1
    mantissas = (1, 1.5, 2, 3, 5, 7) if high < 30 * low else (1, 2, 5)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [float(f"{mantissa}e{decade}") for decade in decades for mantissa in mantissas]
    return [tick for tick in ticks if low <= tick <= high]


def log_axis(axis: Axis, low: float, high: float) -> None:
    """Make an axis logarithmic, with round numbers for ticks."""
    axis._set_axes_scale("log")  # type: ignore[attr-defined]
    axis.set_ticks(round_numbers(low, high))
    axis.set_minor_formatter(NullFormatter())
    axis.set_tick_params(which="minor", length=0)
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))


def legend(drawing: Canvas, axes: Axes, *, ranks: Mapping[str, int] | None = None) -> None:
    """Name the marks below the drawing, by rank."""
    handles, labels = axes.get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda place: (ranks or {}).get(labels[place], place))
    found = drawing.legend(
        [handles[place] for place in order],
        [labels[place] for place in order],
        loc="outside lower center",
        ncols=3,
        frameon=False,
    )
    for text in found.get_texts():
        text.set_parse_math(False)


def name_points(
    axes: Axes,
    labels: Mapping[tuple[float, float], str],
    *,
    bars: Sequence[tuple[float, float, float]],
    colour: str,
) -> None:
    """Write labels above points, each higher where another stands, and beside a bar.

    Call it when the limits of the axes are final.

    Args:
        axes: The axes.
        labels: By the point that each stands above.
        bars: The place and both ends of every vertical bar; a label may stand on its own.
        colour: Of the text.
    """
    taken: list[Bbox] = []
    drawing = axes.figure
    assert isinstance(drawing, Canvas)
    lay_out(drawing)
    renderer = drawing.canvas.get_renderer()  # type: ignore[attr-defined]
    lines = {
        (x, high): Bbox(axes.transData.transform([(x, low), (x, high)])).padded(0.5)
        for x, low, high in bars
    }
    for place, label in sorted(labels.items()):
        text = axes.annotate(
            label,
            place,
            xytext=(0, _BESIDE),
            textcoords="offset points",
            ha="center",
            fontsize=9,
            fontweight="bold",
            color=colour,
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
            parse_math=False,
            zorder=4,
        )
        aside, offset = 0.0, _BESIDE
        box = text.get_window_extent(renderer)
        if any(box.overlaps(line) for top, line in lines.items() if top != place):
            aside = 2 * _BESIDE
            text.set_horizontalalignment("left")
            text.xyann = (aside, offset)
            box = text.get_window_extent(renderer)
        while any(box.overlaps(other) for other in taken):
            offset += _BESIDE
            text.xyann = (aside, offset)
            box = text.get_window_extent(renderer)
        taken.append(box.padded(_BESIDE))


class Placed(Protocol):
    """What stands somewhere in a figure."""

    @property
    def x(self) -> float:
        """Its cost."""

    @property
    def y(self) -> float:
        """Its score."""


def within(axes: Axes, point: Placed) -> bool:
    """Whether a point lies within the axes' limits."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    return left <= point.x <= right and bottom <= point.y <= top


def point_outside(axes: Axes, points: Sequence[Placed], *, what: str) -> None:
    """Say at the edge how many points the axes do not reach, and how far these go, with an arrow.

    Args:
        axes: The axes, their limits final.
        points: Some points.
        what: What they are.
    """
    beyond = [point for point in points if not within(axes, point)]
    if not beyond:
        return
    farthest = max(beyond, key=lambda point: point.x)
    axes.annotate(
        f"{len(beyond)} {what}, up to {farthest.y:.3g} at {farthest.x:.3g} \u2192",
        (1, 1.01),
        xycoords="axes fraction",
        ha="right",
        va="bottom",
        fontsize=8,
        color=QUIET,
    )
