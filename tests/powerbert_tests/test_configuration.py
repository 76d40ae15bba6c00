import csv
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertConfig

from paretobert.dynabert.retention import Retention
from paretobert.dynabert.shape import EncoderShape
from paretobert.dynabert.subnet import SubnetConfig
from paretobert.dynabert.training import linear_decay
from paretobert.errors import InputError
from paretobert.powerbert.configuration import (
    Target,
    encoder_macs,
    floored,
    penalty,
    read_off,
    retention_learning_rate,
)
from paretobert.powerbert.options import PowerOptions
from paretobert.profiling.counts import count_macs

BERT_BASE = EncoderShape.from_config(BertConfig())
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
    assert 1 / tokens.relative_cost(PUBLISHED) == pytest.approx(3.29, abs=0.005)


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
    found = read_off(masses, wanted)
    assert found.unit == unit
    assert wanted.cost_of(found) <= wanted.cost
    most = floored([float(wanted.longest)] * 12)
    if found.amounts == most:
        return
    monotone = [min(masses[: place + 1]) for place in range(12)]
    factor = min(
        (amount + 1) / mass
        for amount, mass, largest in zip(found.amounts, monotone, most, strict=True)
        if amount < largest
    )
    more = floored([min(wanted.longest, factor * 1.000001 * mass) for mass in masses])
    assert wanted.cost_of(Retention(more, unit)) > wanted.cost


def test_the_masses_of_a_layer_that_lost_everything_stay_at_one() -> None:
    assert read_off([90.0, 0.0, 0.0, *[0.0] * 9], target(2.0)).amounts[1:] == (1,) * 11


def test_amounts_count_as_they_are_rounded() -> None:
    """Of three tokens, 34 percent are two."""
    wanted = Target.of(PowerOptions(target_tokens=0.5), BERT_BASE, (3, 3, 50))
    found = wanted.cost_of(Retention((34,) * 12, "percent"))
    assert found == pytest.approx((2 + 2 + 17) / 56)
    assert wanted.relative_cost([34.0] * 12) == pytest.approx(0.34)


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
    found = read_off([float(n) for n in range(120, 0, -10)], wanted)
    kept = sum(sum(found.kept(length)) for length in (64, 128))
    assert kept / (12 * (64 + 128)) == pytest.approx(0.3, abs=0.02)


def test_the_penalty_steers_towards_the_line() -> None:
    wanted = target(2.0)
    everything, half = [100.0] * 12, [50.0] * 12

    def at(masses: list[float], progress: float, resistance: float = 0.13) -> float:
        return penalty(wanted, masses, progress=progress, resistance=resistance)

    assert at(everything, 0.0) == pytest.approx(0.13 / 6.5)
    assert at(everything, 0.8) > 100 * at(everything, 0.0)
    assert at(half, 0.0) < at(everything, 0.0)
    assert at(half, 0.9) < at(everything, 0.9)
    assert at(half, 0.8) == at(half, 1.0)
    assert at(half, 0.5, 1.3) == pytest.approx(10 * at(half, 0.5))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target_speedup": 2, "target_tokens": 0.5}, "a share of tokens to keep, not both"),
        ({"target_speedup": 1.0}, "must be above 1, not 1"),
        ({"target_tokens": 1.5}, "between 0 and 1, not 1.5"),
        ({"unit": "bytes"}, "unit 'bytes' is not one of percent, tokens"),
        ({"diagonal": "maybe"}, "diagonal 'maybe' is not one of"),
        ({"search_epochs": 0}, "search_epochs must be at least 1"),
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
        ({"weight_decay": -1.0}, "weight_decay must not be negative"),
        ({"warmup_share": 1.0}, r"warmup_share must be in \[0, 1\)"),
    ],
)
def test_impossible_options_are_refused(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        PowerOptions(**options)


def test_options_have_words_and_survive_json() -> None:
    assert PowerOptions().target_speedup == 2.0
    assert PowerOptions(target_tokens=0.25, unit="tokens").slug == "tokens0.25-tokens"
    assert PowerOptions(diagonal="include").slug == "speedup2-percent-diagonal"
    assert PowerOptions(target_speedup=3).label == "PoWER-BERT (3x, percent)"
    options = PowerOptions(target_tokens=0.25)
    assert PowerOptions.from_dict(options.to_dict()) == options
