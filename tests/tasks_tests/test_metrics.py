"""Metrics against published numbers, scikit-learn and SciPy; intervals; paired comparisons."""

import json
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sklearn_metrics

from paretobert.tasks.metrics import (
    FROM_COUNTS,
    METRICS,
    Evaluation,
    PairedComparison,
    _resampled_from_counts,
    compact,
    compare,
    discordant,
    score,
    score_predictions,
    weighted_scores,
)


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


SKLEARN = {
    "f1": lambda y, p: sklearn_metrics.f1_score(y, p, pos_label=1, zero_division=0.0),
    "macro_f1": lambda y, p: sklearn_metrics.f1_score(y, p, average="macro", zero_division=0.0),
    "matthews": sklearn_metrics.matthews_corrcoef,
}


@pytest.mark.filterwarnings("ignore:A single label was found")
@settings(max_examples=40, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("name", SKLEARN)
def test_metrics_from_counts_are_sklearns(name, data):
    classes = 1 if name == "f1" else 3
    column = st.lists(st.integers(0, classes), min_size=12, max_size=12)
    labels, predictions = np.array(data.draw(column)), np.array(data.draw(column))
    present = np.unique([labels, predictions])
    actual, guessed = labels[:, None] == present, predictions[:, None] == present
    counts = [x.sum(0, keepdims=True).astype(float) for x in (actual & guessed, actual, guessed)]
    (found,) = FROM_COUNTS[name](counts[0], np.stack(counts[1:]), present)
    assert found == pytest.approx(SKLEARN[name](labels, predictions))


def test_bootstrap_from_counts_agrees_with_drawing_examples():
    generator = np.random.default_rng(0)
    labels = generator.integers(2, size=300)
    predictions = np.where(generator.random(300) < 0.8, labels, 1 - labels)
    table = Counter(zip(labels.tolist(), predictions.tolist(), strict=True))
    (found,) = _resampled_from_counts("matthews", table, num_examples=300, seed=1)
    direct = []
    for _ in range(200):
        drawn = generator.integers(300, size=300)
        direct.append(sklearn_metrics.matthews_corrcoef(labels[drawn], predictions[drawn]))
    assert found.mean() == pytest.approx(np.mean(direct), abs=0.01)
    assert found.std() == pytest.approx(np.std(direct), rel=0.15)


def test_rare_classes_do_not_pull_the_interval_of_macro_f1_down():
    generator = np.random.default_rng(1)
    labels = generator.integers(16, size=160)
    predictions = np.where(generator.random(160) < 0.75, labels, generator.integers(16, size=160))
    pairs = [tuple(column.tolist()) for column in (labels, predictions)]
    (resampled,) = _resampled_from_counts(
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


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_accuracy_ties_exactly_when_mcnemar_does_not_reject(outcomes):
    labels = (1,) * len(outcomes)
    a, b = (
        evaluation(labels, tuple(int(right) for right in side), "accuracy")
        for side in zip(*outcomes, strict=True)
    )
    found = compare(a, b)
    only_a = sum(x and not y for x, y in outcomes)
    discordant = sum(x != y for x, y in outcomes)
    p_value = stats.binomtest(only_a, discordant).pvalue if discordant else 1.0
    assert found.p_value == pytest.approx(p_value)
    assert found.tie == (p_value > 0.05)
    assert found.discordant == (only_a, discordant - only_a)
    difference = found.interval
    assert difference.value == pytest.approx((2 * only_a - discordant) / len(outcomes))
    assert difference.low <= difference.value + 1e-12
    assert difference.value <= difference.high + 1e-12
    swapped = compare(b, a).interval
    assert (swapped.low, swapped.high) == pytest.approx((-difference.high, -difference.low))
    assert json.loads(json.dumps(found.to_dict()))["tie"] == found.tie


def test_the_exact_test_decides_where_the_interval_says_otherwise():
    found = PairedComparison.of_accuracies(31, 17, n=872)
    assert found.interval.low > 0
    assert found.p_value > 0.05
    assert found.tie


@pytest.mark.parametrize(
    ("counts", "n", "verdict"),
    [
        ((60, 20), 872, "distinguishable on 872 examples"),
        (
            (0, 0),
            872,
            "not distinguishable on 872 examples (a loss of 0.0091 would have been seen with "
            "80 % power)",
        ),
        (
            (1, 0),
            4,
            "not distinguishable on 4 examples (too few for a loss of any size to be seen)",
        ),
    ],
)
def test_a_tie_says_what_would_have_been_seen(counts, n, verdict):
    assert PairedComparison.of_accuracies(*counts, n=n).verdict == verdict


@pytest.mark.parametrize("metric", ["f1", "macro_f1", "matthews"])
def test_agreement_on_every_example_leaves_a_difference_open(metric):
    labels = (0, 1) * 100
    found = evaluation(labels, tuple(1 - label for label in labels[:20]) + labels[20:], metric)
    pair = compare(found, found)
    assert pair.interval.value == 0
    assert pair.interval.low < -0.005 < 0.005 < pair.interval.high
    assert pair.detectable > pair.interval.high


@pytest.mark.parametrize("metric", ["macro_f1", "matthews"])
def test_other_class_metrics_compare_by_paired_bootstrap(metric):
    labels = (0, 1) * 200
    good = tuple(label if i % 10 else 1 - label for i, label in enumerate(labels))
    poor = tuple(label if i % 3 else 1 - label for i, label in enumerate(labels))
    a, b = (evaluation(labels, predictions, metric) for predictions in (good, poor))
    assert compare(a, a).tie
    found = compare(a, b)
    assert not found.tie
    assert found.to_dict()["tie"] is False
    assert found.interval.low < found.interval.value < found.interval.high


def test_correlations_compare_by_their_intervals():
    generator = np.random.default_rng(0)
    labels = generator.normal(size=200)
    good, poor = (labels + generator.normal(size=200) * noise for noise in (0.3, 2))
    a, b = (
        evaluation(tuple(labels.tolist()), tuple(side.tolist()), "spearman")
        for side in (good, poor)
    )
    assert compare(a, a).tie
    assert compare(a, b).interval.low > 0


def test_only_evaluations_of_the_same_examples_compare():
    a = evaluation((0, 1), (0, 1), "accuracy")
    b = evaluation((1, 1), (0, 1), "accuracy")
    with pytest.raises(ValueError, match="only evaluations of the same examples compare"):
        compare(a, b)


def test_reading_tasks_needs_no_heavy_package():
    code = (
        "import sys, paretobert.tasks.metrics, paretobert.tasks.task, paretobert.tasks.loading; "
        "print(*sorted({'torch', 'transformers', 'sklearn', 'scipy', 'pandas', 'pyarrow', "
        "'datasets'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stdout.strip()) == (0, ""), result.stderr


@settings(max_examples=25, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("name", ["accuracy", "f1", "macro_f1", "matthews", "pearson"])
def test_weighted_scores_are_those_of_the_examples_repeated(name, data):
    column = st.lists(st.integers(0, 1), min_size=12, max_size=12)
    labels, first, second = (np.array(data.draw(column)) for _ in range(3))
    weights = np.array([data.draw(st.lists(st.integers(0, 2), min_size=12, max_size=12))] * 2)
    weights[:, 0], weights[1, 1:3] = 1, 2
    found = weighted_scores(name, labels, (first, second), weights.astype(float))
    for row, weighting in zip(found, weights, strict=True):
        for value, guesses in zip(row, (first, second), strict=True):
            repeated = [tuple(np.repeat(x, weighting).tolist()) for x in (labels, guesses)]
            if min(map(len, map(set, repeated))) > 1 or name in ("accuracy", "f1"):
                assert value == pytest.approx(METRICS[name](*repeated), abs=1e-9)


@given(
    st.lists(st.lists(st.integers(0, 2), min_size=12, max_size=12), min_size=1, max_size=6),
)
def test_discordant_examples_of_many_are_those_of_each_pair(rows):
    labels = (0, 1, 2) * 4
    first, *others = [evaluation(labels, tuple(row), "accuracy") for row in (labels, *rows)]
    predictions = np.array([entry.predictions for entry in others])
    only_first, only_other = discordant(first, predictions)
    pairs = zip(only_first.tolist(), only_other.tolist(), strict=True)
    assert list(pairs) == [compare(first, other).discordant for other in others]


@pytest.mark.parametrize(
    ("column", "typecode"), [((0, 1), "B"), ((0, 300), "H"), ((0, 70_000), "l"), ((0.5, 1), "d")]
)
def test_outcomes_are_kept_in_as_few_bytes_as_hold_them(column, typecode):
    assert compact(column).typecode == typecode
    assert list(compact(column)) == list(column)
    assert compact(compact(column)) == compact(column)


@given(weights=st.lists(st.integers(0, 3), min_size=6, max_size=6).filter(any))
def test_whole_weights_and_others_give_the_same_accuracy(weights):
    labels, guesses = (0, 1, 1, 0, 1, 0), [(0, 1, 0, 0, 1, 1), (1, 1, 1, 0, 0, 0)]
    rows = np.array([weights], dtype=float)
    whole, halved = (
        weighted_scores("accuracy", labels, guesses, each) for each in (rows, rows / 3)
    )
    assert whole == pytest.approx(halved)
