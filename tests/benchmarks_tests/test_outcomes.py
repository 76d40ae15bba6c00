"""Outcomes survive the file exactly, and damaged files are refused."""

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from outcomes import pack, read_outcomes, unpack, write_outcomes

from paretobert.errors import InputError
from paretobert.tasks.scores import score_predictions

SCORES = st.one_of(st.floats(0, 5, width=16), st.floats(0, 5, width=32), st.floats(0, 5))


def evaluation(labels, predictions, *metrics, task="t"):
    return score_predictions(
        task=task,
        split="search",
        metrics=metrics,
        labels=tuple(labels),
        predictions=tuple(predictions),
    )


@given(st.lists(st.integers(0, 300)))
def test_class_indices_survive(column):
    packed = json.loads(json.dumps(pack(tuple(column), whole=True)))
    assert unpack(packed, len(column)) == tuple(column)


@given(st.lists(SCORES))
def test_scores_survive(column):
    packed = json.loads(json.dumps(pack(tuple(column), whole=False)))
    assert unpack(packed, len(column)) == tuple(column)


def test_columns_take_the_bits_that_they_need():
    assert pack((0, 1) * 12, whole=True) == {"bits": 1, "data": "VVVV"}
    assert pack((0, 1, 2, 3), whole=True)["bits"] == 2
    assert pack((0.5, 2.0), whole=False)["floats"] == "float16"
    assert pack((0.1,), whole=False)["floats"] == "float64"


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.tuples(*[st.integers(0, 2)] * 3), min_size=5, max_size=40),
    st.sampled_from([("accuracy",), ("accuracy", "macro_f1"), ("matthews", "accuracy")]),
)
def test_evaluations_survive_the_file(rows, metrics):
    labels, first, second = zip(*rows, strict=True)
    written = {
        "search": {
            "full": evaluation(labels, first, *metrics),
            "full, eager bf16": evaluation(labels, second, *metrics),
        }
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "outcomes.json"
        write_outcomes(path, {**written, "report": {}})
        assert read_outcomes(path) == written


def test_a_regressions_evaluations_survive_the_file(tmp_path):
    labels = (0.0, 3.8, 4.75, 1.2, 2.6)
    written = {
        "search": {"full": evaluation(labels, (0.1, 3.0, 5.0, 1.5, 2.0), "pearson", "spearman")}
    }
    write_outcomes(tmp_path / "outcomes.json", written)
    assert read_outcomes(tmp_path / "outcomes.json") == written


@pytest.mark.parametrize(
    "other", [evaluation((0, 0), (0, 1), "accuracy"), evaluation((0, 1), (0, 1), "f1")]
)
def test_evaluations_of_other_examples_are_not_written(tmp_path, other):
    entries = {"full": evaluation((0, 1), (0, 1), "accuracy"), "small": other}
    with pytest.raises(ValueError, match="small is not scored as full is"):
        write_outcomes(tmp_path / "outcomes.json", {"search": entries})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"n": 5}, "a column of 1 bytes, not of 5 times 2 bits"),
        ({"labels": {"bits": 2, "data": "!"}}, "a column is not base64"),
        ({"labels": {"floats": "int8", "data": ""}}, "a column of 0 bytes, not of 4 times int8"),
        ({"metrics": ["bleu"]}, r"unknown metrics \['bleu'\]"),
        ({"predictions": None}, "items"),
    ],
)
def test_damaged_files_are_refused(tmp_path, damage, message):
    path = tmp_path / "outcomes.json"
    write_outcomes(path, {"search": {"full": evaluation((0, 1, 2, 3), (0, 1, 2, 2), "accuracy")}})
    record = json.loads(path.read_text())
    record["splits"]["search"] |= damage
    path.write_text(json.dumps(record))
    with pytest.raises(InputError, match=message) as refused:
        read_outcomes(path)
    assert str(refused.value).endswith("the file is damaged; collect the run again.")


def test_other_files_are_refused(tmp_path):
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(InputError, match="holds no outcomes of networks"):
        read_outcomes(tmp_path / "other.json")
    with pytest.raises(InputError, match="does not exist"):
        read_outcomes(tmp_path / "missing.json")
