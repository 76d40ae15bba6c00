"""The first layers of a teacher, taught by its logits."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from paretobert.baselines.first_layers import FirstLayersOptions, make
from paretobert.encoders.extraction import architecture_of
from paretobert.errors import InputError
from paretobert.networks.subnet import SubnetConfig
from paretobert.tasks.batches import encode, padded
from paretobert.tasks.heads import CLASSIFICATION
from paretobert.training.distillation import logit_loss
from paretobert.training.loop import TrainingProgress
from paretobert.training.method import Making

from ..learnable import assert_same_weights, make_task, no_cut, opinionated

OPTIONS = FirstLayersOptions(
    layers=2, epochs=2, learning_rate=1e-3, batch_size=8, precision="fp32", checkpoint_steps=3
)
BARELY = replace(OPTIONS, learning_rate=1e-12, weight_decay=0.0, epochs=1)


def making(
    teacher: Path,
    folder: Path,
    progress: Callable[[TrainingProgress], None] = lambda state: None,
    *,
    kind: str = "classification",
) -> Making:
    return Making(teacher, no_cut, make_task(kind), folder, progress)


def logits(folder: Path, *, layers: int | None = None) -> torch.Tensor:
    """What a checkpoint answers by stock transformers, all of it or its first layers alone."""
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    if layers is not None:
        model.bert.encoder.layer = model.bert.encoder.layer[:layers]
    encoded = encode(make_task().search, AutoTokenizer.from_pretrained(folder), max_length=32)
    batch = padded(encoded, range(len(encoded)), device=torch.device("cpu"))
    del batch["labels"]
    with torch.inference_mode():
        return model(**batch).logits


def test_before_it_learns_it_is_the_teacher_cut_off(teacher: Path, tmp_path: Path) -> None:
    place = making(teacher, tmp_path / "made")
    make(place, BARELY)
    torch.testing.assert_close(logits(place.network), logits(teacher, layers=2))
    assert (logits(place.network) - logits(teacher)).abs().max() > 0.01


def test_it_learns_what_the_teacher_says(teacher: Path, tmp_path: Path) -> None:
    place = making(teacher, tmp_path / "made")
    make(place, replace(OPTIONS, epochs=10))
    target = logits(teacher)
    before = logit_loss(logits(teacher, layers=2), target, head=CLASSIFICATION)
    least = logit_loss(target.softmax(-1).log(), target, head=CLASSIFICATION)
    after = logit_loss(logits(place.network), target, head=CLASSIFICATION)
    assert after - least < 0.5 * (before - least)


def test_a_score_is_taught_by_its_squared_difference(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    teacher = opinionated(tiny_checkpoint, tmp_path / "teacher", num_labels=1)
    place = making(teacher, tmp_path / "made", kind="regression")
    make(place, replace(OPTIONS, epochs=10))
    target = logits(teacher)
    before = (logits(teacher, layers=2) - target).square().mean()
    assert (logits(place.network) - target).square().mean() < 0.5 * before


def test_it_is_a_stock_model_with_the_teachers_tokenizer(teacher: Path, tmp_path: Path) -> None:
    place = making(teacher, tmp_path / "made")
    make(place, BARELY)
    model = AutoModelForSequenceClassification.from_pretrained(place.network)
    assert type(model).__name__ == "BertForSequenceClassification"
    shape, kept = architecture_of(model.config)
    assert shape.num_layers == 2
    assert kept == SubnetConfig.full(shape)
    ours, theirs = (
        json.loads((folder / "tokenizer.json").read_text())["model"]
        for folder in (place.network, teacher)
    )
    assert ours == theirs
    assert {path.name for path in place.folder.iterdir()} == {"network", "training.jsonl"}


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
        ({"epochs": 0}, "epochs must be at least 1, not 0"),
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
    ],
)
def test_impossible_options_are_refused(change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        FirstLayersOptions(**change)


def test_a_training_that_is_killed_ends_in_the_same_weights(teacher: Path, tmp_path: Path) -> None:
    make(making(teacher, tmp_path / "whole"), OPTIONS)

    def kill(state: TrainingProgress) -> None:
        if state.step == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(making(teacher, tmp_path / "killed", kill), OPTIONS)
    assert not (tmp_path / "killed" / "network").exists()
    seen: list[TrainingProgress] = []
    make(making(teacher, tmp_path / "killed", seen.append), OPTIONS)
    assert [state.step for state in seen] == [7, 8, 9, 10, 11, 12]
    assert_same_weights(tmp_path / "whole" / "network", tmp_path / "killed" / "network")
    make(making(teacher, tmp_path / "killed", kill), OPTIONS)


def test_steps_may_end_within_an_epoch(teacher: Path, tmp_path: Path) -> None:
    seen: list[TrainingProgress] = []
    make(making(teacher, tmp_path / "made", seen.append), replace(OPTIONS, steps=8))
    assert [(state.step, state.total_steps) for state in seen] == [(n, 8) for n in range(1, 9)]
    (stage,) = map(json.loads, (tmp_path / "made" / "training.jsonl").read_text().splitlines())
    assert (stage["steps"], stage["epochs"], stage["examples"]) == (8, 2, 64)


def test_a_loss_that_explodes_names_the_stage(teacher: Path, tmp_path: Path) -> None:
    options = replace(OPTIONS, learning_rate=1e30, epochs=5)
    with pytest.raises(InputError, match="The loss of stage first layers is nan at step"):
        make(making(teacher, tmp_path / "made"), options)


def test_what_decides_the_network_and_what_does_not() -> None:
    asked = OPTIONS.to_dict()
    assert json.loads(json.dumps(asked)) == asked
    assert replace(OPTIONS, checkpoint_steps=99).to_dict() == asked
    for change in ({"layers": 1}, {"epochs": 1}, {"seed": 1}, {"learning_rate": 1e-4}):
        assert replace(OPTIONS, **change).to_dict() != asked
    assert OPTIONS.label == "first 2 layers"
