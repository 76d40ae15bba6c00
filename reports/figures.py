"""The figures: score against each cost, computed as records and then drawn with plotly (no torch).

`front_figure` turns candidates into a `FrontFigure`, plain numbers and words that tests compare;
`plotly_figure` draws the record for the page and `reports.static` draws the same record as PNG
and SVG. The front is a staircase: between two of its networks nothing is promised, so nothing is
interpolated, and no convex hull hides a network that no other one beats.

Networks that methods made beside the supernet take part in the front; each method has a filled
mark of its own. Where several deployments run the networks, one front is drawn over all networks
as deployed, and each deployment has a mark of its own.

Published numbers are marks beside the networks. They never take part in the front, because they
were not run here, and never carry a latency, because it was another machine's.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise, product
from typing import Any, cast

import plotly.graph_objects as go

from ..intervals import bracketed
from ..search.candidate import Candidate, StatedScore
from ..search.front import ParetoFront
from ..search.quantities import QUANTITIES
from ..tasks.metrics import Evaluation
from . import shared
from .palette import DEPLOYED, DOMINATED, FRONT, FULL, GRID, INK, MARKS, STAR, Mark
from .shared import plotly_lines, plotly_text

LOG_FROM = 5.0
"""Costs that span more than this factor get a logarithmic axis."""

PALE = 0.35
"""Opacity of what is beaten, where colours tell deployments."""

SERIES_FROM = 3
"""Published models with this many points of one name form a series of their own."""

_INTERVALS = {
    "accuracy": "Wilson's score interval",
    "f1": "bootstrap percentiles",
    "macro_f1": "bootstrap percentiles",
    "matthews": "bootstrap percentiles",
    "pearson": "Fisher's z",
    "spearman": "Fisher's z",
}

_SCALES = {"latency_ms": 1.0, "num_params": 1e6, "num_flops": 1e9}

_X_TITLES = {
    "latency_ms": "median latency, ms per run",
    "num_params": "million parameters, embeddings included",
    "num_flops": "GFLOPs of one example (2 per multiply-add)",
}


@dataclass(frozen=True, slots=True)
class FigurePoint:
    """One mark of a figure.

    Attributes:
        label: What it is.
        origin: "supernet", "stored" or "published".
        is_full: Whether it is the full model.
        number: The network's number; None for published ones.
        on_front: Whether it is a network that no other one beats on the judging split.
        x: The cost, in the figure's unit.
        x_low: Lower end of the cost's interval; equal to `x` when the cost is exact.
        x_high: Upper end of the cost's interval.
        y: The score as a fraction.
        y_low: Lower end of the score's interval; equal to `y` when none is known.
        y_high: Upper end of the score's interval.
        deployment: Runtime and precision where the figure has several; else empty.
        series: The series it is drawn with; empty for sub-networks and where deployments differ.
        source: Where a published number comes from.
    """

    label: str
    origin: str
    is_full: bool
    number: int | None
    on_front: bool
    x: float
    x_low: float
    x_high: float
    y: float
    y_low: float
    y_high: float
    deployment: str
    series: str
    source: str


@dataclass(frozen=True, slots=True)
class MarkedPoints:
    """Marks of a figure that look alike, for both drawing back ends.

    Attributes:
        points: The marks.
        mark: Colour and shape.
        size: In pixels of the page.
        filled: Whether they are filled.
        pale: Whether they stand back.
        ringed: Whether they have a dark outline.
        name: What the legend calls them; empty where it does not name them.
        rank: Their place in the legend; larger ones are drawn first.
    """

    points: tuple[FigurePoint, ...]
    mark: Mark
    size: int
    filled: bool
    pale: bool
    ringed: bool
    name: str
    rank: int


@dataclass(frozen=True, slots=True)
class FrontFigure:
    """Everything that a figure shows.

    Attributes:
        quantity: The cost's name in `QUANTITIES`.
        title: The heading.
        x_title: The cost and its unit; on a second line the conditions it holds under.
        y_title: The metric, the split and its number of examples.
        log_x: Whether the cost axis is logarithmic.
        points: The marks, in the candidates' order.
        series: Names of the series of other models, in the order of `MARKS`; the same in every
            figure of one list of candidates, so that a model has one mark throughout.
        deployments: Runtimes and precisions in the order of `DEPLOYED`; empty where there is one.
        staircase: Corners of the front, from its cheapest network to the dearest one shown.
        caption: What the intervals are and what is not comparable, in sentences.
    """

    quantity: str
    title: str
    x_title: str
    y_title: str
    log_x: bool
    points: tuple[FigurePoint, ...]
    series: tuple[str, ...]
    deployments: tuple[str, ...]
    staircase: tuple[tuple[float, float], ...]
    caption: str

    @property
    def name(self) -> str:
        """The cost as a word for files and anchors, e.g. "latency"."""
        return QUANTITIES[self.quantity].word

    @property
    def own(self) -> tuple[FigurePoint, ...]:
        """The marks of what was run here."""
        return tuple(point for point in self.points if point.origin != "published")

    @property
    def sub_networks(self) -> tuple[FigurePoint, ...]:
        """The marks of what was cut from the supernet."""
        return tuple(point for point in self.points if point.origin == "supernet")

    @property
    def front_colour(self) -> str:
        """Of the staircase and of the numbers; where there are deployments, none of theirs."""
        return INK if self.deployments else FRONT

    def is_filled(self, series: str) -> bool:
        """Whether the marks of a series are filled: all of them were run here."""
        return all(point.origin != "published" for point in self.points if point.series == series)

    @property
    def front_labels(self) -> dict[tuple[float, float], str]:
        """The front's numbers by where they stand, above the bars; equal points share a place."""
        labels: dict[tuple[float, float], str] = {}
        for point in self.own:
            if point.on_front:
                place = point.x, point.y_high
                labels[place] = ", ".join(filter(None, (labels.get(place), str(point.number))))
        return labels

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return asdict(self)


