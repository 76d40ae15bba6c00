"""Scores with their intervals, against published numbers; what is kept of outcomes."""

import json
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from paretobert.tasks.metrics import resampled_from_counts
from paretobert.tasks.scores import Evaluation, compact, score, score_predictions


def evaluation(labels, predictions, *metrics):
    return score_predictions(
        task="t", split="search", metrics=metrics, labels=labels, predictions=predictions
    )


def test_wilson_interval_of_newcombe_1998_example():
    """Newcombe (1998), table I: 81 of 263 gives .2553 to .3662; 0 of 20 gives 0 to .1611."""
    labels = (1,) * 263
    found = score("accuracy", labels, (1,) * 81 + (0,) * 182).interval
    assert (round(found.low, 4), round(found.high, 4)) == (0.2553, 0.3662)
    none = score("accuracy", (1,) * 20, (0,) * 20).interval
    assert none.low == pytest.approx(0, abs=1e-12)
    assert round(none.high, 4) == 0.1611


def test_rare_classes_do_not_pull_the_interval_of_macro_f1_down():
    generator = np.random.default_rng(1)
    labels = generator.integers(16, size=160)
    predictions = np.where(generator.random(160) < 0.75, labels, generator.integers(16, size=160))
    pairs = [tuple(column.tolist()) for column in (labels, predictions)]
    (resampled,) = resampled_from_counts(
        "macro_f1", Counter(zip(*pairs, strict=True)), num_examples=160, seed=0
    )
    found = score("macro_f1", *pairs).interval
    assert resampled.mean() < found.value - 0.004
    assert (found.low + found.high) / 2 == pytest.approx(found.value, abs=0.003)


@pytest.mark.parametrize("name", ["accuracy", "f1", "macro_f1", "matthews"])
def test_interval_holds_the_value_and_shrinks_with_more_examples(name):
    labels, predictions = (0, 1, 1, 0, 1), (0, 1, 0, 0, 1)
    few, many = (score(name, labels * k, predictions * k).interval for k in (10, 100))
    assert few.low < few.value < few.high
    assert many.high - many.low < (few.high - few.low) / 2
    assert few == score(name, labels * 10, predictions * 10).interval


@pytest.mark.parametrize(
    ("name", "labels"),
    [("pearson", (0.0, 1.0, 2.0, 4.0)), ("spearman", (0.0, 1.0, 2.0, 4.0)), ("matthews", (0, 1))],
)
def test_constant_predictions_count_as_no_correlation(name, labels):
    assert score(name, labels, (1,) * len(labels)).interval.value == 0


def test_perfect_and_tiny_correlations_have_finite_intervals():
    perfect = score("pearson", (0.0, 1.0, 2.0, 3.0), (0.0, 1.0, 2.0, 3.0)).interval
    assert perfect.value == pytest.approx(1)
    assert perfect.low > 0.99
    tiny = score("pearson", (0.0, 1.0, 2.0), (0.0, 2.0, 1.0)).interval
    assert (tiny.low, tiny.high) == (-1, 1)


def test_evaluation_keeps_outcomes_and_survives_json():
    found = evaluation((0, 1, 1, 2), (0, 1, 2, 2), "accuracy", "macro_f1")
    assert found.value == 0.75
    assert found.correct.tolist() == [True, True, False, True]
    other = found.others["macro_f1"].interval
    assert other.low <= other.value
    assert Evaluation.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_evaluation_refuses_columns_of_different_lengths():
    record = evaluation((0, 1), (0, 1), "accuracy").to_dict()
    record["interval"]["num_examples"] = 3
    with pytest.raises(ValueError, match="2 labels and 2 predictions for n=3"):
        Evaluation.from_dict(record)


def test_reading_tasks_needs_no_heavy_package():
    code = (
        "import sys, paretobert.tasks.scores, paretobert.tasks.task, paretobert.tasks.loading; "
        "print(*sorted({'torch', 'transformers', 'sklearn', 'scipy', 'pandas', 'pyarrow', "
        "'datasets'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stdout.strip()) == (0, ""), result.stderr


@pytest.mark.parametrize(
    ("column", "typecode"), [((0, 1), "B"), ((0, 300), "H"), ((0, 70_000), "l"), ((0.5, 1), "d")]
)
def test_outcomes_are_kept_in_as_few_bytes_as_hold_them(column, typecode):
    assert compact(column).typecode == typecode
    assert list(compact(column)) == list(column)
    assert compact(compact(column)) == compact(column)
