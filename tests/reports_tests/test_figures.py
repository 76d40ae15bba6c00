"""The front's figure against values computed by hand, and what is drawn of it."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretobert.deploy.deployment import EAGER_FP32
from paretobert.errors import InputError
from paretobert.intervals import Interval
from paretobert.networks.network import Cut, Network, Printed, Stored
from paretobert.networks.shape import EncoderShape
from paretobert.networks.subnet import SubnetConfig
from paretobert.profiling.table import Profile
from paretobert.reports.figures.drawing import round_numbers
from paretobert.reports.figures.front import FrontFigure, front_figure, marked_points
from paretobert.search.candidate import Candidate, StatedScore
from paretobert.tasks.scores import Evaluation

SHAPE = EncoderShape("bert", 1, 4, 8, 32, 8, 32, 100, 64, 2, 2)


def sub_network(heads, value, *, num_params, latency=None, recipe=None, label=""):
    """A network of so many heads; the full model has four."""
    evaluation = Evaluation(
        task="RTE",
        split="report",
        metric="accuracy",
        interval=Interval(value, value - 0.05, value + 0.04, 2, "examples"),
        standard_error=0.02,
        labels=(0, 1),
        predictions=(0, 1),
        others={},
    )
    made = recipe or Cut(SHAPE, SubnetConfig((0,), (heads,), (8,)))
    network = Network(label or f"{heads} heads", made)
    profile = Profile(network, num_params, 500_000_000 * heads, 128, latency)
    return Candidate(profile, EAGER_FP32, evaluation)


def published(label, value, *, num_params=50_000_000):
    profile = Profile(Network(label, Printed("a paper")), num_params, None, 128)
    return Candidate(profile, EAGER_FP32, StatedScore("RTE", "dev", "accuracy", value))


def beside():
    """A network of the large one's score that a method made, with fewer parameters."""
    recipe = Stored("powerbert", {"speed": 2}, SHAPE, SubnetConfig.full(SHAPE))
    return sub_network(3, 0.70, num_params=25_000_000, recipe=recipe, label="PoWER-BERT (2x)")


SMALL = sub_network(1, 0.60, num_params=10_000_000)
MIDDLE = sub_network(2, 0.58, num_params=20_000_000)
LARGE = sub_network(3, 0.70, num_params=30_000_000)
FULL = sub_network(4, 0.69, num_params=40_000_000)
ALL = (FULL, LARGE, MIDDLE, SMALL)
NUMBERS = {entry.network.id: place for place, entry in enumerate(ALL, start=1)}


def figure_of(candidates, quantity="num_params", conditions=""):
    own = [c for c in candidates if c.origin != "published"]
    numbers = {c.network.id: place for place, c in enumerate(own, start=1)}
    return front_figure(candidates, quantity, judged=own, numbers=numbers, conditions=conditions)


def test_points_front_and_staircase():
    figure = figure_of(ALL)
    assert [(p.number, p.x, p.on_front, p.is_full) for p in figure.points] == [
        (1, 40.0, False, True),
        (2, 30.0, True, False),
        (3, 20.0, False, False),
        (4, 10.0, True, False),
    ]
    assert figure.staircase == ((10.0, 0.60), (30.0, 0.60), (30.0, 0.70), (40.0, 0.70))
    assert not figure.log_x
    assert figure.title == "Accuracy versus parameters"
    assert figure.y_title == "accuracy, RTE report split, n = 2"


def test_the_front_is_judged_on_one_split_and_shown_with_the_scores_of_another():
    """On the judging split the small one beats nothing and the full model beats all."""
    judged = [
        replace(
            entry,
            evaluation=replace(
                entry.evaluation,
                split="search",
                interval=replace(entry.evaluation.interval, value=value),
            ),
        )
        for entry, value in ((FULL, 0.9), (LARGE, 0.7), (MIDDLE, 0.8), (SMALL, 0.6))
    ]
    figure = front_figure(ALL, "num_params", judged=judged, numbers=NUMBERS, conditions="")
    assert [(p.number, p.on_front) for p in figure.points] == [
        (1, True),
        (2, False),
        (3, True),
        (4, True),
    ]
    assert figure.staircase == ()
    assert "by the scores on the search split" in figure.caption


