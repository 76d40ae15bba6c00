"""CoFi: gates, what is read off them, and the two stages of training."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from transformers import AutoTokenizer

from paretobert.baselines.cofi import METHOD, CofiOptions
from paretobert.baselines.cofi_training import nearest_loss, penalise
from paretobert.baselines.gated import GatedModel, read_off
from paretobert.encoders.extraction import architecture_of
from paretobert.encoders.running import EncoderOutput
from paretobert.errors import InputError
from paretobert.networks.shape import EncoderShape
from paretobert.networks.subnet import SubnetConfig
from paretobert.profiling.counts import count_parameters
from paretobert.profiling.workload import Workload
from paretobert.tasks.batches import encode_texts
from paretobert.training.classifier import load_stored
from paretobert.training.distillation import logit_loss
from paretobert.training.loop import TrainingProgress
from paretobert.training.method import Making

from ..learnable import assert_same_weights, make_task, no_cut
from ..tiny_models import make_padded_batch, make_tiny_model

OPTIONS = CofiOptions(
    target_speedup=2.5,
    steps=12,
    learning_rate=1e-3,
    batch_size=8,
    precision="fp32",
    checkpoint_steps=2,
)
SHAPE = EncoderShape("bert", 3, 4, 6, 24, 40, 24, 40, 40, 2, 3)
WORKLOAD = Workload.of(SHAPE, [5, 9, 30])


def making(
    teacher: Path, folder: Path, progress: Callable[[TrainingProgress], None] = lambda state: None
) -> Making:
    return Making(teacher, no_cut, make_task(), folder, progress)


def locate(gated: GatedModel, kind: str, values: dict[int, list[float]]) -> None:
    """Set log a of a kind of gates by layer."""
    for index, layer in enumerate(gated.layers):
        if index in values:
            layer.log_alpha[kind].data = torch.tensor(values[index])


@pytest.mark.parametrize("model_type", ["bert", "distilbert", "electra"])
def test_open_gates_change_nothing(model_type: str) -> None:
    model, batch = make_tiny_model(model_type), make_padded_batch(model_type)
    expected = model(**batch).logits
    gated = GatedModel(model)
    for location in gated.log_alphas():
        location.data.fill_(20.0)
    gated.draw()
    torch.testing.assert_close(gated.run(batch).logits, expected)


@pytest.mark.parametrize("model_type", ["bert", "distilbert", "roberta"])
def test_what_is_read_off_computes_what_the_gated_model_does(model_type: str) -> None:
    torch.manual_seed(0)
    batch, gated = make_padded_batch(model_type), GatedModel(make_tiny_model(model_type))
    shape = gated.shape
    locate(gated, "layer", {0: [9.0], 1: [-9.0], 2: [9.0], 3: [9.0]})
    heads = {0: [9, -9, 9, -9], 2: [-9, -9, 1.0, -9], 3: [9, 9, 9, 9]}
    locate(gated, "heads", {i: list(map(float, row)) for i, row in heads.items()})
    neurons = {i: torch.where(torch.rand(40) < 0.4, 1.5, -9.0).tolist() for i in range(4)}
    locate(gated, "neurons", neurons)
    for layer in gated.layers:
        layer.settle()
    expected = gated.run(batch).logits
    numbers = [sum(location > 0 for location in neurons[i]) for i in (0, 2, 3)]
    config = SubnetConfig((0, 2, 3), (2, 1, 4), tuple(numbers))
    workload = Workload.of(shape, [9])
    dense = gated.dense(workload, macs=workload.macs(shape, config)).eval()
    kept = architecture_of(dense.config)[1]
    assert (kept.heads, kept.neurons) == (config.heads, config.neurons)
    torch.testing.assert_close(dense(**batch).logits, expected)


def test_the_expected_cost_is_the_mean_of_what_is_drawn() -> None:
    torch.manual_seed(0)
    gated = GatedModel(make_tiny_model("bert"))
    for location in gated.log_alphas():
        location.data.normal_(0, 2)
    workload = Workload.of(gated.shape, [5, 9])
    rates, costs = workload.rates, []
    for _ in range(1500):
        gated.draw()
        costs.append(
            sum(
                (layer.gates["layer"] > 0).item()
                * (
                    rates.per_head * (layer.gates["heads"] > 0).sum().item()
                    + rates.per_neuron * (layer.gates["neurons"] > 0).sum().item()
                )
                for layer in gated.layers
            )
            / workload.full
        )
    expected = gated.expected_cost(workload).item()
    assert sum(costs) / len(costs) == pytest.approx(expected, abs=0.02)


locations = st.floats(-8, 8, width=32)


@settings(max_examples=60)
@given(
    layers=st.lists(locations, min_size=3, max_size=3),
    heads=st.lists(st.lists(locations, min_size=4, max_size=4), min_size=3, max_size=3),
    neurons=st.lists(st.lists(locations, min_size=40, max_size=40), min_size=3, max_size=3),
    target=st.floats(1.01, 15),
)
def test_the_target_is_met_to_a_unit(
    layers: list[float], heads: list[list[float]], neurons: list[list[float]], target: float
) -> None:
    macs = int(WORKLOAD.full / target)
    config = read_off(layers, heads, neurons, WORKLOAD, macs=macs)
    spare = macs - WORKLOAD.macs(SHAPE, config)
    assert spare >= 0
    all_neurons = set(config.neurons) == {40}
    assert spare < (WORKLOAD.rates.per_head if all_neurons else WORKLOAD.rates.per_neuron)
    left_out = [layers[i] for i in range(3) if i not in config.layers]
    assert max(left_out, default=-9.0) <= min(layers[i] for i in config.layers)


def test_a_target_below_one_unit_is_refused() -> None:
    row = [[0.0] * 3] * 3
    with pytest.raises(InputError, match="A layer of one head and one neuron has [0-9.]+ times"):
        read_off([0.0] * 3, row, row, WORKLOAD, macs=WORKLOAD.rates.per_head)


def test_the_multipliers_ascend_and_the_gates_descend() -> None:
    gated = GatedModel(make_tiny_model("bert"))
    workload = Workload.of(gated.shape, [9])
    multipliers = [nn.Parameter(torch.tensor(value)) for value in (2.0, 3.0)]
    for gate in gated.log_alphas():
        gate.grad = torch.full_like(gate, 1e-3)
    cost = gated.expected_cost(workload)
    slopes = torch.autograd.grad(cost, gated.log_alphas(), retain_graph=True)
    penalise(gated, multipliers, cost, planned=0.5)
    excess = cost.item() - 0.5
    number = sum(gate.numel() for gate in gated.log_alphas())
    unit = number * 1e-3 / sum(slope.sum().item() for slope in slopes)
    for gate, slope in zip(gated.log_alphas(), slopes, strict=True):
        pushed = 1e-3 + unit * (2 + 2 * 3 * excess) * slope
        torch.testing.assert_close(gate.grad, pushed, rtol=1e-4, atol=1e-7)
    assert multipliers[0].grad.item() == pytest.approx(-excess)
    assert multipliers[1].grad.item() == pytest.approx(-(excess**2))


def test_each_layer_teaches_the_nearest() -> None:
    mask = torch.ones(1, 2)
    states = [torch.full((1, 2, 3), value) for value in (0.0, 4.0)]
    taught = {i: torch.full((1, 2, 3), value) for i, value in enumerate((1.0, 9.0, 5.0))}
    teacher = EncoderOutput(states[0], torch.zeros(1, 2), taught, {})
    assert nearest_loss(states, teacher, mask, [0, 2]).item() == pytest.approx(1 + 1)
    assert nearest_loss(states[:1], teacher, mask, [1]).item() == pytest.approx(81)


def test_it_meets_the_target_and_learns(teacher: Path, tmp_path: Path) -> None:
    place = making(teacher, tmp_path / "made")
    METHOD.make(place, replace(OPTIONS, steps=120, learning_rate=5e-3))
    made = load_stored(place.network).eval()
    shape, kept = architecture_of(made.config)
    tokenizer = AutoTokenizer.from_pretrained(teacher)
    texts = encode_texts(make_task().train, tokenizer, max_length=32)
    full = architecture_of(load_stored(teacher).config)[0]
    assert 2.5 <= Workload.of(full, texts.lengths).speedup(shape, kept) < 2.6
    assert made.num_parameters() == count_parameters(shape, kept)
    assert {path.name for path in place.folder.iterdir()} == {
        *("network", "pruned", "training.jsonl"),
    }
    log = (place.folder / "training.jsonl").read_text().splitlines()
    stages = [json.loads(line) for line in log]
    assert [(entry["stage"], entry["steps"]) for entry in stages] == [
        ("prune", 60),
        ("distil", 60),
    ]

    def loss(folder: Path) -> float:
        batch = tokenizer(list(make_task().train.first), padding=True, return_tensors="pt")
        with torch.inference_mode():
            ours, theirs = (load_stored(f).eval()(**batch).logits for f in (folder, teacher))
        return logit_loss(ours, theirs, head=make_task().head).item()

    assert loss(place.network) < loss(place.folder / "pruned")


@pytest.mark.parametrize("step", [5, 9])
def test_a_training_that_is_killed_ends_in_the_same_weights(
    teacher: Path, tmp_path: Path, step: int
) -> None:
    """In the step of that number of all, which prune first."""
    METHOD.make(making(teacher, tmp_path / "whole"), OPTIONS)
    steps: list[TrainingProgress] = []

    def kill(state: TrainingProgress) -> None:
        steps.append(state)
        if len(steps) == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        METHOD.make(making(teacher, tmp_path / "killed", kill), OPTIONS)
    METHOD.make(making(teacher, tmp_path / "killed"), OPTIONS)
    assert_same_weights(tmp_path / "whole" / "network", tmp_path / "killed" / "network")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target_speedup": 1.0}, "The target speed-up must be above 1, not 1"),
        ({"target_speedup": float("nan")}, "The target speed-up must be above 1, not nan"),
        ({"prune_share": 1.0}, "prune_share must be between 0 and 1, not 1"),
        ({"logits_share": 0.0}, "logits_share must be between 0 and 1, not 0"),
        ({"temperature": 0.0}, "temperature must be positive"),
        ({"steps": 1}, "give 2 steps or more"),
    ],
)
def test_impossible_options_are_refused(change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(OPTIONS, **change)


def test_what_decides_the_network() -> None:
    asked = OPTIONS.to_dict()
    assert json.loads(json.dumps(asked)) == asked
    for change in ({"target_speedup": 3.0}, {"prune_share": 0.4}, {"temperature": 1.0}):
        assert replace(OPTIONS, **change).to_dict() != asked
    assert OPTIONS.label == "CoFi (2.5x)"
