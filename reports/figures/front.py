"""Score against a cost, with the front (no torch).

`front_figure` turns candidates into a `FrontFigure`. The front is a staircase: between two of its
networks nothing is promised, so nothing is interpolated, and no convex hull hides a network that
no other one beats. The line is drawn only over the scores that judged it; over those of another
split its members are marked, for these need not make a staircase there.

Networks that methods made beside the supernet take part in the front; each method has a filled
mark of its own. Where several deployments run the networks, one front is drawn over all networks
as deployed, and each deployment has a mark of its own.

Published numbers are marks beside the networks. They never take part in the front, because they
were not run here, and never carry a latency, because it was another machine's. The axes are scaled
to what was run; how many published numbers lie beyond is said at the edge.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import TYPE_CHECKING, cast

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FuncFormatter

from ...errors import InputError
from ...search.candidate import Candidate, StatedScore
from ...search.front import ParetoFront
from ...search.quantities import QUANTITIES
from ...tasks.scores import Evaluation
from .. import shared
from ..palette import DEPLOYED, DOMINATED, FRONT, FULL, INK, MARKS, SHAPES, STAR, Mark
from .drawing import (
    LOG_FROM,
    Picture,
    canvas,
    legend,
    lengths,
    log_axis,
    name_points,
    plain,
    point_outside,
    within,
)

if TYPE_CHECKING:
    import plotly.graph_objects

_ROOM = 1.12
"""How far the axes go beyond what was run."""

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

_AXES = {
    "latency_ms": ("latency", "median latency, ms per run", 1.0),
    "p99_ms": ("99th percentile of latency", "99th percentile of latency, ms per run", 1.0),
    "peak_memory_bytes": ("memory", "peak memory of a fresh process, MB", 1e6),
    "size_bytes": ("size on disk", "size on disk, MB", 1e6),
    "num_params": ("parameters", "million parameters, embeddings included", 1e6),
    "num_flops": ("FLOPs", "GFLOPs of one example (2 per multiply-add)", 1e9),
    "energy_j": ("energy", "joules of a batch", 1.0),
}
"""Each cost's name, its axis, and what its values are divided by."""


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
    """Marks of a figure that look alike.

    Attributes:
        points: The marks.
        mark: Colour and shape.
        size: In points.
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
class FrontFigure(Picture):
    """Everything that a figure shows.

    Attributes:
        name: The cost as a word for files and anchors, e.g. "latency".
        title: The heading.
        x_title: The cost and its unit; on a second line the conditions it holds under.
        y_title: The metric, the split and its number of examples.
        log_x: Whether the cost axis is logarithmic.
        points: The marks, in the candidates' order.
        series: Names of the series of other models, in the order of `MARKS`; the same in every
            figure of one list of candidates, so that a model has one mark throughout.
        deployments: Runtimes and precisions in the order of `DEPLOYED`; empty where there is one.
        staircase: Corners of the front, from its cheapest network to the dearest one shown; empty
            where scores are shown that did not judge it.
        caption: What the intervals are and what is not comparable, in sentences.
    """

    name: str
    title: str
    x_title: str
    y_title: str
    log_x: bool
    points: tuple[FigurePoint, ...]
    series: tuple[str, ...]
    deployments: tuple[str, ...]
    staircase: tuple[tuple[float, float], ...]
    caption: str

    def __repr__(self) -> str:
        """The figure on one line."""
        return f"<FrontFigure {self.title}: {len(self.own)} networks>"

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

    def interactive(self) -> "plotly.graph_objects.Figure":
        """The same in Plotly: see `interactive`."""
        from .interactive import interactive

        return interactive(self)

    def drawn(self) -> Canvas:
        """Marks with their intervals, the front as a staircase, numbers above its networks."""
        drawing = canvas()
        axes = plain(drawing.add_subplot(), title=self.title)
        self._limit(axes)
        marked = marked_points(self)
        for entry in marked:
            _draw(axes, entry)
        if self.staircase:
            xs, ys = zip(*self.staircase, strict=True)
            axes.plot(xs, ys, color=self.front_colour, linewidth=1.5, zorder=2.5)
        axes.set_xlabel(self.x_title, parse_math=False)
        axes.set_ylabel(self.y_title, parse_math=False)
        legend(drawing, axes, ranks={entry.name: entry.rank for entry in marked})
        bars = [(p.x, p.y_low, p.y_high) for p in self.own if p.on_front]
        name_points(axes, self.front_labels, bars=bars, colour=self.front_colour)
        return drawing

    def _limit(self, axes: Axes) -> None:
        """Scale the axes to what was run, and say what lies beyond."""
        xs = [end for point in self.own for end in (point.x_low, point.x_high)]
        ys = [end for point in self.own for end in (point.y_low, point.y_high)]
        if self.log_x:
            log_axis(axes.xaxis, min(xs), max(xs))
            axes.set_xlim(min(xs) / _ROOM, max(xs) * _ROOM)
        else:
            axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
            margin = (_ROOM - 1) * (max(xs) - min(xs) or max(xs))
            axes.set_xlim(min(xs) - margin, max(xs) + margin)
        margin = (_ROOM - 1) * (max(ys) - min(ys) or 0.1)
        axes.set_ylim(min(ys) - margin, max(ys) + 2 * margin)
        published = [point for point in self.points if point.origin == "published"]
        point_outside(axes, published, what="published beyond")


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
        quantity: The name of a cost, of which less is better.
        judged: The same networks with the scores that decide which of them are on the front:
            those of the search split, whatever split is shown.
        numbers: The networks' numbers by their ids.
        conditions: What the cost depends on, for the axis: the latency protocol and the machine,
            or the length of the input; may be empty.

    Returns:
        The record; None when no network has this cost.

    Raises:
        InputError: When more of the quantity is better, or it is no cost.
    """
    if quantity not in _AXES:
        raise InputError(f"No front is drawn over {quantity}: choose from {', '.join(_AXES)}.")
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
    shows_judged = judged[0].evaluation.split == evaluation.split
    metric = shared.METRICS[evaluation.metric]
    costs = [point.x for point in points if point.origin != "published"]
    return FrontFigure(
        name=QUANTITIES[quantity].word,
        title=f"{metric[0].upper()}{metric[1:]} versus {_AXES[quantity][0]}",
        x_title=_AXES[quantity][1] + (f"\n{conditions}" if conditions else ""),
        y_title=f"{metric}, {evaluation.task} {evaluation.split} split, n = {evaluation.n}",
        log_x=max(costs) > LOG_FROM * min(costs),
        points=tuple(points),
        series=tuple(dict.fromkeys(series.values())),
        deployments=tuple(deployment.title for deployment in deployed),
        staircase=_staircase([point for point in points if point.origin != "published"])
        if shows_judged
        else (),
        caption=_caption(
            evaluation,
            quantity,
            judged_on="" if shows_judged else judged[0].evaluation.split,
            origins={point.origin for point in points},
            latency_interval=own[0].latency.ratio.meaning if own[0].latency else "",
            has_deployments=bool(deployed),
        ),
    )