def front_figure(
    candidates: Sequence[Candidate],
    quantity: str,
    *,
    judged: Sequence[Candidate],
    numbers: Mapping[str, int],
    conditions: str,
) -> FrontFigure | None:
    """Compute what the figure of scores against one cost shows.

    Args:
        candidates: Networks scored on one split, and published numbers.
        quantity: A cost of `shared.COSTS`.
        judged: The same networks with the scores that decide which of them are on the front:
            those of the search split, whatever split is shown.
        numbers: The networks' numbers by their ids.
        conditions: What the cost depends on, for the axis: the latency protocol and the machine,
            or the length of the input; may be empty.

    Returns:
        The record; None when no network has this cost.
    """
    own = shared.rivals(candidates, quantity)
    if not own:
        return None
    deployed = shared.deployments(own) if shared.several(own) else []
    others = [] if deployed else [c for c in candidates if c.origin != "supernet"]
    series = _series(others)
    own_keys = {c.key for c in own}
    rivals = [c for c in judged if c.key in own_keys]
    front = {c.key for c in ParetoFront.of(rivals, ("score", quantity)).members}
    known = [
        c
        for c in candidates
        if c.key in own_keys or (c.origin == "published" and c.value(quantity) is not None)
    ]
    points = [
        FigurePoint(
            label=c.label,
            origin=c.origin,
            is_full=c.is_full,
            number=numbers.get(c.network.id),
            on_front=c.key in front,
            **_extent("x", *_cost(c, quantity)),
            **_extent("y", *_score(c.evaluation)),
            deployment=c.deployment.title if deployed else "",
            series=series.get((c.origin, c.label), ""),
            source=shared.source(c),
        )
        for c in known
    ]
    evaluation = own[0].evaluation
    metric = shared.METRICS[evaluation.metric]
    costs = [point.x for point in points]
    return FrontFigure(
        quantity=quantity,
        title=f"{metric[0].upper()}{metric[1:]} versus {shared.COSTS[quantity]}",
        x_title=_X_TITLES[quantity] + (f"\n{conditions}" if conditions else ""),
        y_title=f"{metric}, {evaluation.task} {evaluation.split} split, n = {evaluation.n}",
        log_x=max(costs) > LOG_FROM * min(costs),
        points=tuple(points),
        series=tuple(dict.fromkeys(series.values())),
        deployments=tuple(deployment.title for deployment in deployed),
        staircase=_staircase([point for point in points if point.origin != "published"]),
        caption=_caption(
            evaluation,
            quantity,
            judged_on=judged[0].evaluation.split,
            origins={point.origin for point in points},
            latency_interval=own[0].latency.ratio.meaning if own[0].latency else "",
            has_deployments=bool(deployed),
        ),
    )


def log_ticks(figure: FrontFigure) -> list[float]:
    """Round numbers for a logarithmic axis, within a figure's costs or just outside.

    Those of 1, 2 and 5 times a power of ten; 1.5, 3 and 7 too when the costs span less than 30.
    """
    costs = [point.x for point in figure.points]
    low, high = min(costs) / 1.1, max(costs) * 1.1
    mantissas = (1, 1.5, 2, 3, 5, 7) if high < 30 * low else (1, 2, 5)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [float(f"{mantissa}e{decade}") for decade in decades for mantissa in mantissas]
    return [tick for tick in ticks if low <= tick <= high]


