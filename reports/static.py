"""The figures as PNG and SVG, drawn by matplotlib from the same records as the page's (no torch).

Matplotlib was chosen because plotly's static export starts a browser, which machines that train
models seldom have. Only its Agg and SVG canvases are used, never `pyplot`, so no window system is
looked for and no global state is touched. Equal records give equal bytes.

Left out: anything interactive; the page has it.
"""

import io
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from .figures import PALE, FrontFigure, MarkedPoints, log_ticks, marked_points
from .measurements import (
    DeploymentFigure,
    DistributionFigure,
    Figure,
    HeatMapFigure,
    PredictionFigure,
    RetentionFigure,
    identity_ends,
    losses,
)
from .palette import DOMINATED, FRONT, FULL, GRID, INK, STAR

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


def png_bytes(figure: FrontFigure | Figure) -> bytes:
    """Draw a figure as PNG, 1500 pixels wide."""
    with matplotlib.rc_context(STYLE):
        return _saved(_DRAWERS[type(figure)](figure), "png")


def svg_bytes(figure: FrontFigure | Figure) -> bytes:
    """Draw a figure as SVG, its text as outlines so that it looks the same everywhere."""
    with matplotlib.rc_context(STYLE):
        return _saved(_DRAWERS[type(figure)](figure), "svg")


def _saved(drawing: Canvas, kind: str) -> bytes:
    buffer = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        drawing.savefig(buffer, format=kind, dpi=200, metadata=metadata)
    return buffer.getvalue()


def _canvas() -> Canvas:
    drawing = Canvas(figsize=(7.5, 5.2), layout="constrained")
    FigureCanvasAgg(drawing)
    return drawing


