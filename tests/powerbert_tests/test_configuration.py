import csv
import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertConfig

from paretobert.encoders.families import shape_of
from paretobert.errors import InputError
from paretobert.networks.retention import Retention
from paretobert.networks.subnet import SubnetConfig
from paretobert.powerbert.configuration import (
    Costs,
    FixedPenalty,
    Target,
    encoder_macs,
    floored,
    retention_learning_rate,
    search_for,
)
from paretobert.powerbert.options import PowerOptions
from paretobert.powerbert.soft import SoftRetention
from paretobert.profiling.counts import count_macs
from paretobert.training.loop import linear_decay

BERT_BASE = shape_of(BertConfig())
PUBLISHED = (153, 125, 111, 105, 85, 80, 72, 48, 35, 27, 22, 5)


def target(speedup: float = 2.0, *, unit: str = "percent", lengths=(20, 60, 128)) -> Target:
    options = PowerOptions(target_speedup=speedup, unit=unit)
    return Target.of(options, BERT_BASE, lengths)


def test_the_published_example() -> None:
    """868 of 3072 word-vectors and 3.29 times fewer multiply-adds on BERT-base at 256 tokens."""
    assert sum(PUBLISHED) == 868
    assert 12 * 256 == 3072
    whole = encoder_macs(BERT_BASE, 256, [256] * 12)
    assert whole / encoder_macs(BERT_BASE, 256, PUBLISHED) == pytest.approx(3.29, abs=0.005)
    tokens = target(unit="tokens", lengths=(256,))
    assert 1 / tokens.costs.of_masses(PUBLISHED) == pytest.approx(3.29, abs=0.005)


def test_costs_agree_with_the_counts() -> None:
    full = SubnetConfig.full(BERT_BASE)
    fewer = SubnetConfig(full.layers, full.heads, full.neurons, Retention(PUBLISHED))
    saved = count_macs(BERT_BASE, full, seq_len=256) - count_macs(BERT_BASE, fewer, seq_len=256)
    ours = encoder_macs(BERT_BASE, 256, [256] * 12) - encoder_macs(BERT_BASE, 256, PUBLISHED)
    assert saved == ours


def fall_of_r(rates: list[float], *, weight: float) -> float:
    """How far Adam brings down one entry that the penalty alone acts on."""
    entry = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
    optimizer = torch.optim.Adam([entry])
    for rate in rates:
        optimizer.param_groups[0]["lr"] = rate
        entry.grad = torch.full_like(entry, weight)
        optimizer.step()
    return 1 - entry.item()


def published_rates(peak: float, num_steps: int) -> list[float]:
    """The published code's schedule: it decays from the first step on, warm-up included."""
    warm = num_steps // 10
    return [
        peak * (step / warm if step < warm else 1 - step / num_steps) for step in range(num_steps)
    ]


def test_adam_bounds_the_fall_whatever_lambda_is(shared_dir: Path) -> None:
    """The published flags move r by so much in three epochs, and no more."""
    with (shared_dir / "papers" / "power_adam_displacement_derived.csv").open() as file:
        rows = {row["dataset"]: row for row in csv.DictReader(file)}
    for name in ("MRPC", "CoLA", "RTE", "STS-B"):
        row = rows[name]
        num_steps = 3 * int(row["steps_per_epoch"])
        rates = published_rates(float(row["lr_soft"]), num_steps)
        for weight in (1e-4, 1e-2):
            expected = float(row["sum_lr_3_epochs"])
            assert fall_of_r(rates, weight=weight) == pytest.approx(expected, abs=0.011)


@pytest.mark.parametrize("num_steps", [60, 600])
def test_our_learning_rate_lets_r_fall_to_nothing(num_steps: int) -> None:
    peak = retention_learning_rate(PowerOptions().retention_travel, num_steps)
    rates = [peak * linear_decay(step, num_steps, warmup_share=0.1) for step in range(num_steps)]
    assert 1.0 < fall_of_r(rates, weight=1e-3) < 1.5


def test_reading_off_as_published() -> None:
    assert floored([80.9, 55.2, 60.0, 0.3]) == (80, 55, 55, 1)
    assert floored([0.2, 0.9, 7.0]) == (1, 1, 1)


