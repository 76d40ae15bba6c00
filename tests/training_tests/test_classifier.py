"""What is loaded as a classifier, and that nothing but safetensors ever is."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from paretobert.dynabert.options import TrainingOptions
from paretobert.dynabert.supernet import SPACE_FILE, Supernet
from paretobert.dynabert.training import train_supernet
from paretobert.errors import InputError
from paretobert.networks.spaces import Grid
from paretobert.powerbert.options import PowerOptions
from paretobert.powerbert.training import train_power
from paretobert.tasks.task import Task, TextSplit
from paretobert.training.classifier import load_stored

SPLIT = TextSplit(("the red coat", "a blue boat"), None, (0, 1))
TASK = Task(
    name="tiny",
    kind="classification",
    label_names=("warm", "cold"),
    metric="accuracy",
    other_metrics=(),
    train=SPLIT,
    search=SPLIT,
    report=SPLIT,
    max_length=8,
    source="here",
)
OPTIONS = TrainingOptions(widths=(1.0, 0.5), depths=(1.0,), precision="fp32")


class Writing:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return (open, (str(self.path), "w"))


@pytest.fixture
def stage(tiny_model: Callable[..., PreTrainedModel], tmp_path: Path) -> Path:
    """What a stage of training leaves, but for the tokenizer."""
    folder = tmp_path / "run" / "teacher"
    tiny_model("bert").save_pretrained(folder)
    return folder


def plant_pickles(folder: Path, mark: Path) -> None:
    for name in ("pytorch_model.bin", "model.bin", "model.pt", "training_args.bin"):
        (folder / name).write_bytes(pickle.dumps(Writing(mark)))


def test_a_stage_is_loaded_as_it_was_written(stage: Path, tmp_path: Path) -> None:
    plant_pickles(stage, tmp_path / "ran")
    loaded = load_stored(stage).state_dict()
    for name, tensor in load_file(stage / "model.safetensors").items():
        assert torch.equal(loaded[name], tensor)
    assert not (tmp_path / "ran").exists()


def test_a_pickle_in_the_teacher_s_folder_is_not_loaded_on_resuming(
    stage: Path, tmp_path: Path
) -> None:
    plant_pickles(stage, tmp_path / "ran")
    (stage / "model.safetensors").unlink()
    with pytest.raises(InputError, match="teacher holds no loadable model"):
        train_supernet(
            model=stage,
            task=TASK,
            folder=stage.parent,
            options=OPTIONS,
            progress=lambda state: None,
        )
    with pytest.raises(InputError, match="teacher holds no loadable model"):
        train_power(
            teacher=stage,
            task=TASK,
            folder=stage.parent / "power",
            options=PowerOptions(precision="fp32"),
            progress=lambda state: None,
        )
    assert not (tmp_path / "ran").exists()


def test_a_pickle_in_the_supernet_s_folder_is_not_loaded(stage: Path, tmp_path: Path) -> None:
    plant_pickles(stage, tmp_path / "ran")
    (stage / SPACE_FILE).write_text('{"widths": [1.0], "depths": [1.0]}')
    supernet = Supernet.from_pretrained(stage)
    assert supernet.space == Grid(supernet.shape, (1.0,), (1.0,))
    (stage / "model.safetensors").unlink()
    with pytest.raises(InputError, match="holds no loadable model"):
        Supernet.from_pretrained(stage)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", ["[]", "{}", "null", '{"widths": 1, "depths": 1}', "["])
def test_a_damaged_space(content: str, stage: Path) -> None:
    (stage / SPACE_FILE).write_text(content)
    with pytest.raises(InputError, match=rf"{SPACE_FILE} (names no space|is not valid JSON)"):
        Supernet.from_pretrained(stage)


def test_a_stage_without_a_tensor(stage: Path) -> None:
    tensors = load_file(stage / "model.safetensors")
    del tensors["classifier.weight"]
    save_file(tensors, stage / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"lacks 1 of its tensors, classifier\.weight among them"):
        load_stored(stage)


@pytest.mark.parametrize("cut", [0, 7, 100, -1])
def test_a_torn_stage(cut: int, stage: Path) -> None:
    path = stage / "model.safetensors"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError, match="holds no loadable model"):
        load_stored(stage)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_a_pipe_in_a_stage_is_not_waited_for(file: str, stage: Path) -> None:
    (stage / file).unlink()
    os.mkfifo(stage / file)
    with pytest.raises(InputError, match="holds no loadable model|is a pipe"):
        load_stored(stage)