def _plain(axes: Axes) -> Axes:
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def _draw_front(figure: FrontFigure) -> Canvas:
    drawing = _canvas()
    axes = _plain(drawing.add_subplot())
    marked = marked_points(figure)
    for entry in marked:
        _bars(axes, entry)
    xs, ys = zip(*figure.staircase, strict=True)
    axes.plot(xs, ys, color=figure.front_colour, linewidth=1.5, zorder=2.5)
    for place, label in figure.front_labels.items():
        axes.annotate(
            label,
            place,
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            fontsize=9,
            fontweight="bold",
            color=figure.front_colour,
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
            zorder=4,
        )
    _axes(axes, figure)
    handles, labels = axes.get_legend_handles_labels()
    ranks = {entry.name: entry.rank for entry in marked}
    ranked = sorted(range(len(labels)), key=lambda place: ranks[labels[place]])
    legend = drawing.legend(
        [handles[place] for place in ranked],
        [labels[place] for place in ranked],
        loc="outside lower center",
        ncols=3,
        frameon=False,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    return drawing


def _bars(axes: Axes, entry: MarkedPoints) -> None:
    points, mark = entry.points, entry.mark
    axes.errorbar(
        [p.x for p in points],
        [p.y for p in points],
        xerr=_lengths([(p.x, p.x_low, p.x_high) for p in points]),
        yerr=_lengths([(p.y, p.y_low, p.y_high) for p in points]),
        fmt=mark.matplotlib,
        color=mark.colour,
        markerfacecolor=mark.colour if entry.filled else "none",
        markeredgecolor=INK if entry.ringed else mark.colour,
        markersize=12 if mark.matplotlib == STAR[1] else 6,
        elinewidth=0.9,
        alpha=PALE if entry.pale else None,
        zorder=3,
        label=entry.name or None,
    )


def _lengths(values: Sequence[tuple[float, float, float]]) -> list[list[float]]:
    below = [max(0.0, x - low) for x, low, _ in values]
    return [below, [max(0.0, high - x) for x, _, high in values]]


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


def _draw_distribution(figure: DistributionFigure) -> Canvas:
    drawing = _canvas()
    left, right = map(_plain, drawing.subplots(1, 2, width_ratios=(2, 1)))
    places = range(len(figure.networks))
    left.boxplot(
        [entry.times_ms for entry in figure.networks],
        positions=list(places),
        orientation="horizontal",
        flierprops={"marker": ".", "markersize": 2, "markeredgecolor": FRONT},
        medianprops={"color": FRONT},
        tick_labels=[entry.label for entry in figure.networks],
    )
    for place, entry in zip(places, figure.networks, strict=True):
        discarded = entry.discarded_ms
        left.plot(discarded, [place] * len(discarded), "x", color=FULL, markersize=3)
    left.set_xscale("log")
    left.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    left.xaxis.set_minor_formatter(NullFormatter())
    left.set_xlabel(figure.x_title, parse_math=False, fontsize=8)
    left.tick_params(axis="y", labelsize=7)
    right.plot(
        [index for index, _ in figure.drift],
        [100 * change for _, change in figure.drift],
        "o",
        color=FRONT,
        markersize=4,
    )
    right.set_xlabel("round")
    right.set_ylabel("full model, % from its median")
    left.set_title(figure.title, loc="left", fontweight="bold")
    return drawing


def _draw_heat_map(figure: HeatMapFigure) -> Canvas:
    drawing = _canvas()
    axes = drawing.add_subplot()
    values = [[value or 0.0 for value in row] for row in figure.speedups]
    axes.imshow(values, cmap="Blues", aspect="auto", vmin=0)
    most = max(map(max, values))
    for i, row in enumerate(figure.texts):
        for j, text in enumerate(row):
            colour = "white" if values[i][j] > 0.6 * most else INK
            axes.text(j, i, text, ha="center", va="center", color=colour, fontsize=9)
    axes.set_xticks(range(len(figure.widths)), [f"{width:g}" for width in figure.widths])
    axes.set_yticks(range(len(figure.layers)), figure.layers)
    axes.set_xlabel("width multiplier")
    axes.set_ylabel("layers")
    axes.set_title(figure.title, loc="left", fontweight="bold")
    return drawing


def _draw_prediction(figure: PredictionFigure) -> Canvas:
    drawing = _canvas()
    axes = _plain(drawing.add_subplot())
    ends = identity_ends(figure)
    low, high = ([end * (1 + sign * figure.noise_floor) for end in ends] for sign in (-1, 1))
    axes.fill_between(ends, low, high, color=DOMINATED, alpha=0.3, label="noise floor")
    axes.plot(ends, ends, color=DOMINATED, linewidth=1)
    axes.errorbar(
        figure.measured_ms,
        figure.predicted_ms,
        xerr=_lengths(list(zip(figure.measured_ms, figure.low_ms, figure.high_ms, strict=True))),
        fmt="o",
        color=FRONT,
        markersize=5,
        elinewidth=0.9,
    )
    axes.set_xlabel(f"measured, {figure.axis_title}", parse_math=False)
    axes.set_ylabel("predicted, ms per batch")
    axes.set_title(figure.title, loc="left", fontweight="bold")
    axes.legend(frameon=False)
    return drawing


def _draw_deployments(figure: DeploymentFigure) -> Canvas:
    drawing = _canvas()
    left, right = drawing.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    bars, places = figure.bars, list(range(len(figure.bars)))
    times = [(bar.latency_ms, bar.low_ms, bar.high_ms) for bar in bars]
    _plain(left).barh(places, [bar.latency_ms for bar in bars], xerr=_lengths(times), color=FRONT)
    left.set_yticks(places, [bar.label for bar in bars])
    left.invert_yaxis()
    left.set_xlabel(figure.x_title, parse_math=False, fontsize=8)
    values, lows, highs = losses(figure)
    scored = [place for place, bar in zip(places, bars, strict=True) if bar.loss is not None]
    _plain(right).errorbar(
        values,
        scored,
        xerr=_lengths(list(zip(values, lows, highs, strict=True))),
        fmt="o",
        color=FULL,
        elinewidth=0.9,
    )
    right.axvline(0, color=DOMINATED, linewidth=1)
    right.xaxis.set_major_locator(MaxNLocator(4))
    right.set_xlabel("score lost against fp32")
    left.set_title(figure.title, loc="left", fontweight="bold")
    return drawing


def _draw_retention(figure: RetentionFigure) -> Canvas:
    drawing = _canvas()
    axes = _plain(drawing.add_subplot())
    for label, shares, colour, shift in (
        ("attention", figure.attending, FRONT, -0.2),
        ("feed-forward", figure.fed, FULL, 0.2),
    ):
        places = [layer + shift for layer in figure.layers]
        axes.bar(places, shares, width=0.4, color=colour, label=label)
    axes.set_xticks(figure.layers)
    axes.set_ylim(0, 100)
    axes.set_xlabel("layer")
    axes.set_ylabel("word-vectors, %")
    axes.set_title(figure.title, loc="left", fontweight="bold", parse_math=False)
    axes.legend(frameon=False)
    return drawing


_DRAWERS: dict[type, Callable[[Any], Canvas]] = {
    RetentionFigure: _draw_retention,
    FrontFigure: _draw_front,
    DistributionFigure: _draw_distribution,
    HeatMapFigure: _draw_heat_map,
    PredictionFigure: _draw_prediction,
    DeploymentFigure: _draw_deployments,
}