def test_scores_carry_their_interval_and_counts_are_exact():
    point = figure_of(ALL).points[3]
    assert (point.y_low, point.y, point.y_high) == pytest.approx((0.55, 0.60, 0.64))
    assert point.x_low == point.x == point.x_high


def test_equal_points_are_both_on_the_front_and_share_a_label():
    twin = sub_network(
        1, 0.60, num_params=10_000_000, recipe=Cut(SHAPE, SubnetConfig((0,), (1,), (7,)))
    )
    figure = figure_of((FULL, SMALL, twin))
    assert [p.on_front for p in figure.own] == [True, True, True]
    assert [(x, label) for (x, _), label in figure.front_labels.items()] == [
        (40.0, "1"),
        (10.0, "2, 3"),
    ]
    assert figure.staircase == ((10.0, 0.60), (40.0, 0.60), (40.0, 0.69))


@given(
    st.lists(
        st.tuples(st.integers(1, 9), st.sampled_from([0.5, 0.6, 0.7, 0.8])),
        min_size=1,
        max_size=12,
    )
)
def test_no_sub_network_lies_above_the_staircase(costs_and_scores):
    figure = figure_of(
        [
            sub_network(
                1,
                score,
                num_params=cost * 1_000_000,
                recipe=Cut(SHAPE, SubnetConfig((i,), (1,), (1,))),
            )
            for i, (cost, score) in enumerate(costs_and_scores)
        ]
    )
    corners = figure.staircase
    assert list(corners) == sorted(corners)
    assert all(a[0] == b[0] or a[1] == b[1] for a, b in pairwise(corners))
    for point in figure.points:
        height = max(y for x, y in corners if x <= point.x)
        assert point.y <= height
        assert point.on_front == ((point.x, point.y) in corners and is_cheapest(point, figure))


def is_cheapest(point, figure):
    return point.x == min(p.x for p in figure.points if p.y >= point.y)


def test_latency_carries_its_interval(latency):
    figure = figure_of([FULL.timed(latency(30.0))], "latency_ms", "conditions")
    (point,) = figure.points
    assert (point.x_low, point.x, point.x_high) == pytest.approx((30 / 1.015, 30.0, 30.45))
    assert figure.x_title == "median latency, ms per run\nconditions"
    assert "95 % interval over 5 processes of the ratio" in figure.caption


def test_a_cost_that_nothing_has_gives_no_figure():
    assert figure_of(ALL, "latency_ms") is None


def test_published_numbers_beat_nothing_and_are_beaten_by_nothing():
    better = published("Better (6L)", 0.99, num_params=1_000_000)
    figure = figure_of((*ALL, better))
    assert figure.staircase == figure_of(ALL).staircase
    point = figure.points[-1]
    assert (point.number, point.on_front, point.y_low, point.y_high) == (None, False, 0.99, 0.99)
    assert not figure.log_x
    assert "GLUE dev" in figure.caption
    assert "GLUE dev" not in figure_of(ALL).caption


def test_large_families_form_series_that_are_the_same_in_every_figure():
    others = [published(f"Dyna ({i})", 0.8) for i in range(3)] + [published("Tiny (4L)", 0.7)]
    figure = figure_of((*ALL, *others))
    assert figure.series == ("published: Dyna", "other models")
    assert [p.series for p in figure.points] == ["", "", "", ""] + ["published: Dyna"] * 3 + [
        "other models"
    ]
    assert figure_of((*ALL, *others), "num_flops").series == figure.series


def test_a_network_trained_beside_the_supernet_is_a_series_with_error_bars():
    made = beside()
    others = [published(f"Dyna ({i})", 0.8) for i in range(3)]
    figure = figure_of((*ALL, *others, made))
    assert figure.series == ("PoWER-BERT", "published: Dyna")
    looks = {entry.name: (entry.mark.shape, entry.filled) for entry in marked_points(figure)}
    assert looks["PoWER-BERT"] == ("diamond", True)
    assert looks["published: Dyna"] == ("square", False)
    assert "made beside the supernet" in figure.caption
    assert "made beside the supernet" not in figure_of((*ALL, *others)).caption


