"""Influences against the jackknife, intervals against scipy's where its assumption holds."""

import numpy as np
import pytest
from scipy import stats

from paretobert.tasks import correlations
from paretobert.tasks.correlations import (
    INFLUENCES,
    _error,
    _pearson_resamples,
    correlation_interval,
    difference_interval,
)

SCIPY = {"pearson": stats.pearsonr, "spearman": stats.spearmanr}


def columns(n: int, *, seed: int, discrete: bool = False) -> np.ndarray:
    """Labels and two models' predictions: (3, n)."""
    generator = np.random.default_rng(seed)
    labels = generator.normal(size=n)
    both = (labels + noise * generator.normal(size=n) for noise in (0.6, 0.8))
    return np.stack([np.round(2 * labels) / 2 if discrete else labels, *both])


@pytest.mark.parametrize("discrete", [False, True])
@pytest.mark.parametrize("name", SCIPY)
def test_influences_are_what_leaving_an_example_out_does(name, discrete):
    labels, predictions, _ = columns(150, seed=0, discrete=discrete)
    value, influence = INFLUENCES[name](labels, predictions)
    assert value == pytest.approx(SCIPY[name](labels, predictions).statistic)
    assert influence.mean() == pytest.approx(0, abs=1e-12)
    without = np.array(
        [
            SCIPY[name](np.delete(labels, i), np.delete(predictions, i)).statistic
            for i in range(len(labels))
        ]
    )
    jackknife = (len(labels) - 1) * (without.mean() - without)
    assert np.corrcoef(influence, jackknife)[0, 1] > 0.998
    assert influence.std() == pytest.approx(jackknife.std(), rel=0.05)


def test_moments_of_resamples_give_what_the_drawn_examples_do():
    sample = columns(40, seed=5)
    values, variances = _pearson_resamples(sample, seed=7)
    generator = np.random.default_rng(7)
    drawn = np.concatenate(
        [
            generator.integers(40, size=(correlations.BLOCK, 40))
            for _ in range(correlations.RESAMPLES // correlations.BLOCK)
        ]
    )
    for place in (0, 1, correlations.RESAMPLES - 1):
        resample = sample[:, drawn[place]]
        (a, on_a), (b, on_b) = (INFLUENCES["pearson"](resample[0], y) for y in resample[1:])
        assert values[place] == pytest.approx([a, b])
        assert variances[place, 0, 0] == pytest.approx(_error(on_a) ** 2)
        difference = variances[place, 0, 0] - 2 * variances[place, 0, 1] + variances[place, 1, 1]
        assert difference == pytest.approx(_error(on_a - on_b) ** 2)


@pytest.mark.parametrize("name", SCIPY)
def test_interval_of_normal_columns_is_about_fishers(name):
    labels, predictions, _ = columns(1500, seed=1)
    expected = stats.pearsonr(labels, predictions).confidence_interval(0.95)
    error, low, high = correlation_interval(name, labels, predictions, seed=0)
    assert high - low == pytest.approx(expected.high - expected.low, rel=0.25)
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.1)
    value, _ = INFLUENCES[name](labels, predictions)
    assert low < value < high


@pytest.mark.parametrize("name", SCIPY)
def test_difference_interval_agrees_with_drawing_examples(name):
    labels, first, second = columns(300, seed=2, discrete=True)
    generator = np.random.default_rng(3)
    drawn = [
        SCIPY[name](labels[picked], first[picked]).statistic
        - SCIPY[name](labels[picked], second[picked]).statistic
        for picked in generator.integers(300, size=(300, 300))
    ]
    error, low, high = difference_interval(name, labels, first, second, seed=0)
    assert error == pytest.approx(np.std(drawn), rel=0.15)
    assert (low, high) == pytest.approx(np.quantile(drawn, (0.025, 0.975)), abs=0.015)


def heavy(n: int, generator: np.random.Generator) -> np.ndarray:
    """Two columns of a t distribution of 3 degrees of freedom, correlated by .85."""
    normal = generator.normal(size=(2, n))
    normal[1] = 0.85 * normal[0] + np.sqrt(1 - 0.85**2) * normal[1]
    return normal * np.sqrt(3 / generator.chisquare(3, size=n))


def test_pearson_interval_covers_where_tails_are_heavy(monkeypatch):
    """Of Fisher's intervals of the same samples 65 % hold the correlation."""
    monkeypatch.setattr(correlations, "RESAMPLES", 100)
    generator = np.random.default_rng(4)
    fishers, ours = [], []
    for _ in range(60):
        sample = heavy(200, generator)
        interval = stats.pearsonr(*sample).confidence_interval(0.95)
        fishers.append(interval.low <= 0.85 <= interval.high)
        _, low, high = correlation_interval("pearson", *sample, seed=0)
        ours.append(low <= 0.85 <= high)
    assert np.mean(fishers) < 0.8
    assert np.mean(ours) > 0.9


@pytest.mark.parametrize("name", SCIPY)
def test_columns_without_uncertainty(name):
    labels = np.arange(10.0)
    assert correlation_interval(name, labels, np.full(10, 0.1), seed=0) == (0, 0, 0)
    assert correlation_interval(name, labels, 2 * labels, seed=0) == pytest.approx((0, 1, 1))
    assert difference_interval(name, labels, -(labels**2), -(labels**2), seed=0) == (0, 0, 0)
    constant = difference_interval(name, labels, labels, np.zeros(10), seed=0)
    assert constant == pytest.approx((0, 1, 1), abs=1e-6)


@pytest.mark.parametrize("name", SCIPY)
def test_few_examples_say_nothing(name):
    labels, predictions = np.array([0.0, 1.0, 2.0]), np.array([0.0, 2.0, 1.0])
    assert correlation_interval(name, labels, predictions, seed=0) == (1, -1, 1)
    assert difference_interval(name, labels, predictions, labels, seed=0) == (1, -2, 2)


def test_resamples_without_variance_widen_the_interval():
    labels, predictions = np.array([0.0, 0.0, 0.0, 1.0, 1.0]), np.array([0.0, 1.0, 0.5, 3.0, 0.9])
    _, low, high = correlation_interval("pearson", labels, predictions, seed=0)
    assert (low, high) == (-1, 1)
