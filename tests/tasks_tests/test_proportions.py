"""Shares and paired differences against published examples, brute force and SciPy."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from paretobert.tasks.proportions import (
    FEWEST,
    POWER,
    Z95,
    _binomial,
    detectable_loss,
    mcnemar_p_value,
    tango_interval,
)


def score_statistic(only_a: int, only_b: int, n: int, difference: float) -> float:
    """Tango's statistic with the constrained likelihood maximised numerically."""

    def unlikely(only_second: float) -> float:
        shares = only_second + difference, only_second, 1 - 2 * only_second - difference
        counts = only_a, only_b, n - only_a - only_b
        pairs = zip(counts, shares, strict=True)
        return -sum(count * math.log(share) for count, share in pairs if count)

    tiny = 1e-12
    found = optimize.minimize_scalar(
        unlikely,
        bounds=(max(0, -difference) + tiny, (1 - difference) / 2 - tiny),
        method="bounded",
        options={"xatol": 1e-12},
    )
    variance = n * (2 * found.x + difference * (1 - difference))
    return (only_a - only_b - n * difference) / math.sqrt(variance)


@settings(max_examples=30, deadline=None)
@given(n=st.integers(20, 3000), only_a=st.integers(0, 60), only_b=st.integers(0, 60))
def test_tango_interval_inverts_the_score_test(n, only_a, only_b):
    assume(only_a + only_b < n - 1)
    low, high = tango_interval(float(only_a), float(only_b), n=n)
    assert low < (only_a - only_b) / n < high
    for end, quantile in ((low, Z95), (high, -Z95)):
        assert score_statistic(only_a, only_b, n, end) == pytest.approx(quantile, abs=1e-3)


@pytest.mark.parametrize(
    ("counts", "n", "published"),
    [((1, 7), 21, (-0.517, -0.026)), ((12, 2), 50, (0.061, 0.345))],
    ids=["Bentur et al. in Fagerland, Lydersen and Laake 2014", "Newcombe 1998"],
)
def test_tango_interval_of_published_examples(counts, n, published):
    only_a, only_b = map(float, counts)
    assert tango_interval(only_a, only_b, n=n) == pytest.approx(published, abs=5e-4)


def test_tango_interval_takes_arrays_and_has_width_without_discordance():
    only_a, only_b = np.array([0.0, 1.0, 30.0]), np.array([0.0, 0.0, 50.0])
    lows, highs = tango_interval(only_a, only_b, n=2000)
    for place, pair in enumerate(zip(only_a.tolist(), only_b.tolist(), strict=True)):
        assert (lows[place], highs[place]) == pytest.approx(tango_interval(*pair, n=2000))
    assert highs[0] == pytest.approx(Z95**2 / (2000 + Z95**2))
    assert (lows[0], lows[1]) == pytest.approx((-highs[0], -0.001418), abs=1e-6)


@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemar_p_value_is_the_binomial_tests(only_a, only_b):
    assume(only_a + only_b)
    expected = stats.binomtest(only_a, only_a + only_b).pvalue
    assert mcnemar_p_value(only_a, only_b) == pytest.approx(expected)


def test_without_discordant_examples_nothing_is_found():
    assert mcnemar_p_value(0, 0) == 1


def power(n: int, *, discordance: float, loss: float) -> float:
    """How often the exact test finds the loss, by summing over every table that can be drawn."""
    total, only_b = 0.0, np.arange(n + 1)
    share = (discordance - loss) / (2 * discordance)
    for drawn in range(n + 1):
        against = only_b[: drawn + 1]
        tails = 2 * stats.binom.cdf(against, drawn, 0.5)
        rejected = against[tails < 0.05]
        found = stats.binom.pmf(rejected, drawn, share).sum()
        total += stats.binom.pmf(drawn, n, discordance) * found
    return total


@pytest.mark.parametrize(
    ("n", "discordant"), [(6, 0), (30, 30), (100, 4), (100, 20), (277, 70), (600, 20)]
)
def test_detectable_loss_is_found_with_the_power_stated(n, discordant):
    loss = detectable_loss(n, discordant)
    assert loss is not None
    discordance = max(discordant / n, loss)
    assert power(n, discordance=discordance, loss=loss) == pytest.approx(POWER, abs=1e-5)


def test_detectable_loss_is_found_as_often_in_simulated_samples():
    n, discordant = 872, 60
    loss = detectable_loss(n, discordant)
    shares = [(discordant / n + loss) / 2, (discordant / n - loss) / 2]
    drawn = np.random.default_rng(0).multinomial(n, [*shares, 1 - sum(shares)], size=2000)
    found = [mcnemar_p_value(a, b) < 0.05 and a > b for a, b, _ in drawn.tolist()]
    assert np.mean(found) == pytest.approx(POWER, abs=0.03)


def test_detectable_loss_shrinks_with_examples_and_agreement():
    assert detectable_loss(5000, 300) < detectable_loss(872, 60) < detectable_loss(872, 120)
    assert detectable_loss(872, 0) < detectable_loss(872, 20)


def test_too_few_examples_show_no_loss():
    assert detectable_loss(FEWEST - 1, 2) is None


@given(st.integers(0, 700), st.integers(0, 700), st.sampled_from((0, 1)) | st.floats(1e-6, 0.99))
def test_binomial_chances_are_those_of_scipy(trials, most, share):
    expected = stats.binom.pmf(np.arange(most + 1), trials, share)
    found = _binomial(np.array([trials, trials]), most, share)
    assert found == pytest.approx(np.stack([expected, expected]), rel=1e-9, abs=1e-300)
