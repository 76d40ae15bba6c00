"""The predictor in worlds whose latencies are known."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertConfig

from paretobert.encoders.families import shape_of
from paretobert.errors import InputError
from paretobert.intervals import Interval
from paretobert.networks.network import Cut, Network
from paretobert.networks.spaces import Layerwise
from paretobert.networks.subnet import SubnetConfig
from paretobert.profiling.counts import count_macs
from paretobert.profiling.design import NEURON_STEP, design, held_out
from paretobert.profiling.environment import Environment
from paretobert.profiling.predictor import MODELS, Model, Predictor, Setting
from paretobert.profiling.protocol import LatencyProtocol
from paretobert.profiling.statistics import estimate
from paretobert.profiling.table import CostTable, LatencySummary, Profile

SHAPE = shape_of(BertConfig())
FITTED = design(SHAPE)
HELD_OUT = held_out(SHAPE, without=FITTED)

World = Callable[[SubnetConfig], float]


def additive_ms(config: SubnetConfig) -> float:
    """A world of the block model: a step at every fourth head, as of a tiled kernel."""
    steps = sum(0.2 * heads + 0.3 * (heads // 4) for heads in config.heads)
    return 1.0 + 0.1 * config.num_layers + steps + sum(config.neurons) / 1000


def random_ms(config: SubnetConfig) -> float:
    """A world in which no sub-network says anything about another."""
    return 1.0 + abs(hash(config.key)) % 1000


def table(
    world: World,
    *,
    configs: tuple[SubnetConfig, ...] = (*FITTED, *HELD_OUT),
    noise: float = 0.0,
    seed: int = 0,
) -> CostTable:
    generator = np.random.default_rng(seed)
    full_ms = world(SubnetConfig.full(SHAPE))
    profiles = []
    for config in configs:
        ratios = world(config) / full_ms * (1 + noise * generator.standard_normal(7))
        latency = LatencySummary(
            ratio=estimate(ratios),
            full_ms=Interval(full_ms, full_ms, full_ms, 7, "processes"),
            resolved=True,
            process_ratios=tuple(ratios.tolist()),
            session="table",
            num_runs=105,
        )
        profiles.append(Profile(Network(config.key, Cut(SHAPE, config)), 1, 1, 128, latency))
    environment = Environment.capture()
    return CostTable(LatencyProtocol(), environment, tuple(profiles))


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor.of_table(table(additive_ms, noise=0.01), held_out=HELD_OUT)


def test_the_design_is_small_and_varied() -> None:
    assert len(FITTED) == 40
    assert FITTED[0] == SubnetConfig.full(SHAPE)
    assert len(HELD_OUT) == 20
    assert not set(FITTED) & set(HELD_OUT)
    assert {heads for config in FITTED for heads in config.heads} == set(range(1, 13))
    for config in (*FITTED, *HELD_OUT):
        config.validate_for(SHAPE)
        assert all(neurons % NEURON_STEP == 0 for neurons in config.neurons)
    pairs = [c for c in FITTED if len(set(c.heads)) == len(set(c.neurons)) == 1]
    for config in pairs[:8]:
        depths = {c.num_layers for c in pairs if c.heads[0] == config.heads[0]}
        assert depths >= {6, 12}


def test_the_design_depends_on_the_seed_alone() -> None:
    assert design(SHAPE) == FITTED
    assert design(SHAPE, seed=1) != FITTED
    assert held_out(SHAPE, seed=1) != HELD_OUT


@pytest.mark.parametrize("num_layers", [1, 2, 6])
def test_small_models_have_a_design(num_layers: int) -> None:
    small = replace(SHAPE, num_layers=num_layers, num_heads=2, head_size=8, hidden_size=16)
    small = replace(small, ffn_size=24)
    fitted = design(small, max_networks=12)
    assert len(fitted) <= 12
    for config in (*fitted, *held_out(small, num_networks=2)):
        config.validate_for(small)


def test_an_exact_world_is_recovered() -> None:
    found = Predictor.of_table(table(additive_ms), held_out=HELD_OUT)
    blocks = next(entry for entry in found.validations if entry.model == "blocks")
    assert blocks.mape < 0.005
    assert blocks.kendall_tau > 0.98
    assert blocks.noise_floor == pytest.approx(0, abs=1e-9)


def test_the_smallest_network_of_a_search_is_no_smaller_than_what_is_measured(
    predictor: Predictor,
) -> None:
    smallest = Layerwise(SHAPE).smallest
    assert count_macs(SHAPE, smallest, seq_len=128) >= min(
        count_macs(SHAPE, config, seq_len=128) for config in FITTED
    )
    expected = additive_ms(smallest) / additive_ms(SubnetConfig.full(SHAPE))
    assert predictor.predict(smallest).ratio == pytest.approx(expected, rel=0.1)


def test_the_best_in_cross_validation_is_chosen_and_noise_is_stated(predictor: Predictor) -> None:
    assert {entry.model for entry in predictor.validations} == set(MODELS)
    errors = [entry.fold_error for entry in predictor.validations]
    assert errors == sorted(errors)
    found = predictor.validation
    assert found.usable
    assert found.mape < 0.02
    assert found.worst >= found.mape
    assert found.kendall_tau > 0.95
    assert 0.002 < found.noise_floor < 0.02


@pytest.fixture(scope="module")
def noisy_blocks() -> Model:
    """The block model of noisy measurements."""
    measured = tuple(table(additive_ms, configs=FITTED, noise=0.03))
    ratios = np.array([p.latency.ratio.value for p in measured if p.latency])
    assert len(ratios) == len(FITTED)
    return MODELS["blocks"](FITTED, ratios, Setting(SHAPE, 128))


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_larger_networks_are_never_predicted_faster(
    noisy_blocks: Model, data: st.DataObject
) -> None:
    small = data.draw(st.sampled_from([c for c in HELD_OUT if c.num_layers > 1]))
    layer = data.draw(st.integers(0, small.num_layers - 1))
    heads, neurons = list(small.heads), list(small.neurons)
    heads[layer] = data.draw(st.integers(heads[layer], 12))
    neurons[layer] = data.draw(st.integers(neurons[layer], 3072))
    large = SubnetConfig(small.layers, tuple(heads), tuple(neurons))
    shallow = SubnetConfig(small.layers[:-1], small.heads[:-1], small.neurons[:-1])
    slow, fast, faster = noisy_blocks([large, small, shallow])
    assert slow >= fast >= faster > 0


def test_eliminated_word_vectors_are_known() -> None:
    """A world whose layers cost what their word-vectors do; judged where all eliminate some."""
    fitted = design(SHAPE, least_tokens=0.2)
    judged = held_out(SHAPE, without=fitted, least_tokens=0.2)
    assert sum(config.tokens is not None for config in fitted) > 15
    assert all(config.tokens is not None for config in judged)

    def world(config: SubnetConfig) -> float:
        left = (128,) * config.num_layers if config.tokens is None else config.tokens.kept(128)
        given = (128, *left[:-1])
        layers = zip(config.heads, config.neurons, given, left, strict=True)
        times = (
            0.1 + a / 128 * (0.3 + 0.2 * h) + (a / 128) ** 2 * 0.1 * h + b / 128 * f / 1000
            for h, f, a, b in layers
        )
        return 1.0 + sum(times) + 0.05 * config.num_layers * (config.tokens is not None)

    measured = table(world, configs=(*fitted, *judged), noise=0.005)
    found = Predictor.of_table(measured, held_out=judged)
    blocks = next(entry for entry in found.validations if entry.model == "blocks")
    assert blocks.mape < 0.02
    assert blocks.kendall_tau > 0.95


def test_a_predictor_survives_its_file(predictor: Predictor, tmp_path: Path) -> None:
    predictor.save(tmp_path / "p.json")
    loaded = Predictor.load(tmp_path / "p.json")
    assert loaded.validations == predictor.validations
    for config in HELD_OUT:
        assert loaded.predict(config) == predictor.predict(config)
    full = predictor.predict(SubnetConfig.full(SHAPE))
    assert full.ratio == pytest.approx(1, abs=0.05)
    assert full.error == predictor.validation.mape


def test_a_bad_predictor_is_refused() -> None:
    found = Predictor.of_table(table(random_ms), held_out=HELD_OUT)
    assert not found.validation.usable
    with pytest.raises(InputError, match=r"errs by .*% on held-out networks, more than twice"):
        found.predict(HELD_OUT[0])


def test_a_larger_network_than_the_model_is_refused(predictor: Predictor) -> None:
    with pytest.raises(InputError, match="has heads 13"):
        predictor.predict(SubnetConfig((0,), (13,), (16,)))


def test_damaged_and_foreign_files_are_refused(predictor: Predictor, tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    with pytest.raises(InputError, match="does not exist: build the predictor first"):
        Predictor.load(path)
    predictor.save(path)
    record = json.loads(path.read_text())
    for change, message in (
        ({"schema": 99}, "is no latency predictor of this version"),
        ({"fitted": [{}]}, "damaged in 'fitted'"),
        ({"protocol": {"threads": 0}}, "damaged in 'protocol'"),
        ({"validations": [{"model": "blocks"}]}, "damaged in 'validations'"),
    ):
        path.write_text(json.dumps(record | change))
        with pytest.raises(InputError, match=message):
            Predictor.load(path)
