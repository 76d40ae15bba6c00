"""The figures as PNG and SVG, drawn by matplotlib from the same records as the page's (no torch).

Matplotlib was chosen because plotly's static export starts a browser, which machines that train
models seldom have. Only its Agg and SVG canvases are used, never `pyplot`, so no window system is
looked for and no global state is touched. Equal records give equal bytes.

Left out: anything interactive; the page has it.
"""

import io
import warnings
from collections.abc import Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, NullFormatter

from .figures import FigurePoint, FrontFigure, log_ticks
from .palette import DOMINATED, FRONT, FULL, GRID, INK, MARKS

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


def png_bytes(figure: FrontFigure) -> bytes:
    """Draw a figure as PNG, 1500 pixels wide."""
    with matplotlib.rc_context(STYLE):
        return _saved(_draw(figure), "png")


def svg_bytes(figure: FrontFigure) -> bytes:
    """Draw a figure as SVG, its text as outlines so that it looks the same everywhere."""
    with matplotlib.rc_context(STYLE):
        return _saved(_draw(figure), "svg")


def _saved(drawing: Figure, kind: str) -> bytes:
    buffer = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        drawing.savefig(buffer, format=kind, dpi=200, metadata=metadata)
    return buffer.getvalue()


def _draw(figure: FrontFigure) -> Figure:
    drawing = Figure(figsize=(7.5, 5.2), layout="constrained")
    FigureCanvasAgg(drawing)
    axes = drawing.add_subplot()
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    for mark, name in zip(MARKS, figure.series, strict=False):
        points = [p for p in figure.points if p.series == name]
        axes.plot(
            [p.x for p in points],
            [p.y for p in points],
            linestyle="none",
            marker=mark.matplotlib,
            markerfacecolor="none",
            markeredgecolor=mark.colour,
            markersize=6,
            label=name if points else None,
        )
    xs, ys = zip(*figure.staircase, strict=True)
    axes.plot(xs, ys, color=FRONT, linewidth=1.5, zorder=2.5)
    own = figure.own
    _bars(axes, [p for p in own if not p.on_front and not p.is_full], "o", DOMINATED, "dominated")
    _bars(axes, [p for p in own if p.on_front and not p.is_full], "o", FRONT, "front")
    _bars(axes, [p for p in own if p.is_full], "*", FULL, "full model")
    for place, label in figure.front_labels.items():
        axes.annotate(
            label,
            place,
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            fontsize=9,
            fontweight="bold",
            color=FRONT,
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
            zorder=4,
        )
    _axes(axes, figure)
    handles, labels = axes.get_legend_handles_labels()
    own_first = sorted(
        range(len(labels)), key=lambda i: (i, 0) if labels[i] in figure.series else (-1, -i)
    )
    legend = drawing.legend(
        [handles[i] for i in own_first],
        [labels[i] for i in own_first],
        loc="outside lower center",
        ncols=3,
        frameon=False,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    return drawing


def _bars(axes: Axes, points: Sequence[FigurePoint], marker: str, colour: str, label: str) -> None:
    if points:
        axes.errorbar(
            [p.x for p in points],
            [p.y for p in points],
            xerr=_lengths([(p.x, p.x_low, p.x_high) for p in points]),
            yerr=_lengths([(p.y, p.y_low, p.y_high) for p in points]),
            fmt=marker,
            color=colour,
            markersize=12 if marker == "*" else 6,
            elinewidth=0.9,
            zorder=3,
            label=label,
        )


def _lengths(values: Sequence[tuple[float, float, float]]) -> list[list[float]]:
    return [[x - low for x, low, _ in values], [high - x for x, _, high in values]]


def _axes(axes: Axes, figure: FrontFigure) -> None:
    if figure.log_x:
        axes.set_xscale("log")
        axes.set_xticks(log_ticks(figure))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.tick_params(axis="x", which="minor", bottom=False)
    else:
        axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.set_title(figure.title, loc="left", fontweight="bold", parse_math=False)
    axes.set_xlabel(figure.x_title, parse_math=False)
    axes.set_ylabel(figure.y_title, parse_math=False)