def plotly_figure(figure: FrontFigure) -> go.Figure:
    """Draw a figure for a page.

    Plotly reads text as a small HTML, so every string that came from outside is escaped.
    """
    drawing = go.Figure()
    drawing.add_scatter(
        x=[x for x, _ in figure.staircase],
        y=[y for _, y in figure.staircase],
        mode="lines",
        line={"color": figure.front_colour, "width": 2},
        hoverinfo="skip",
        showlegend=False,
    )
    for entry in marked_points(figure):
        mark = entry.mark
        drawing.add_scatter(
            **_trace(entry.points, figure),
            marker={
                "symbol": mark.plotly if entry.filled else f"{mark.plotly}-open",
                "color": mark.colour,
                "size": entry.size,
                "line": {
                    "width": 1.5 if entry.ringed or not entry.filled else 0,
                    "color": INK if entry.ringed else mark.colour,
                },
            },
            opacity=PALE if entry.pale else 1.0,
            name=plotly_text(entry.name) if entry.name else None,
            showlegend=bool(entry.name),
            legendrank=entry.rank,
        )
    drawing.add_scatter(
        x=[x for x, _ in figure.front_labels],
        y=[y for _, y in figure.front_labels],
        mode="text",
        text=[f"<b>{label}</b>" for label in figure.front_labels.values()],
        textposition="top center",
        textfont={"color": figure.front_colour},
        hoverinfo="skip",
        showlegend=False,
    )
    axis = {"gridcolor": GRID, "linecolor": INK, "ticks": "outside", "zeroline": False}
    x_axis = {**axis, "title": {"text": plotly_lines(figure.x_title)}}
    if figure.log_x:
        ticks = log_ticks(figure)
        x_axis |= {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}
    else:
        x_axis |= {"rangemode": "tozero"}
    drawing.update_layout(
        xaxis=x_axis,
        yaxis={**axis, "title": {"text": plotly_lines(figure.y_title)}, "automargin": True},
        font={"color": INK, "size": 13},
        paper_bgcolor="white",
        plot_bgcolor="white",
        hovermode="closest",
        hoverlabel={"align": "left"},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0},
        margin={"l": 70, "r": 20, "t": 20, "b": 80},
        height=520,
    )
    return drawing


def marked_points(figure: FrontFigure) -> list[MarkedPoints]:
    """A figure's marks by how they look, those that stand back first."""
    found = [
        MarkedPoints(
            points=tuple(p for p in figure.points if p.series == name),
            mark=mark,
            size=8,
            filled=figure.is_filled(name),
            pale=False,
            ringed=False,
            name=name,
            rank=2000 + place,
        )
        for place, (mark, name) in enumerate(zip(MARKS, figure.series, strict=False))
    ]
    found += _by_deployment(figure) if figure.deployments else _by_front(figure)
    return sorted((e for e in found if e.points), key=lambda entry: -entry.rank)


def _by_front(figure: FrontFigure) -> list[MarkedPoints]:
    """The sub-networks of one deployment: the beaten, the front, the full model."""
    looks: tuple[tuple[str, Mark, int, Callable[[FigurePoint], bool]], ...] = (
        ("full model", Mark(FULL, *STAR), 15, lambda p: p.is_full),
        ("front", Mark(FRONT, "circle", "o"), 9, lambda p: p.on_front and not p.is_full),
        ("dominated", Mark(DOMINATED, "circle", "o"), 8, lambda p: not (p.on_front or p.is_full)),
    )
    return [
        MarkedPoints(
            points=tuple(p for p in figure.sub_networks if wanted(p)),
            mark=mark,
            size=size,
            filled=True,
            pale=False,
            ringed=False,
            name=name,
            rank=rank,
        )
        for rank, (name, mark, size, wanted) in enumerate(looks, start=1)
    ]


def _by_deployment(figure: FrontFigure) -> list[MarkedPoints]:
    """Networks as deployed: colour and shape tell the deployment, what is beaten is pale."""
    found = []
    for place, (mark, title) in enumerate(zip(DEPLOYED, figure.deployments, strict=False)):
        named = title
        for is_full, is_stored, on_front in product((False, True), (False, True), (True, False)):
            look = (on_front, is_full, is_stored)
            points = tuple(
                p
                for p in figure.own
                if p.deployment == title and (p.on_front, p.is_full, p.origin == "stored") == look
            )
            if points:
                found.append(
                    MarkedPoints(
                        points=points,
                        mark=Mark(mark.colour, *STAR) if is_full else mark,
                        size=15 if is_full else 9,
                        filled=True,
                        pale=not on_front,
                        ringed=is_stored,
                        name=named,
                        rank=place + 1 if named else 1000 + place,
                    )
                )
                named = ""
    return found


def _cost(candidate: Candidate, quantity: str) -> tuple[float, float, float]:
    """A known cost in the figure's unit, with the ends of its interval."""
    if quantity == "latency_ms" and candidate.latency is not None:
        time_ms = candidate.latency.time_ms
        return time_ms.value, time_ms.low, time_ms.high
    value = cast(float, candidate.value(quantity)) / _SCALES[quantity]
    return value, value, value


