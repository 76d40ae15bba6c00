"""What Plotly shows of a front: the record's own marks, intervals and names."""

import json
from dataclasses import replace

from paretobert.reports.figures.front import front_figure, marked_points

from .test_figures import ALL, NUMBERS, beside, published


def test_every_mark_is_there_with_its_interval() -> None:
    scored = (*ALL, beside(), published("BERT-base", 0.66))
    figure = front_figure(scored, "num_params", judged=ALL, numbers=NUMBERS, conditions="")
    assert figure is not None
    shown = figure.interactive().to_dict()
    marks = [trace for trace in shown["data"] if trace["mode"] == "markers"]
    places = {(x, y) for trace in marks for x, y in zip(trace["x"], trace["y"], strict=True)}
    assert places == {(point.x, point.y) for point in figure.points}
    for trace, entry in zip(marks, marked_points(figure), strict=True):
        highs = [point.y_high - point.y for point in entry.points]
        assert list(trace["error_y"]["array"]) == highs
        assert trace["name"] == entry.name
        assert [text.split("<br>")[0] for text in trace["text"]] == [
            point.label if point.number is None else f"{point.number}: {point.label}"
            for point in entry.points
        ]
    assert shown["layout"]["xaxis"]["type"] == ("log" if figure.log_x else "linear")


def test_the_staircase_is_the_records() -> None:
    figure = front_figure(ALL, "num_params", judged=ALL, numbers=NUMBERS, conditions="")
    assert figure is not None
    lines = [t for t in figure.interactive().to_dict()["data"] if t["mode"] == "lines"]
    assert [tuple(zip(line["x"], line["y"], strict=True)) for line in lines] == [figure.staircase]


def test_hostile_names_stay_text() -> None:
    figure = front_figure(ALL, "num_params", judged=ALL, numbers=NUMBERS, conditions="")
    assert figure is not None
    hostile = "</script><b onmouseover=alert(1)>"
    points = tuple(replace(point, label=hostile) for point in figure.points)
    shown = replace(figure, title=hostile, points=points).interactive()
    assert hostile not in json.dumps(shown.to_dict(), default=str)
    assert "&lt;b onmouseover" in shown.layout.title.text
