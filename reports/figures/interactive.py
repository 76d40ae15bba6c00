"""A front in Plotly, for notebooks and dashboards: zoom, hover, and whatever else one adds to it.

It shows the record that `front` draws, with the same marks. Hovering names a network, its number,
score and cost with their intervals. Plotly is loaded when a figure is asked for.
"""

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from ..palette import DOMINATED, GRID, INK
from .front import PALE, FigurePoint, FrontFigure, MarkedPoints, marked_points

if TYPE_CHECKING:
    from plotly.graph_objects import Figure, Scatter


def interactive(figure: FrontFigure) -> "Figure":
    """The figure in Plotly.

    Args:
        figure: The record; published numbers that lie beyond what was run are not left out.
    """
    from plotly import graph_objects

    drawn = graph_objects.Figure([_marks(entry) for entry in marked_points(figure)])
    if figure.staircase:
        xs, ys = zip(*figure.staircase, strict=True)
        drawn.add_scatter(
            x=xs,
            y=ys,
            mode="lines",
            line={"color": figure.front_colour, "width": 1.5},
            hoverinfo="skip",
            showlegend=False,
        )
    axis = {"gridcolor": GRID, "linecolor": INK, "zeroline": False}
    drawn.update_layout(
        title=escape(figure.title),
        font_color=INK,
        plot_bgcolor="white",
        xaxis=axis
        | {
            "title": escape(figure.x_title).replace("\n", "<br>"),
            "type": "log" if figure.log_x else "linear",
        },
        yaxis=axis | {"title": escape(figure.y_title)},
    )
    return drawn


def _marks(entry: MarkedPoints) -> "Scatter":
    from plotly import graph_objects

    points, mark = entry.points, entry.mark
    quiet = entry.pale or mark.colour == DOMINATED
    return graph_objects.Scatter(
        x=[point.x for point in points],
        y=[point.y for point in points],
        mode="markers",
        name=escape(entry.name),
        showlegend=bool(entry.name),
        opacity=PALE if entry.pale else 1.0,
        marker={
            "symbol": mark.shape if entry.filled else f"{mark.shape}-open",
            "color": mark.colour,
            "size": 1.5 * entry.size,
            "line": {"color": INK, "width": 1 if entry.ringed else 0},
        },
        error_x=_bars([(p.x, p.x_low, p.x_high) for p in points], shown=not quiet),
        error_y=_bars([(p.y, p.y_low, p.y_high) for p in points], shown=not quiet),
        text=[_hovered(point) for point in points],
        hoverinfo="text",
    )


def _bars(intervals: Sequence[tuple[float, float, float]], *, shown: bool) -> dict[str, object]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [high - value for value, _, high in intervals],
        "arrayminus": [value - low for value, low, _ in intervals],
        "thickness": 0.9,
        "width": 0,
        "visible": shown,
    }


def _hovered(point: FigurePoint) -> str:
    """What hovering says, in lines."""
    number = "" if point.number is None else f"{point.number}: "
    lines = [f"{number}{point.label}", point.deployment, point.source]
    for value, low, high in (
        (point.y, point.y_low, point.y_high),
        (point.x, point.x_low, point.x_high),
    ):
        ends = f" [{low:.4g}, {high:.4g}]" if low < high else ""
        lines.append(f"{value:.4g}{ends}")
    return "<br>".join(escape(line) for line in lines if line)
