"""One front of all networks as deployed, where several deployments run them."""

import re
from dataclasses import replace
from itertools import pairwise

import pytest

from paretobert.pipeline.steps.report import hypervolumes
from paretobert.reports.figures.front import marked_points
from paretobert.reports.headlines import headlines
from paretobert.reports.page import page_html, report_figures, write_report
from paretobert.reports.palette import DEPLOYED
from paretobert.reports.tables import (
    readable,
    readable_selection,
    results_frame,
    selection_frame,
)
from paretobert.search.front import ParetoFront, reference_beyond

TITLES = ("eager fp32", "openvino int8")


@pytest.fixture(scope="module")
def figures(deployed):
    return {figure.name: figure for figure in report_figures(deployed)}


def test_one_front_is_drawn_over_all_networks_as_deployed(deployed, figures):
    figure = figures["latency"]
    assert figure.deployments == TITLES
    assert len(figure.points) == 26
    front = ParetoFront.of(deployed.candidates, ("score", "latency_ms"))
    numbers = {c.key: deployed.numbers[c.network.id] for c in deployed.candidates}
    assert {(p.number, p.deployment) for p in figure.own if p.on_front} == {
        (numbers[c.key], c.deployment.title) for c in front.members
    }
    assert {p.deployment for p in figure.own if p.on_front} == set(TITLES)
    corners = figure.staircase
    assert all(a[0] == b[0] or a[1] == b[1] for a, b in pairwise(corners))


def test_the_hypervolume_is_of_the_set_that_is_drawn(deployed, figures):
    volumes = hypervolumes(deployed.candidates)
    objectives = ("score", "latency_ms")
    whole = ParetoFront.of(deployed.candidates, objectives)
    reference = reference_beyond(deployed.candidates, objectives)
    assert volumes["score and latency"] == whole.hypervolume(reference)
    numbers = {c.key: deployed.numbers[c.network.id] for c in deployed.candidates}
    keys = {(numbers[c.key], c.deployment.title): c.key for c in deployed.candidates}
    own = figures["latency"].own
    drawn = {keys[p.number, p.deployment] for p in own if p.on_front}
    assert drawn == {c.key for c in whole.members}
    one = [c for c in deployed.candidates if c.deployment == deployed.candidates[0].deployment]
    assert volumes["score and params"] == hypervolumes(one)["score and params"]


@pytest.mark.parametrize("name", ["params", "flops"])
def test_what_no_deployment_changes_is_shown_for_the_first_alone(
    name, figures, with_stored, deployed
):
    (alone,) = (figure for figure in report_figures(with_stored) if figure.name == name)
    assert figures[name] == replace(alone, x_title=figures[name].x_title)
    assert figures[name].deployments == ()
    assert figures[name].x_title.endswith("eager fp32")
    assert "fp32" not in alone.x_title


def test_every_deployment_has_a_mark_and_a_colour_of_its_own(figures):
    marked = marked_points(figures["latency"])
    named = {entry.name: entry for entry in marked if entry.name}
    assert set(named) == set(TITLES)
    assert [named[title].mark for title in TITLES] == list(DEPLOYED[:2])
    assert len({mark.shape for mark in DEPLOYED}) == len({m.colour for m in DEPLOYED}) == 9
    for entry in marked:
        (title,) = {point.deployment for point in entry.points}
        assert entry.mark.colour == named[title].mark.colour
        assert {point.on_front for point in entry.points} == {not entry.pale}
        assert (entry.mark.shape == "star") == entry.points[0].is_full
        assert entry.ringed == (entry.points[0].origin == "stored")
    assert sum(len(entry.points) for entry in marked) == 26


def test_every_deployment_is_drawn(figures):
    figure = figures["latency"]
    (axes,) = figure.drawn().axes
    assert sorted(axes.get_legend_handles_labels()[1]) == sorted(TITLES)
    assert figure.png().startswith(b"\x89PNG")
    assert figure.svg() == replace(figure).svg()


def test_the_axis_names_what_the_deployments_share(deployed, figures):
    assert deployed.protocol.setting in figures["latency"].x_title
    assert "fp32" not in figures["latency"].x_title
    assert "sessions of their own" in figures["latency"].caption
    assert "dark ring" in figures["latency"].caption


def test_tables_name_the_deployment_only_where_there_are_several(deployed, with_stored):
    frame = results_frame(deployed.candidates, deployed.reported, {}, numbers=deployed.numbers)
    table = readable(frame)
    assert table["deployment"].tolist() == [TITLES[0]] * 13 + [TITLES[1]] * 13
    assert table["#"].tolist() == 2 * [str(number) for number in range(1, 14)]
    single = results_frame(
        with_stored.candidates, with_stored.reported, {}, numbers=with_stored.numbers
    )
    assert set(single["deployment"]) == {TITLES[0]}
    assert "deployment" not in readable(single)
    params = frame[frame["fronts"].str.contains("params")]
    assert set(params["deployment"]) == {TITLES[0]}
    chosen = selection_frame(
        deployed.selection, deployed.candidates, deployed.reported, numbers=deployed.numbers
    )
    assert set(readable_selection(chosen)["deployment"]) == set(TITLES)


def test_published_numbers_have_no_deployment(deployed):
    frame = results_frame(
        [*deployed.candidates, deployed.published[0]], {}, {}, numbers=deployed.numbers
    )
    assert readable(frame)["deployment"].iloc[-1] == ""


def test_sentences_name_the_deployment_and_compare_with_one_full_model(deployed):
    texts = headlines(deployed.networks, judged=deployed.candidates)
    assert deployed.candidates[0].key not in texts
    assert any(", openvino int8: ×0.0" in text for text in texts.values())
    assert any(", eager fp32: ×" in text for text in texts.values())
    full = deployed.candidates[13]
    assert full.is_full
    interval = replace(full.evaluation.interval, value=0.999)
    best = replace(full, evaluation=replace(full.evaluation, interval=interval))
    judged = [best if c.key == full.key else c for c in deployed.candidates]
    assert headlines(deployed.networks, judged=judged)[full.key].startswith(
        "width 1, 6 of 6 layers, openvino int8: ×0.40 latency"
    )


def test_the_page_says_what_deployments_are(deployed, with_stored, tmp_path):
    page = write_report(tmp_path / "report", deployed).read_text(encoding="utf-8")
    words = " ".join(re.sub(r"<[^>]*>", " ", page).split())
    assert "13 networks as eager fp32 and openvino int8 run them (26 in all), accuracy" in words
    assert "Against the full model on eager fp32, the front of accuracy and latency" in words
    assert "A network on two runtimes or in two precisions is two candidates." in words
    assert "deployment" in (tmp_path / "report" / "tables" / "results.md").read_text()
    assert "is two candidates" not in page_html(with_stored, {})
