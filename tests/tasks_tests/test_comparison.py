"""Paired comparisons."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from paretobert.tasks.comparison import PairedComparison, compare, discordant
from paretobert.tasks.scores import score_predictions


def evaluation(labels, predictions, *metrics):
    return score_predictions(
        task="t", split="search", metrics=metrics, labels=labels, predictions=predictions
    )


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
