"""Every other layer of a model that was fine-tuned with layers dropped at random."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file

from paretobert.baselines.layerdrop import METHOD, LayerDropOptions, kept_in_step
from paretobert.encoders.extraction import architecture_of
from paretobert.errors import InputError
from paretobert.networks.subnet import SubnetConfig
from paretobert.profiling.counts import count_parameters
from paretobert.training.classifier import load_stored
from paretobert.training.loop import TrainingProgress
from paretobert.training.method import Making

from ..learnable import assert_same_weights, make_task, no_cut

OPTIONS = LayerDropOptions(
    layers=2, steps=8, learning_rate=1e-3, batch_size=8, precision="fp32", checkpoint_steps=3
)


def making(
    checkpoint: Path,
    folder: Path,
    progress: Callable[[TrainingProgress], None] = lambda state: None,
) -> Making:
    nothing = folder / "no teacher"
    return Making(nothing, no_cut, make_task(), folder, progress, checkpoint=lambda: checkpoint)


def test_layers_are_dropped_as_often_as_is_asked() -> None:
    drawn = [kept_in_step(6, drop_rate=0.2, seed=0, step=step) for step in range(4000)]
    for layer in range(6):
        kept = sum(layer in layers for layers in drawn) / len(drawn)
        assert kept == pytest.approx(0.8, abs=0.04)
    assert len(set(drawn)) > 40
    assert drawn[7] == kept_in_step(6, drop_rate=0.2, seed=0, step=7)
    assert drawn != [kept_in_step(6, drop_rate=0.2, seed=1, step=step) for step in range(4000)]


def test_it_is_every_other_layer_of_the_checkpoint(tiny_checkpoint: Path, tmp_path: Path) -> None:
    place = making(tiny_checkpoint, tmp_path / "made")
    METHOD.make(place, replace(OPTIONS, steps=1, learning_rate=1e-12, weight_decay=0.0))
    made, full = (
        load_file(folder / "model.safetensors") for folder in (place.network, tiny_checkpoint)
    )
    for ours, theirs in ((0, 1), (1, 3)):
        name = "attention.self.query.weight"
        change = made[f"bert.encoder.layer.{ours}.{name}"] - full[f"encoder.layer.{theirs}.{name}"]
        assert change.abs().max() < 1e-6
    model = load_stored(place.network)
    shape, kept = architecture_of(model.config)
    assert kept == SubnetConfig((0, 1), (4, 4), (64, 64))
    assert model.num_parameters() == count_parameters(shape, kept)
    assert {path.name for path in place.folder.iterdir()} == {"network", "training.jsonl"}


def test_it_learns_the_labels(tiny_checkpoint: Path, tmp_path: Path) -> None:
    losses: list[float] = []
    place = making(tiny_checkpoint, tmp_path / "made", lambda state: losses.append(state.loss))
    METHOD.make(place, replace(OPTIONS, steps=60, learning_rate=3e-3))
    assert sum(losses[-6:]) < 0.6 * sum(losses[:6])


def test_a_training_that_is_killed_ends_in_the_same_weights(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    options = replace(OPTIONS, drop_rate=0.5)
    METHOD.make(making(tiny_checkpoint, tmp_path / "whole"), options)

    def kill(state: TrainingProgress) -> None:
        if state.step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        METHOD.make(making(tiny_checkpoint, tmp_path / "killed", kill), options)
    METHOD.make(making(tiny_checkpoint, tmp_path / "killed"), options)
    assert_same_weights(tmp_path / "whole" / "network", tmp_path / "killed" / "network")


def test_what_is_no_part_of_the_model_is_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has 4 layers: keep 1 to 3 of them, not 4"):
        METHOD.make(making(tiny_checkpoint, tmp_path / "made"), replace(OPTIONS, layers=4))
    for rate in (0.0, 1.0, float("nan")):
        with pytest.raises(InputError, match="drop_rate must be between 0 and 1"):
            replace(OPTIONS, drop_rate=rate)


def test_what_decides_the_network() -> None:
    asked = OPTIONS.to_dict()
    assert json.loads(json.dumps(asked)) == asked
    assert replace(OPTIONS, drop_rate=0.1).to_dict() != asked
    assert OPTIONS.label == "LayerDrop, 2 layers"
