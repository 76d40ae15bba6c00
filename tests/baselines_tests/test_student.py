"""A student of evenly spaced layers, taught by logits and by the first token's states."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from paretobert.baselines.student import StudentOptions, make, spaced_layers
from paretobert.errors import InputError
from paretobert.tasks.batches import encode, padded
from paretobert.training.loop import TrainingProgress
from paretobert.training.method import Making

from ..learnable import assert_same_weights, make_task, no_cut

OPTIONS = StudentOptions(
    layers=2, steps=8, learning_rate=1e-3, batch_size=8, precision="fp32", checkpoint_steps=3
)


def making(
    teacher: Path, folder: Path, progress: Callable[[TrainingProgress], None] = lambda state: None
) -> Making:
    return Making(teacher, no_cut, make_task(), folder, progress)


def run(folder: Path, *, layers: tuple[int, ...] | None = None) -> object:
    """What stock transformers compute of a checkpoint, all of it or some layers alone."""
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    if layers is not None:
        model.bert.encoder.layer = torch.nn.ModuleList(model.bert.encoder.layer[i] for i in layers)
    encoded = encode(make_task().search, AutoTokenizer.from_pretrained(folder), max_length=32)
    batch = padded(encoded, range(len(encoded)))
    del batch["labels"]
    with torch.inference_mode():
        return model(**batch, output_hidden_states=True)


def directions(output: object, layer: int) -> torch.Tensor:
    return torch.nn.functional.normalize(output.hidden_states[layer][:, 0], dim=-1)


@pytest.mark.parametrize(("num_layers", "number"), [(12, 6), (12, 5), (6, 4), (4, 3), (4, 1)])
def test_layers_are_evenly_spaced_and_end_with_the_last(num_layers: int, number: int) -> None:
    layers = spaced_layers(num_layers, number)
    assert layers[-1] == num_layers - 1
    steps = [b - a for a, b in zip((-1, *layers), layers, strict=False)]
    assert len(layers) == number
    assert max(steps) - min(steps) <= 1


def test_before_it_learns_it_is_the_teachers_layers(teacher: Path, tmp_path: Path) -> None:
    place = making(teacher, tmp_path / "made")
    make(place, replace(OPTIONS, learning_rate=1e-12, weight_decay=0.0))
    torch.testing.assert_close(run(place.network).logits, run(teacher, layers=(1, 3)).logits)


def test_patience_brings_the_states_nearer(teacher: Path, tmp_path: Path) -> None:
    target = directions(run(teacher), 2)

    def distance(patience: float) -> float:
        place = making(teacher, tmp_path / str(patience))
        make(place, replace(OPTIONS, steps=40, learning_rate=3e-3, patience=patience))
        return (directions(run(place.network), 1) - target).square().sum(-1).mean().item()

    assert distance(10.0) < 0.7 * distance(0.0)


def test_a_training_that_is_killed_ends_in_the_same_weights(teacher: Path, tmp_path: Path) -> None:
    options = replace(OPTIONS, patience=1.0)
    make(making(teacher, tmp_path / "whole"), options)

    def kill(state: TrainingProgress) -> None:
        if state.step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(making(teacher, tmp_path / "killed", kill), options)
    make(making(teacher, tmp_path / "killed"), options)
    assert_same_weights(tmp_path / "whole" / "network", tmp_path / "killed" / "network")


@pytest.mark.parametrize("layers", [4, 9])
def test_a_number_of_layers_that_is_no_part(layers: int, teacher: Path, tmp_path: Path) -> None:
    message = f"The teacher has 4 layers: keep 1 to 3 of them, not {layers}"
    with pytest.raises(InputError, match=message):
        make(making(teacher, tmp_path / "made"), replace(OPTIONS, layers=layers))
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": 0}, "layers must be at least 1, not 0"),
        ({"temperature": 0.0}, "temperature must be positive"),
        ({"patience": -1.0}, "patience must be from 0 to 1,000,000"),
        ({"patience": 1.0, "layers": 1}, "A student of one layer has none before the last"),
        ({"epochs": 0}, "epochs must be at least 1, not 0"),
    ],
)
def test_impossible_options_are_refused(change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        StudentOptions(**change)


def test_what_decides_the_network() -> None:
    asked = OPTIONS.to_dict()
    assert json.loads(json.dumps(asked)) == asked
    for change in ({"layers": 1}, {"temperature": 1.0}, {"patience": 1.0}, {"steps": 9}):
        assert replace(OPTIONS, **change).to_dict() != asked
    assert OPTIONS.label == "student of 2 layers"
    assert replace(OPTIONS, patience=1.0).label == "student of 2 layers, patient"
