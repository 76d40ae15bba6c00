"""The teacher without its least important units, as it is and repaired."""

import json
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, PreTrainedModel

from paretobert.baselines.pruned import (
    PRUNED,
    REPAIRED,
    PrunedOptions,
    RepairedOptions,
    kept_units,
)
from paretobert.dynabert.importance import task_importance
from paretobert.encoders.extraction import architecture_of
from paretobert.errors import InputError
from paretobert.networks.shape import EncoderShape
from paretobert.networks.subnet import SubnetConfig
from paretobert.profiling.counts import count_encoder_macs, count_parameters
from paretobert.profiling.workload import Workload
from paretobert.tasks.batches import encode, encode_texts, padded
from paretobert.training.classifier import load_stored
from paretobert.training.method import Making

from ..learnable import make_task, no_cut

SHAPE = EncoderShape("bert", 2, 3, 4, 12, 4, 12, 50, 64, 2, 2)
HEADS = [[4.0, 1.0, 0.5], [30.0, 20.0, 10.0]]
NEURONS = [[1.0, 1.0, 1.0, 1.0], [8.0, 4.0, 2.0, 1.0]]
WORKLOAD = Workload.of(SHAPE, [16])


def macs(config: SubnetConfig) -> int:
    return count_encoder_macs(SHAPE, config, seq_len=16)


def logits(model: PreTrainedModel, teacher: Path) -> torch.Tensor:
    tokenizer = AutoTokenizer.from_pretrained(teacher)
    encoded = encode(make_task().search, tokenizer, max_length=32)
    batch = padded(encoded, range(len(encoded)))
    del batch["labels"]
    with torch.inference_mode():
        return model.eval()(**batch).logits


def worth(config: SubnetConfig) -> float:
    """The importance that is kept, each layer's shares of the best units summed."""
    total = 0.0
    for counts, scores in ((config.heads, HEADS), (config.neurons, NEURONS)):
        for count, units in zip(counts, scores, strict=True):
            total += sum(sorted(units, reverse=True)[:count]) / sum(units)
    return total


@pytest.mark.parametrize("target", [1.7, 1.4, 1.25, 1.1, 1.01])
def test_no_other_choice_keeps_more_importance(target: float) -> None:
    found = kept_units(HEADS, NEURONS, WORKLOAD, target_speedup=target)
    limit = macs(SubnetConfig.full(SHAPE)) / target
    assert macs(found) <= limit
    everything = (
        SubnetConfig((0, 1), heads, neurons)
        for heads in product(range(1, 4), repeat=2)
        for neurons in product(range(1, 5), repeat=2)
    )
    allowed = [c for c in everything if macs(c) <= limit]
    assert worth(found) == pytest.approx(max(map(worth, allowed)))


def test_a_layer_of_one_important_unit_keeps_fewer() -> None:
    heads = [[10.0, 0.1, 0.1], [2.0, 2.0, 2.0]]
    found = kept_units(heads, NEURONS, WORKLOAD, target_speedup=1.4)
    assert found.heads == (1, 3)


def test_units_without_importance_are_still_counted() -> None:
    nothing = [[0.0] * 3] * 2, [[0.0] * 4] * 2
    found = kept_units(*nothing, WORKLOAD, target_speedup=1.4)
    assert macs(found) <= macs(SubnetConfig.full(SHAPE)) / 1.4


@pytest.mark.parametrize("target", [1e9, 10])
def test_a_target_out_of_reach_is_refused(target: float) -> None:
    message = r"One head and one neuron in each layer have 3\.[0-9] times fewer multiply-adds"
    with pytest.raises(InputError, match=message):
        kept_units(HEADS, NEURONS, WORKLOAD, target_speedup=target)


def test_it_computes_what_the_masked_teacher_does(teacher: Path, tmp_path: Path) -> None:
    task = make_task()
    place = Making(teacher, no_cut, task, tmp_path / "made", lambda state: None)
    PRUNED.make(place, PrunedOptions(target_speedup=1.6))
    made = load_stored(place.network)
    shape, kept = architecture_of(made.config)
    assert len(set(kept.heads)) + len(set(kept.neurons)) > 2
    tokenizer = AutoTokenizer.from_pretrained(teacher)
    lengths = encode_texts(task.train, tokenizer, max_length=32).lengths
    assert 1.6 <= Workload.of(shape, lengths).speedup(shape, kept) < 1.65
    assert made.num_parameters() == count_parameters(shape, kept)

    model = load_stored(teacher)
    scores = task_importance(model, tokenizer, task, batch_size=32)
    with torch.no_grad():
        for layer, heads, neurons, num_heads, num_neurons in zip(
            model.bert.encoder.layer,
            scores.heads,
            scores.neurons,
            kept.heads,
            kept.neurons,
            strict=True,
        ):
            for head in heads.argsort(descending=True)[num_heads:]:
                layer.attention.output.dense.weight[:, 8 * head : 8 * head + 8] = 0
            layer.output.dense.weight[:, neurons.argsort(descending=True)[num_neurons:]] = 0
    torch.testing.assert_close(logits(made, teacher), logits(model, teacher))


def test_repaired_it_is_nearer_to_the_teacher(teacher: Path, tmp_path: Path) -> None:
    full = load_stored(teacher)
    target = logits(full, teacher)
    encoded = encode_texts(
        make_task().train, AutoTokenizer.from_pretrained(teacher), max_length=32
    )
    workload = Workload.of(architecture_of(full.config)[0], encoded.lengths)

    def distance(method: object, options: object, name: str) -> float:
        place = Making(teacher, no_cut, make_task(), tmp_path / name, lambda state: None)
        method.make(place, options)
        shape, kept = architecture_of(load_stored(place.network).config)
        assert workload.speedup(shape, kept) >= 1.6
        return (logits(load_stored(place.network), teacher) - target).square().mean().item()

    pruned = distance(PRUNED, PrunedOptions(target_speedup=1.6), "pruned")
    repaired = distance(REPAIRED, RepairedOptions(target_speedup=1.6), "repaired")
    assert repaired < 0.5 * pruned
    again = distance(REPAIRED, RepairedOptions(target_speedup=1.6), "again")
    assert again == repaired


@pytest.mark.parametrize(
    ("options", "change", "message"),
    [
        (PrunedOptions, {"target_speedup": 1.0}, "must be above 1, not 1"),
        (PrunedOptions, {"target_speedup": 0.0}, "must be above 1, not 0"),
        (RepairedOptions, {"target_speedup": float("nan")}, "must be above 1, not nan"),
        (RepairedOptions, {"num_texts": 1}, "num_texts must be at least 2, not 1"),
        (RepairedOptions, {"seed": -1}, "seed must be at least 0"),
    ],
)
def test_impossible_options_are_refused(options: type, change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        options(**change)


def test_what_decides_the_network() -> None:
    for options in (PrunedOptions(), RepairedOptions()):
        asked = options.to_dict()
        assert json.loads(json.dumps(asked)) == asked
        assert replace(options, target_speedup=3.0).to_dict() != asked
    assert PrunedOptions(target_speedup=4).label == "pruned (4x)"
    assert RepairedOptions().label == "repaired (2x)"
