import math
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretobert.errors import InputError
from paretobert.search.budget_words import BudgetWord, parse_budget
from paretobert.search.constraints import Constraint, total_violation
from paretobert.search.quantities import QUANTITIES, quantity_named


@pytest.mark.parametrize(
    ("word", "text", "limit"),
    [
        ("latency", "5ms", 5.0),
        ("latency", "0.005s", 5.0),
        ("latency", " 5 MS ", 5.0),
        ("latency", "250us", 0.25),
        ("latency", ".5ms", 0.5),
        ("params", "15M", 15e6),
        ("params", "15,000,000", 15e6),
        ("params", "1.5e7", 15e6),
        ("params", "22 m", 22e6),
        ("params", "0.1B", 1e8),
        ("flops", "1G", 1e9),
        ("flops", "1GFLOPs", 1e9),
        ("flops", "800MFLOPs", 8e8),
        ("flops", "400 MMACs", 8e8),
        ("score", "0.9", 0.9),
        ("score", "90%", 0.9),
        ("score", "1", 1.0),
        ("score", 0.9, 0.9),
        ("p99", "9ms", 9.0),
        ("throughput", "200/s", 200.0),
        ("throughput", "200 per s", 200.0),
        ("throughput", 200, 200.0),
        ("speedup", "3x", 3.0),
        ("speedup", 3.5, 3.5),
        ("memory", "300MB", 3e8),
        ("memory", "1 GB", 1e9),
        ("disk", "30 MiB", 30 * 2**20),
        ("params", 15_000_000, 15e6),
        ("params", 15e6, 15e6),
        ("energy", "20mJ", 0.02),
        ("energy", "0.5 J", 0.5),
        ("max_loss", "1pt", 0.01),
        ("max_loss", "1 point", 0.01),
        ("max_loss", "1%", 0.01),
        ("max_loss", "0.01", 0.01),
        ("max_loss", 0.01, 0.01),
    ],
)
def test_reads_what_users_type(word: BudgetWord, text: str | float, limit: float) -> None:
    assert parse_budget(word, text).limit == limit


@pytest.mark.parametrize(
    ("word", "text", "accepted"),
    [
        ("latency", "5 parsecs", "in us, ms or s, such as 5ms"),
        ("latency", "5", "in us, ms or s"),
        ("latency", "5M", "in us, ms or s"),
        ("latency", "nan", "above 0"),
        ("latency", "infs", "above 0"),
        ("latency", "1e999s", "above 0"),
        ("latency", "-5ms", "above 0"),
        ("latency", "0ms", "above 0"),
        ("latency", "", "above 0"),
        ("params", ".", "K, M or G"),
        ("params", "15,00", "K, M or G"),
        ("params", "many", "K, M or G"),
        ("flops", "1.2.3G", "K, M, G or T"),
        ("score", "90", "0.9 or 90%"),
        ("score", "0", "0.9 or 90%"),
        ("latency", 5, "in us, ms or s"),
        ("latency", 0.005, "in us, ms or s"),
        ("memory", "300", "KB, MB or GB"),
        ("memory", "300M", "KB, MB or GB"),
        ("throughput", "200ms", "per second"),
        ("speedup", "fast", "such as 3x"),
        ("energy", "5", "mJ or J"),
        ("max_loss", "0", "in points"),
        ("max_loss", "200%", "in points"),
        ("max_loss", "1", "in points"),
    ],
)
def test_refuses_what_is_no_budget(word: BudgetWord, text: str | float, accepted: str) -> None:
    with pytest.raises(
        InputError, match=f"is not a budget for {word.replace('_', '-')}: .*{accepted}"
    ):
        parse_budget(word, text)


@given(st.sampled_from(list(get_args(BudgetWord))), st.text(max_size=12))
def test_any_text_is_a_positive_limit_or_refused(word: BudgetWord, text: str) -> None:
    try:
        constraint = parse_budget(word, text)
    except InputError:
        return
    assert 0 < constraint.limit < math.inf


@given(st.integers(1, 10**12))
def test_counts_are_read_exactly(count: int) -> None:
    assert parse_budget("params", f"{count:,}").limit == count


@pytest.mark.parametrize("quantity", QUANTITIES)
@given(limit=st.floats(1e-3, 1e12), value=st.floats(1e-3, 1e12))
def test_the_violation_has_one_sign_for_both_directions(
    quantity: str, limit: float, value: float
) -> None:
    constraint = Constraint(quantity, limit)
    keeps = value >= limit if QUANTITIES[quantity].larger_is_better else value <= limit
    assert (constraint.violation(value) <= 0) == keeps
    assert (total_violation([constraint], {quantity: value}) == 0) == keeps


def test_constraints_read_well_and_survive_records() -> None:
    constraints = [parse_budget("latency", "5ms"), parse_budget("score", "90%")]
    assert [str(entry) for entry in constraints] == ["latency <= 5 ms", "score >= 0.9"]
    assert constraints[1].phrase(metric="matthews") == "matthews >= 0.9"
    assert [Constraint.from_dict(entry.to_dict()) for entry in constraints] == constraints


@pytest.mark.parametrize("limit", [0.0, -1.0, math.nan, math.inf])
def test_a_limit_is_a_positive_number(limit: float) -> None:
    with pytest.raises(ValueError, match="positive number"):
        Constraint("latency_ms", limit)


def test_unknown_quantities_are_refused() -> None:
    with pytest.raises(ValueError, match="quantity must be one of"):
        Constraint("weight_kg", 1.0)
    with pytest.raises(InputError, match="choose from score, latency_ms"):
        quantity_named("weight_kg")


def test_values_are_written_for_readers() -> None:
    texts = {name: kind.text(1_234_567) for name, kind in QUANTITIES.items()}
    assert texts["num_params"] == texts["num_flops"] == "1.235M"
    assert QUANTITIES["score"].text(0.9) == "0.9"
    assert QUANTITIES["num_params"].text(-2_000_000_000) == "-2G"
    assert QUANTITIES["num_params"].text(7) == "7"
