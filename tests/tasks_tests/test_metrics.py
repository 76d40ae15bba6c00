"""Metrics under weightings and resamples, against scikit-learn."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from paretobert.tasks.metrics import FROM_COUNTS, METRICS, resampled_from_counts, weighted_scores

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
    (found,) = resampled_from_counts("matthews", table, num_examples=300, seed=1)
    direct = []
    for _ in range(200):
        drawn = generator.integers(300, size=300)
        direct.append(sklearn_metrics.matthews_corrcoef(labels[drawn], predictions[drawn]))
    assert found.mean() == pytest.approx(np.mean(direct), abs=0.01)
    assert found.std() == pytest.approx(np.std(direct), rel=0.15)


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


@given(weights=st.lists(st.integers(0, 3), min_size=6, max_size=6).filter(any))
def test_whole_weights_and_others_give_the_same_accuracy(weights):
    labels, guesses = (0, 1, 1, 0, 1, 0), [(0, 1, 0, 0, 1, 1), (1, 1, 1, 0, 0, 0)]
    rows = np.array([weights], dtype=float)
    whole, halved = (
        weighted_scores("accuracy", labels, guesses, each) for each in (rows, rows / 3)
    )
    assert whole == pytest.approx(halved)