def test_a_stored_network_takes_part_in_the_front_and_its_mark_is_drawn_once():
    figure = figure_of((*ALL, beside()))
    point = figure.points[-1]
    assert (point.number, point.origin, point.on_front) == (5, "stored", True)
    assert [p.number for p in figure.points if p.on_front] == [4, 5]
    assert figure.staircase == ((10.0, 0.60), (25.0, 0.60), (25.0, 0.70), (40.0, 0.70))
    assert list(figure.front_labels.values()) == ["4", "5"]
    marks = [point.x for entry in marked_points(figure) for point in entry.points]
    assert sorted(marks) == [10.0, 20.0, 25.0, 30.0, 40.0]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (3.0, 40.0, [3, 5, 7, 10, 15, 20, 30]),
        (0.4, 22.0, [0.5, 1, 2, 5, 10, 20]),
        (5.0, 30.0, [5, 7, 10, 15, 20, 30]),
    ],
)
def test_round_numbers(low, high, expected):
    assert round_numbers(low, high) == expected


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_a_staircase_is_drawn_with_numbers_and_a_legend():
    (axes,) = figure_of(ALL).drawn().axes
    (line,) = (line for line in axes.lines if line.get_zorder() == 2.5)
    assert list(zip(*line.get_data(), strict=True)) == list(figure_of(ALL).staircase)
    assert texts(axes) == ["4", "2"]
    assert set(axes.get_legend_handles_labels()[1]) == {"full model", "front", "dominated"}


def test_no_two_labels_stand_over_one_another():
    twins = [
        sub_network(
            1,
            0.60 + place / 10_000,
            num_params=10_000_000 + 50_000 * place,
            recipe=Cut(SHAPE, SubnetConfig((0,), (1,), (place + 1,))),
        )
        for place in range(6)
    ]
    drawing = figure_of((FULL, *twins)).drawn()
    (axes,) = drawing.axes
    renderer = drawing.canvas.get_renderer()
    boxes = [text.get_window_extent(renderer) for text in axes.texts]
    assert len(boxes) == 7
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_a_label_stands_beside_a_bar_that_would_cross_it():
    tall, low = (
        sub_network(2, 0.68, num_params=20_010_000),
        sub_network(1, 0.62, num_params=20_000_000),
    )
    drawing = figure_of((FULL, tall, low)).drawn()
    (axes,) = drawing.axes
    places = {text.get_text(): text.get_horizontalalignment() for text in axes.texts}
    assert places == {"1": "center", "2": "center", "3": "left"}
    (beside,) = (text for text in axes.texts if text.get_text() == "3")
    box = beside.get_window_extent(drawing.canvas.get_renderer())
    assert box.x0 > axes.transData.transform((20.01, 0.68))[0]


def test_published_numbers_beyond_what_was_run_are_counted_at_the_edge():
    others = [published("Near", 0.65, num_params=20_000_000), published("Far", 0.9)]
    (axes,) = figure_of((*ALL, *others)).drawn().axes
    assert axes.get_xlim()[1] < 50
    assert "1 published beyond, up to 0.9 at 50" in texts(axes)[0]
    assert not any("beyond" in text for text in texts(figure_of(ALL).drawn().axes[0]))


def test_more_of_a_cost_is_not_better():
    with pytest.raises(InputError, match="No front is drawn over throughput_per_s"):
        figure_of(ALL, "throughput_per_s")


def test_names_are_drawn_as_they_are():
    nasty = '<b>x</b> $y$ & "q"'
    figure = figure_of(
        [sub_network(4, 0.69, num_params=40_000_000, label=nasty)], conditions=nasty
    )
    assert figure.drawn().axes[0].xaxis.label.get_text().endswith(nasty)
    assert figure.png().startswith(b"\x89PNG")


def test_records_are_json():
    record = figure_of(ALL).to_dict()
    assert record["points"][0]["label"] == "4 heads"
    assert isinstance(figure_of(ALL), FrontFigure)
