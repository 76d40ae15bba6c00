import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretobert.dynabert.retention import Retention
from paretobert.dynabert.shape import EncoderShape
from paretobert.dynabert.subnet import SubnetConfig
from paretobert.dynabert.training import linear_decay
from paretobert.errors import InputError
from paretobert.powerbert.configuration import (
    SCHEDULE_AREA,
    Target,
    encoder_macs,
    floored,
    penalty,
    read_off,
    retention_learning_rate,
)
from paretobert.powerbert.options import PowerOptions
from paretobert.profiling.counts import count_macs

BERT_BASE = EncoderShape(
    family="bert",
    num_layers=12,
    num_heads=12,
    head_size=64,
    hidden_size=768,
    ffn_size=3072,
    embedding_size=768,
    vocab_size=30522,
    num_positions=512,
    num_token_types=2,
    num_labels=2,
)
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


@pytest.mark.parametrize("total", [200, 1000])
def test_the_area_of_the_schedule(total: int) -> None:
    rates = [linear_decay(step, total, warmup_share=0.1) for step in range(total)]
    assert sum(rates) / total == pytest.approx(0.5, abs=0.01)
    assert sum(rates) / total >= SCHEDULE_AREA


def test_the_displacements_of_the_fact_sheet(shared_dir: Path) -> None:
    """Where the penalty dominates, r falls by no more than the sum of the learning rates."""
    with (shared_dir / "papers" / "power_adam_displacement_derived.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        num_steps = 5 * int(row["steps_per_epoch"])
        moved = SCHEDULE_AREA * float(row["lr_soft"]) * num_steps
        assert moved == pytest.approx(float(row["sum_lr_5_epochs"]), abs=0.02)
        assert SCHEDULE_AREA * retention_learning_rate(2.5, num_steps) * num_steps > 1


def test_reading_off_as_published() -> None:
    assert floored([80.9, 55.2, 60.0, 0.3], "tokens") == [80, 55, 55, 1]
    assert floored([100.0, 100.0], "percent") == [100, 1]


masses = st.lists(st.floats(0.5, 100), min_size=12, max_size=12)


@given(masses=masses, speedup=st.floats(1.2, 6))
def test_the_target_is_met_and_not_missed_by_much(masses: list[float], speedup: float) -> None:
    wanted = target(speedup)
    found = read_off(masses, wanted)
    assert isinstance(found, Retention)
    assert found.unit == "percent"
    cost = wanted.relative_cost(found.amounts)
    floor = wanted.relative_cost([1.0] * 12)
    assert cost <= max(wanted.cost, floor) + 1e-9
    everything = wanted.relative_cost(floored([100.0] * 12, "percent"))
    assert cost >= min(wanted.cost, everything) - 0.06


def test_a_share_of_tokens_may_be_the_target() -> None:
    options = PowerOptions(target_tokens=0.3, unit="tokens")
    wanted = Target.of(options, BERT_BASE, (64, 128))
    found = read_off([float(n) for n in range(120, 0, -10)], wanted)
    kept = sum(sum(found.kept(length)) for length in (64, 128))
    assert kept / (12 * (64 + 128)) == pytest.approx(0.3, abs=0.02)


def test_the_penalty_steers_towards_the_line() -> None:
    wanted = target(2.0)
    everything, half = [100.0] * 12, [50.0] * 12
    early = penalty(wanted, everything, progress=0.0)
    assert penalty(wanted, everything, progress=0.8) > 100 * early
    assert penalty(wanted, half, progress=0.0) < early
    assert penalty(wanted, half, progress=0.9) < penalty(wanted, everything, progress=0.9)


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
