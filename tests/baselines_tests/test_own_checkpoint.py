"""A fine-tuned checkpoint that the user brings."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from paretobert.baselines.own_checkpoint import CheckpointOptions, make
from paretobert.encoders.extraction import architecture_of
from paretobert.errors import InputError
from paretobert.networks.subnet import SubnetConfig
from paretobert.training.method import Making

from ..learnable import COLOURS, WORDS, make_task, no_cut, save_with_head


@pytest.fixture
def checkpoint(tmp_path: Path, tiny_model: Callable[..., PreTrainedModel]) -> Path:
    """A DistilBERT whose vocabulary is in another order than the run's."""
    words = ("[UNK]", "[PAD]", *reversed((*WORDS, *COLOURS)))
    vocabulary = {word: place for place, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    model = tiny_model("distilbert")
    model.classifier = torch.nn.Linear(24, 2)
    model.num_labels = model.config.num_labels = 2
    model.config.id2label = {0: "warm", 1: "cold"}
    model.config.label2id = {"warm": 0, "cold": 1}
    model.save_pretrained(tmp_path / "mine")
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", model_max_length=40
    ).save_pretrained(tmp_path / "mine")
    return tmp_path / "mine"


@pytest.fixture
def making(tiny_checkpoint: Path, tmp_path: Path) -> Making:
    teacher = save_with_head(tiny_checkpoint, tmp_path / "teacher", num_labels=2)
    return Making(teacher, no_cut, make_task(), tmp_path / "made", lambda state: None)


def test_another_family_comes_with_its_own_tokenizer(checkpoint: Path, making: Making) -> None:
    make(making, CheckpointOptions(f"mine={checkpoint}"))
    theirs, ours = (
        AutoModelForSequenceClassification.from_pretrained(folder).eval()
        for folder in (checkpoint, making.network)
    )
    assert ours.config.model_type == "distilbert"
    shape, config = architecture_of(ours.config)
    assert config == SubnetConfig.full(shape)
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], tensor)
    text = "the old coat is red"
    before, after, teacher = (
        AutoTokenizer.from_pretrained(folder)(text)["input_ids"]
        for folder in (checkpoint, making.network, making.teacher)
    )
    assert after == before != teacher
    assert [path.name for path in making.folder.iterdir()] == ["network"]
    assert (making.network / "model.safetensors").is_file()


def test_its_weights_decide_which_network_it_is(checkpoint: Path, tmp_path: Path) -> None:
    elsewhere = shutil.copytree(checkpoint, tmp_path / "elsewhere")
    mine = CheckpointOptions(f"mine={checkpoint}")
    yours = CheckpointOptions(f" yours = {elsewhere} ")
    assert mine.to_dict() == yours.to_dict()
    assert json.loads(json.dumps(mine.to_dict())) == mine.to_dict()
    assert (mine.label, yours.label) == ("mine", "yours")
    model = AutoModelForSequenceClassification.from_pretrained(elsewhere)
    with torch.no_grad():
        model.classifier.bias.add_(1)
    model.save_pretrained(elsewhere)
    assert mine.to_dict() != yours.to_dict()


def test_other_classes_are_refused(checkpoint: Path, making: Making) -> None:
    other = replace(making, task=replace(make_task(), label_names=("cold", "warm")))
    with pytest.raises(InputError, match="classifies into warm, cold, but the task .* cold, warm"):
        make(other, CheckpointOptions(f"mine={checkpoint}"))
    assert not making.folder.exists()


def test_a_checkpoint_without_a_head_is_refused(tiny_checkpoint: Path, making: Making) -> None:
    with pytest.raises(InputError, match="has no trained classification head"):
        make(making, CheckpointOptions(f"mine={tiny_checkpoint}"))
    assert not making.folder.exists()


def test_a_pickle_is_refused(checkpoint: Path, making: Making) -> None:
    (checkpoint / "model.safetensors").rename(checkpoint / "pytorch_model.bin")
    options = CheckpointOptions(f"mine={checkpoint}")
    for refused in (options.to_dict, lambda: make(making, options)):
        with pytest.raises(InputError, match="a pickle that can run code"):
            refused()
    assert not making.folder.exists()


@pytest.mark.parametrize("given", ["mine", "=folder", "mine=", " =folder", "mine= ", ""])
def test_it_takes_a_name_and_a_folder(given: str) -> None:
    with pytest.raises(InputError, match="is not NAME=DIR: give the network a name"):
        CheckpointOptions(given)


def test_a_folder_may_have_an_equals_sign() -> None:
    options = CheckpointOptions("mine=models/lr=1e-5")
    assert (options.label, options.folder) == ("mine", "models/lr=1e-5")
