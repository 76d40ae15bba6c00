"""Requests for tasks, and tasks themselves."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretobert.errors import InputError
from paretobert.tasks.loading import TASK_NAMES, TaskRequest
from paretobert.tasks.task import Task, TextSplit


@pytest.mark.parametrize(
    ("typo", "nearest"),
    [("sst3", "SST-2"), ("stdlib_doc", "stdlib-docs"), ("cola2", "CoLA"), ("mnlii", "MNLI")],
)
def test_nearest_name_is_offered(typo, nearest):
    with pytest.raises(InputError, match=rf"no task '{typo}' \(did you mean '{nearest}'\?\)"):
        TaskRequest(typo)


def test_a_name_like_no_other_lists_them_all():
    with pytest.raises(InputError, match=r"no task 'xyzzy': the tasks are CoLA, .*, files"):
        TaskRequest("xyzzy")


@given(st.sampled_from(TASK_NAMES), st.booleans())
def test_case_and_hyphens_do_not_matter(name, upper):
    plain = name.replace("-", "_")
    request = TaskRequest(plain.upper() if upper else plain.lower(), data=_data(name))
    assert request.name == name


def _data(name):
    return None if name == "stdlib-docs" else Path("data")


def test_requests_survive_json():
    request = TaskRequest(
        "files", data=Path("a.csv"), report_data=Path("b.csv"), text_columns=("x", "y"), seed=3
    )
    assert TaskRequest.from_dict(json.loads(json.dumps(request.to_dict()))) == request
    assert TaskRequest.from_dict(TaskRequest("rte").to_dict()) == TaskRequest("rte")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "files"}, "needs a data file or folder"),
        ({"name": "rte", "label_column": "x"}, "has a fixed form and does not take a label col"),
        ({"name": "stdlib-docs", "data": Path("d")}, "brings its own data: leave out d"),
        ({"name": "rte", "search_size": 0}, "search size must be from 1 to 1,000,000,000, not 0"),
        ({"name": "rte", "max_length": -1}, "max length must be from 3 to 1,000,000, not -1"),
        ({"name": "rte", "max_length": 2}, "max length must be from 3 to 1,000,000, not 2"),
        ({"name": "rte", "seed": -1}, "seed must be from 0 to 4,294,967,295, not -1"),
        ({"name": "rte", "seed": 2**32}, "seed must be from 0 to 4,294,967,295, not"),
        ({"name": "\x1b[2J"}, r"no task '\\x1b\[2J'"),
        ({"name": "x" * 10**6}, r"no task 'xxx.*\.\.\."),
        ({"name": "files", "data": Path("a\0b")}, "is the name of no file or folder"),
        ({"name": "files", "data": Path("a\ud800")}, "is the name of no file or folder"),
        ({"name": "files", "data": Path("a\x1b[2J")}, "is the name of no file or folder"),
        ({"name": "rte", "data": Path("a/" * 5000)}, "is the name of no file or folder"),
        (
            {"name": "files", "data": Path("d"), "report_data": Path("a\0")},
            "is the name of no file or folder",
        ),
        (
            {"name": "files", "data": Path("d"), "text_columns": ("x", "x")},
            "'x' cannot be both texts",
        ),
        ({"name": "files", "data": Path("d"), "kind": "ranking"}, "not 'ranking'"),
        ({"name": "files", "data": Path("d"), "text_columns": ()}, "one or two text columns"),
        (
            {"name": "files", "data": Path("d"), "text_columns": ("x",), "label_column": "x"},
            "'x' cannot be both text and label",
        ),
    ],
)
def test_requests_without_meaning_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        TaskRequest(**options)


SPLIT = TextSplit(("a", "b"), None, (0, 1))


def task(**changes):
    fields = {
        "name": "t",
        "kind": "classification",
        "label_names": ("x", "y"),
        "metric": "accuracy",
        "other_metrics": (),
        "train": SPLIT,
        "search": SPLIT,
        "report": SPLIT,
        "max_length": 8,
        "source": "here",
    }
    return Task(**{**fields, **changes})


def test_summary_is_json_without_the_texts():
    summary = json.loads(json.dumps(task().summary()))
    assert summary["sizes"] == {"train": 2, "search": 2, "report": 2}
    assert summary["train_class_counts"] == [1, 1]


def test_fingerprint_changes_with_texts_and_labels_only():
    same = task(source="elsewhere", max_length=9).fingerprint
    assert task().fingerprint == same
    for split in (TextSplit(("a", "c"), None, (0, 1)), TextSplit(("a", "b"), None, (1, 1))):
        assert task(search=split).fingerprint != same


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label_names": ("x",)}, "two classes or more"),
        ({"train": TextSplit(("a",), None, (2,))}, "class indices below 2"),
        ({"train": TextSplit(("a",), ("b",), (1,))}, "some hold pairs"),
        ({"kind": "regression"}, "a regression task has no classes"),
        (
            {
                "kind": "regression",
                "label_names": (),
                "report": TextSplit(("a",), None, (float("nan"),)),
            },
            "must be finite",
        ),
    ],
)
def test_inconsistent_tasks_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        task(**changes)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (((), None, ()), "at least one example"),
        ((("a",), None, (0, 1)), "1 texts but 2 labels"),
        ((("a",), ("b", "c"), (0,)), "1 first texts but 2 second"),
    ],
)
def test_uneven_columns_are_refused(columns, message):
    with pytest.raises(ValueError, match=message):
        TextSplit(*columns)


def test_a_path_may_be_written_as_text():
    request = TaskRequest("files", data="docs.csv", report_data="more.csv")
    assert request == TaskRequest("files", data=Path("docs.csv"), report_data=Path("more.csv"))