def marked_points(figure: FrontFigure) -> list[MarkedPoints]:
    """A figure's marks by how they look, those that stand back first."""
    found = [
        MarkedPoints(
            points=tuple(p for p in figure.points if p.series == name),
            mark=mark,
            size=6,
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
        ("full model", Mark(FULL, STAR), 12, lambda p: p.is_full),
        ("front", Mark(FRONT, "circle"), 6, lambda p: p.on_front and not p.is_full),
        ("dominated", Mark(DOMINATED, "circle"), 5, lambda p: not (p.on_front or p.is_full)),
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
                        mark=Mark(mark.colour, STAR) if is_full else mark,
                        size=12 if is_full else 6,
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
    value = cast(float, candidate.value(quantity)) / _AXES[quantity][2]
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
        (
            "Numbers, those of the table, are above the networks that no other one beats on both "
            + (f"axes by the scores on the {judged_on} split." if judged_on else "axes.")
        ),
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
            "and without intervals; sources are in the tables."
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


def _draw(axes: Axes, entry: MarkedPoints) -> None:
    """Marks that look alike, with the intervals of those that do not stand back."""
    points, mark = entry.points, entry.mark
    quiet = entry.pale or mark.colour == DOMINATED
    axes.errorbar(
        [p.x for p in points],
        [p.y for p in points],
        xerr=None if quiet else lengths([(p.x, p.x_low, p.x_high) for p in points]),
        yerr=None if quiet else lengths([(p.y, p.y_low, p.y_high) for p in points]),
        fmt=SHAPES[mark.shape],
        color=mark.colour,
        markerfacecolor=mark.colour if entry.filled else "none",
        markeredgecolor=INK if entry.ringed else mark.colour,
        markersize=entry.size,
        elinewidth=0.9,
        alpha=PALE if entry.pale else None,
        zorder=2.8 if quiet else 3,
        label=entry.name if any(within(axes, point) for point in points) else None,
    )
