"""The fast part of the coverage benchmark: ours cover where what they replaced does not."""

import numpy as np
import pytest
from score_coverage import CLASS_CELLS, class_row, correlation_rows, counts, coverage, power

from paretobert.tasks.proportions import mcnemar_p_value

CELLS = [(200, 0.02, 1.0), (872, 0.05, 0.9), (872, 0.05, 1.0), (2000, 0.002, 0.5)]


@pytest.mark.parametrize(("n", "discordance", "split"), CELLS)
def test_paired_accuracies_are_covered(n, discordance, split):
    assert coverage(n, discordance, split)["tango"] > 0.93


def test_the_former_interval_did_not_cover_nested_errors():
    assert coverage(872, 0.05, 1.0)["former"] < 0.5


def test_drawn_counts_hold_all_of_the_probability():
    only_a, _, chances = counts(872, 0.04, 0.01)
    assert chances.sum() == pytest.approx(1, abs=1e-8)
    assert chances @ only_a == pytest.approx(872 * 0.04)


def test_a_loss_of_a_point_and_a_half_was_a_tie_most_of_the_time():
    n, discordance, loss = 872, 0.0625, 0.015
    ties = 1 - power(n, discordance, loss)
    assert ties == pytest.approx(0.62, abs=0.005)
    share = (discordance + loss) / 2
    drawn = np.random.default_rng(0).multinomial(
        n, [share, discordance - share, 1 - discordance], size=1500
    )
    simulated = [mcnemar_p_value(a, b) >= 0.05 for a, b, _ in drawn.tolist()]
    assert np.mean(simulated) == pytest.approx(ties, abs=0.04)


def test_pearson_is_covered_where_tails_are_heavy():
    (row,) = correlation_rows("t, 3 degrees of freedom", "pearson", {200: 40})
    assert row["one"]["former"] < 0.85 < row["one"]["ours"]


def test_differences_of_f1_are_covered_with_few_discordant_examples():
    row = class_row(CLASS_CELLS[0], n=200, discordance=0.005, split=1.0, samples=30)
    assert row["difference"]["former"] < 0.85 < row["difference"]["ours"]