masses = st.lists(st.floats(0.5, 100), min_size=12, max_size=12)


@pytest.mark.parametrize("unit", ["percent", "tokens"])
@given(masses=masses, speedup=st.floats(1.2, 6))
def test_no_more_of_the_same_proportions_meets_the_target(
    unit: str, masses: list[float], speedup: float
) -> None:
    wanted = target(speedup, unit=unit)
    found = wanted.read_off(masses)
    assert found.unit == unit
    assert wanted.costs.of(found) <= wanted.cost
    most = floored([float(wanted.costs.longest)] * 12)
    if found.amounts == most:
        return
    monotone = [min(masses[: place + 1]) for place in range(12)]
    factor = min(
        (amount + 1) / mass
        for amount, mass, largest in zip(found.amounts, monotone, most, strict=True)
        if amount < largest
    )
    more = floored([min(wanted.costs.longest, factor * 1.000001 * mass) for mass in masses])
    assert wanted.costs.of(Retention(more, unit)) > wanted.cost


def test_the_masses_of_a_layer_that_lost_everything_stay_at_one() -> None:
    assert target(2.0).read_off([90.0, *[0.0] * 11]).amounts[1:] == (1,) * 11


def test_amounts_count_as_they_are_rounded() -> None:
    """Of three tokens, 34 percent are two."""
    wanted = Target.of(PowerOptions(target_tokens=0.5), BERT_BASE, (3, 3, 50))
    found = wanted.costs.of(Retention((34,) * 12, "percent"))
    assert found == pytest.approx((2 + 2 + 17) / 56)
    assert wanted.costs.of_masses([34.0] * 12) == pytest.approx(0.34)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target_speedup": 50}, r"target 50 times is out of reach: .* so that 19\.1 times"),
        ({"target_tokens": 0.01}, r"target 0\.01 is out of reach: .* so that 0\.0\d+ of the"),
    ],
)
def test_a_target_out_of_reach_is_refused(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Target.of(PowerOptions(**options), BERT_BASE, (20, 60))


def test_a_share_of_tokens_may_be_the_target() -> None:
    options = PowerOptions(target_tokens=0.3, unit="tokens")
    wanted = Target.of(options, BERT_BASE, (64, 128))
    found = wanted.read_off([float(n) for n in range(120, 0, -10)])
    kept = sum(sum(found.kept(length)) for length in (64, 128))
    assert kept / (12 * (64 + 128)) == pytest.approx(0.3, abs=0.02)


def test_the_penalty_steers_towards_the_line() -> None:
    wanted = target(2.0)
    everything, half = [100.0] * 12, [50.0] * 12

    def at(masses: list[float], progress: float, resistance: float = 0.13) -> float:
        return wanted.penalty(masses, progress=progress, resistance=resistance)

    assert at(everything, 0.0) == pytest.approx(0.13 / 6.5)
    assert at(everything, 0.8) > 100 * at(everything, 0.0)
    assert at(half, 0.0) < at(everything, 0.0)
    assert at(half, 0.9) < at(everything, 0.9)
    assert at(half, 0.8) == at(half, 1.0)
    assert at(half, 0.5, 1.3) == pytest.approx(10 * at(half, 0.5))


def test_a_fixed_lambda_stays_and_reads_off_floors() -> None:
    search = search_for(PowerOptions(penalty=7e-4), BERT_BASE, (20, 60))
    assert isinstance(search, FixedPenalty)
    masses = [80.9, 85.0, *[40.2] * 9, 7.0]
    assert search.penalty(masses, progress=0.0, resistance=0.1) == 7e-4
    assert search.penalty([1.0] * 12, progress=1.0, resistance=9.0) == 7e-4
    assert search.read_off(masses).amounts == (80, 80, *[40] * 9, 1)


def test_the_costs_of_the_least_that_is_learnt_are_those_of_the_least_that_is_kept() -> None:
    """Nothing is left but each text's first word-vector: masses and amounts agree exactly."""
    lengths = (4, 8, 8, 25, 60)
    retention = SoftRetention(12, lengths, unit="percent")
    retention.vectors.data.fill_(0)
    costs = Costs.on(lengths, BERT_BASE, unit="percent", counts_tokens=True)
    least = costs.of(Retention((1,) * 12, "percent"))
    assert costs.of_masses(retention.masses().tolist()) == pytest.approx(least)


@pytest.mark.parametrize("lengths", [(4, 8, 10), (20, 60, 128)])
@given(edges=st.lists(st.integers(0, 100), min_size=3, max_size=3))
@settings(deadline=None, max_examples=30)
def test_masses_cost_what_the_same_steps_cost_once_rounded(
    lengths: tuple[int, ...], edges: list[int]
) -> None:
    """Of r in steps: a text keeps as many whole tokens, rounded up."""
    shape = shape_of(BertConfig(num_hidden_layers=3))
    costs = Costs.on(lengths, shape, unit="percent", counts_tokens=True)
    retention = SoftRetention(3, lengths, unit="percent")
    edges = sorted(edges, reverse=True)
    with torch.no_grad():
        for vector, edge in zip(retention.vectors, edges, strict=True):
            vector[edge:] = 0
    hard = costs.of(Retention(tuple(max(1, edge) for edge in edges), "percent"))
    token = len(lengths) / sum(lengths)
    excess = hard - costs.of_masses(retention.masses().tolist())
    assert -1e-6 <= excess < token


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target_speedup": 2, "target_tokens": 0.5}, "Give one of a target .* not 2 of them"),
        ({"target_tokens": 0.5, "penalty": 1e-3}, "Give one of a target .* not 2 of them"),
        ({"target_speedup": 2, "target_tokens": 0.5, "penalty": 1e-3}, "not 3 of them"),
        ({"penalty": 0.0}, "lambda must be positive, not 0"),
        ({"penalty": -1.0}, "lambda must be positive, not -1"),
        ({"retention_learning_rate": 0.0}, "retention_learning_rate must be positive"),
        ({"target_speedup": 1.0}, "must be above 1, not 1"),
        ({"target_tokens": 1.5}, "between 0 and 1, not 1.5"),
        ({"unit": "bytes"}, "unit 'bytes' is not one of percent, tokens"),
        ({"diagonal": "maybe"}, "diagonal 'maybe' is not one of"),
        ({"search_epochs": 0}, "search_epochs must be at least 1"),
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
        ({"weight_decay": -1.0}, "weight_decay must be at least 0, not -1"),
        ({"warmup_share": 1.0}, r"warmup_share must be in \[0, 1\)"),
    ],
)
def test_impossible_options_are_refused(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        PowerOptions(**options)


@pytest.mark.parametrize(
    ("options", "label"),
    [
        ({}, "PoWER-BERT (2x, percent)"),
        ({"target_tokens": 0.25, "unit": "tokens"}, "PoWER-BERT (25% of tokens, tokens)"),
        ({"target_speedup": 3, "diagonal": "include"}, "PoWER-BERT (3x, percent, diagonal)"),
        ({"penalty": 1e-3}, "PoWER-BERT (lambda 0.001, percent)"),
        (
            {"penalty": 7e-4, "retention_learning_rate": 0.01, "unit": "tokens"},
            "PoWER-BERT (lambda 0.0007, rate 0.01, tokens)",
        ),
    ],
)
def test_options_have_words(options: dict, label: str) -> None:
    assert PowerOptions(**options).label == label


def test_a_target_is_chosen_only_where_none_is_given() -> None:
    assert PowerOptions().target_speedup == 2.0
    assert PowerOptions(penalty=7e-4).target_speedup is None


def test_what_decides_the_network_and_what_does_not() -> None:
    asked = PowerOptions(target_speedup=2).to_dict()
    assert json.loads(json.dumps(asked)) == asked
    assert PowerOptions(checkpoint_steps=7).to_dict() == asked == PowerOptions().to_dict()
    for change in ({"seed": 1}, {"learning_rate": 1e-4}, {"unit": "tokens"}):
        assert PowerOptions(**change).to_dict() != asked
