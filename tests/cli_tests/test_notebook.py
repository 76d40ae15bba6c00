"""What a notebook shows of a run, and progress without a callback."""

import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest

from paretobert import Run
from paretobert.intervals import Interval
from paretobert.pipeline import following
from paretobert.pipeline.following import followed
from paretobert.training.loop import TrainingProgress


@pytest.fixture(scope="module")
def searched(finished):
    return Run.open(finished)


def test_every_repr_is_short(searched):
    front = searched.front()
    answer = searched.query(params="1M")
    for shown in (searched, front, searched.table(), answer, front.members[0]):
        assert len(repr(shown)) < 300
    assert len(repr(front.members[0].evaluation)) < 500


@pytest.mark.parametrize(
    ("value", "num_processes", "pace"),
    [
        (0.5, 5, "A is faster"),
        (2.0, 5, "A is slower"),
        (1.05, 5, "a tie"),
        (0.5, 4, "not decided, which takes 5 processes"),
    ],
)
def test_too_few_processes_decide_no_pace(run_copy, value, num_processes, pace):
    found = Run.open(run_copy).compare("full", "full")
    ratio = Interval(value, value - 0.1, value + 0.1, num_processes, "processes")
    timed = replace(found, ratio=ratio)
    assert timed.pace == pace
    assert any(sentence.endswith(f": {pace}.") for sentence in timed.sentences())
    expected = None if num_processes < 5 else pace == "a tie"
    assert timed.to_dict()["latency_ratio"]["tie"] == expected


def test_a_notebook_shows_tables(searched):
    front = searched.front()
    html = front._repr_html_()
    assert html.count("<tr>") == 1 + len(front.members)
    assert all(member.name in html for member in front.members)
    assert "Run " in searched._repr_html_()
    assert html.splitlines()[0] in searched._repr_html_()
    answer = searched.query(params="1M")
    assert answer.answer.name in answer._repr_html_()
    assert "answer" in answer._repr_html_()


def test_a_plot_shows_itself(searched):
    figure = searched.plot("num_params")
    assert figure.name == "params"
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert searched.plot("memory").x_title.startswith("peak memory")


def test_progress_is_shown_without_a_callback(monkeypatch):
    shown = []
    monkeypatch.setattr(following, "_terminal", lambda: (shown.append, lambda: shown.append("-")))
    with followed() as line:
        for step in (1, 2, 3):
            line.training(TrainingProgress("width", step, 3, 0.5, 10.0))
    assert shown == ["width: step 1 of 3", "width: step 3 of 3", "-"]


def test_a_file_is_spared_the_progress(capsys):
    with followed() as line:
        line.scoring(1, 2)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_a_notebooks_display_is_updated(monkeypatch):
    states = []

    class Handle:
        def update(self, shown):
            states.append(shown)

    def display(shown, *, display_id):
        states.append(shown)
        return Handle()

    monkeypatch.setattr(following, "BETWEEN_S", 0.0)
    shell = SimpleNamespace(kernel=object())
    module = SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", module)
    shows = SimpleNamespace(HTML=str, display=display)
    monkeypatch.setitem(sys.modules, "IPython.display", shows)
    with followed() as line:
        line.deploying(1, 2)
        line.deploying(2, 2)
    assert [text.removeprefix("<small>").removesuffix("</small>") for text in states[:2]] == [
        "deploy: 1 of 2 networks",
        "deploy: 2 of 2 networks",
    ]