def _score(score: Evaluation | StatedScore) -> tuple[float, float, float]:
    """A score with the ends of its interval, which are itself where none is stated."""
    interval, value = score.interval, score.value
    return (value, value, value) if interval is None else (value, interval.low, interval.high)


def _extent(axis: str, value: float, low: float, high: float) -> dict[str, float]:
    return {axis: value, f"{axis}_low": low, f"{axis}_high": high}


def _staircase(points: Sequence[FigurePoint]) -> tuple[tuple[float, float], ...]:
    front = sorted({(point.x, point.y) for point in points if point.on_front})
    corners = [front[0]]
    for (_, y), (next_x, next_y) in pairwise(front):
        corners += [(next_x, y), (next_x, next_y)]
    dearest = max(point.x for point in points)
    if dearest > corners[-1][0]:
        corners.append((dearest, corners[-1][1]))
    return tuple(corners)


def _caption(
    score: Evaluation | StatedScore,
    quantity: str,
    *,
    judged_on: str,
    origins: set[str],
    latency_interval: str,
    has_deployments: bool,
) -> str:
    ringed = "stored" in origins
    sentences = [
        f"Vertical bars: 95 % interval of each score over the {score.n} examples "
        f"({_INTERVALS[score.metric]}). Two networks are compared by the paired interval of "
        "their difference, not by whether their bars overlap.",
        "The staircase joins the networks that no other one beats on both axes, judged by "
        f"the scores on the {judged_on} split; numbers are those of the table.",
    ]
    if quantity == "latency_ms":
        sentences.append(
            f"Horizontal bars: {latency_interval} of the ratio to the full model"
            f"{' on the same deployment' if has_deployments else ''}, times its one reference "
            "time."
        )
    if has_deployments:
        sentences.append(
            "One front of all networks as deployed: colour and shape tell the deployment, stars "
            "are the full model, pale marks are beaten"
            f"{', and marks with a dark ring were made beside the supernet' * ringed}. "
            "Deployments were timed in sessions of their own: small differences between them "
            "decide nothing."
        )
    elif ringed:
        sentences.append(
            "Filled marks other than circles and the star: networks made beside the supernet."
        )
    if "published" in origins:
        sentences.append(
            "Open marks: published numbers on the same examples (GLUE dev), of other full models "
            "and without intervals; sources on hover and in the tables."
        )
    return " ".join(sentences)


def _series(others: Sequence[Candidate]) -> dict[tuple[str, str], str]:
    """The series of each origin and label: stored ones, large ones, then one that others share.

    A series is what stands before the first " (" of a label, with a word for published ones.
    """
    words = {"published": "published: ", "stored": ""}
    families = {(c.origin, c.label): f"{words[c.origin]}{c.label.split(' (')[0]}" for c in others}
    stored = {family for (origin, _), family in families.items() if origin == "stored"}
    sizes = Counter(families.values()).most_common()
    own = [family for family, size in sizes if size >= SERIES_FROM or family in stored]
    named = sorted(own, key=lambda family: family not in stored)[: len(MARKS) - 1]
    series = {
        model: family if family in named else "other models" for model, family in families.items()
    }
    order = [*named, "other models"]
    return dict(sorted(series.items(), key=lambda entry: order.index(entry[1])))


def _trace(points: Sequence[FigurePoint], figure: FrontFigure) -> dict[str, Any]:
    """Marks with their bars and texts, as plotly's arguments."""
    return {
        "x": [p.x for p in points],
        "y": [p.y for p in points],
        "error_x": _error_bars([(p.x, p.x_low, p.x_high) for p in points]),
        "error_y": _error_bars([(p.y, p.y_low, p.y_high) for p in points]),
        "mode": "markers",
        "hovertext": [_hover(p, figure) for p in points],
        "hoverinfo": "text",
    }


def _hover(point: FigurePoint, figure: FrontFigure) -> str:
    number = "" if point.number is None else f"{point.number}: "
    lines = [
        f"<b>{number}{plotly_text(point.label)}</b>",
        point.deployment,
        f"{figure.name}: {_with_interval(point.x, point.x_low, point.x_high)}",
        f"score: {_with_interval(point.y, point.y_low, point.y_high)}",
        plotly_text(point.source),
    ]
    return "<br>".join(line for line in lines if line)


def _with_interval(value: float, low: float, high: float) -> str:
    return f"{value:.4g}" if low == value == high else bracketed(value, low, high, show=".4g")


def _error_bars(values: Sequence[tuple[float, float, float]]) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [high - x for x, _, high in values],
        "arrayminus": [x - low for x, low, _ in values],
        "visible": any(low != high for _, low, high in values),
        "thickness": 1,
        "width": 3,
    }
