import json
import subprocess
import sys
from dataclasses import replace

import onnxruntime
import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedTokenizerFast,
)

from paretobert.deploy import export
from paretobert.deploy.export import (
    ExportError,
    check_batches,
    export_hf,
    export_onnx,
    supernet_logits,
)
from paretobert.deploy.model_card import CardScore, ModelCard
from paretobert.dynabert.supernet import Supernet
from paretobert.encoders.extraction import extract
from paretobert.encoders.families import FAMILIES
from paretobert.errors import InputError
from paretobert.networks.retention import Retention
from paretobert.networks.subnet import ElasticSpace, SubnetConfig

NARROW = SubnetConfig(layers=(0, 3), heads=(3, 1), neurons=(17, 40))
SHALLOW = SubnetConfig(layers=(1, 3), heads=(4, 4), neurons=(40, 40))
FEWER = replace(SHALLOW, tokens=Retention((60, 1), "percent"))
COUNTED = SubnetConfig((0, 1, 3), (3, 1, 4), (17, 40, 5), Retention((12, 5, 5)))
LABELS = {0: "bad", 1: "fair", 2: "good"}

ISOLATED = """
import sys

class NoParetobert:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "paretobert":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NoParetobert())
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

for folder in sys.argv[1:]:
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    model = AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=True)
    expected = load_file(folder + ".safetensors")["logits"]
    encoded = tokenizer(["t9 t10 t11", "t12"], padding=True, return_tensors="pt")
    with torch.inference_mode():
        torch.testing.assert_close(model(**encoded).logits, expected, rtol=0, atol=1e-6)
    print(type(model).__module__.partition(".")[0], type(model).__name__)
assert not any(name.partition(".")[0] == "paretobert" for name in sys.modules)
"""


def make_tokenizer(model_type):
    vocabulary = {f"t{number}": number for number in range(40)}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="t3"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    names = [*FAMILIES[model_type].embedding_inputs, "attention_mask"]
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="t3", pad_token="t1", model_input_names=names
    )


def make_card(config):
    score = CardScore("report", "accuracy", 0.9, 0.88, 0.92, 872)
    return ModelCard("tiny", "org/tiny", "sst2", config, 1234, 5678, 128, (score,), None)


@pytest.fixture
def supernet(tiny_model):
    def make(model_type):
        model = tiny_model(model_type)
        model.config.pad_token_id = 1
        model.config.id2label = LABELS
        model.config.label2id = {name: index for index, name in LABELS.items()}
        return Supernet(model, ElasticSpace())

    return make


def arguments(supernet, config, folder):
    """The arguments of an export function, as a caller with a supernet has them."""
    model_type = supernet.model.config.model_type
    return {
        "model": extract(supernet.model, config),
        "reference": supernet_logits(supernet, config),
        "tokenizer": make_tokenizer(model_type),
        "folder": folder,
        "card": make_card(config),
    }


@pytest.mark.parametrize("config", [NARROW, SHALLOW, FEWER], ids=lambda config: config.key)
@pytest.mark.parametrize("model_type", FAMILIES)
def test_a_hugging_face_folder_computes_what_the_supernet_does(
    model_type, config, supernet, padded_batch, tmp_path
):
    full = supernet(model_type)
    result = export_hf(**arguments(full, config, tmp_path / "out"))
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")
    batch = padded_batch(model_type, lengths=(8, 3, 1), seed=5)
    with torch.inference_mode(), full.active(config):
        torch.testing.assert_close(loaded(**batch).logits, full(batch), rtol=0, atol=1e-5)
    assert loaded.config.id2label == LABELS
    files = {path.name: path.stat().st_size for path in (tmp_path / "out").iterdir()}
    assert result.num_bytes == sum(files.values())
    assert result.max_difference < result.tolerance == 1e-5
    assert {"model.safetensors", "tokenizer.json", "config.json", "README.md"} <= files.keys()
    code = {"modeling_subnet.py", "families.py", "elimination.py"}
    assert code & files.keys() == (set() if config is SHALLOW else code)
    card = (tmp_path / "out" / "README.md").read_text()
    assert config.key in card
    assert ("trust_remote_code" in card) == (config is not SHALLOW)


def test_folders_load_where_paretobert_is_not_importable(supernet, tmp_path):
    folders = []
    ours = [NARROW, COUNTED, FEWER]
    for model_type, config in [
        ("bert", SHALLOW),
        *((name, ours[i % 3]) for i, name in enumerate(FAMILIES)),
    ]:
        full = supernet(model_type)
        folder = tmp_path / f"{model_type}-{config.key}"
        export_hf(**arguments(full, config, folder))
        tokenizer = make_tokenizer(model_type)
        encoded = tokenizer(["t9 t10 t11", "t12"], padding=True, return_tensors="pt")
        save_file({"logits": supernet_logits(full, config)(encoded)}, f"{folder}.safetensors")
        folders.append(str(folder))
    home = str(tmp_path / "home")
    done = subprocess.run(
        [sys.executable, "-I", "-c", ISOLATED, *folders],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"HF_HOME": home, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "HOME": home},
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    stock, *narrow = done.stdout.splitlines()
    assert stock == "transformers BertForSequenceClassification"
    assert narrow[0] == "transformers_modules SubnetBertForSequenceClassification"
    assert {line.split()[0] for line in narrow} == {"transformers_modules"}
    assert len(narrow) == len(FAMILIES)


# XLM-RoBERTa's and CamemBERT's layers are RoBERTa's, so three seconds each are saved.
@pytest.mark.parametrize(
    ("model_type", "config"),
    [
        ("bert", NARROW),
        ("roberta", FEWER),
        ("electra", NARROW),
        ("distilbert", COUNTED),
    ],
)
def test_an_onnx_folder_takes_any_batch_and_length(
    model_type, config, supernet, padded_batch, tmp_path
):
    full = supernet(model_type)
    folder = tmp_path / "out"
    result = export_onnx(**arguments(full, config, folder))
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    for seed, lengths in enumerate(((1,), (1, 1), (30,), (4, 17, 9), (2,) * 11)):
        batch = padded_batch(model_type, lengths=lengths, seed=seed)
        inputs = {name: tensor.numpy() for name, tensor in batch.items()}
        found = torch.from_numpy(session.run(["logits"], inputs)[0])
        expected = supernet_logits(full, config)(batch)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    assert {name.name for name in session.get_inputs()} == batch.keys()
    assert {tuple(name.shape) for name in session.get_inputs()} == {("batch", "tokens")}
    assert result.max_difference < result.tolerance == 1e-4
    files = ["README.md", "config.json", "model.onnx", "tokenizer.json", "tokenizer_config.json"]
    assert sorted(path.name for path in folder.iterdir()) == files
    settings = json.loads((folder / "config.json").read_text())
    assert settings["model_type"] == model_type
    assert settings["id2label"] == {"0": "bad", "1": "fair", "2": "good"}
    assert not [name for name in settings if name.startswith(("auto_map", "subnet"))]
    assert AutoConfig.from_pretrained(folder).num_hidden_layers == config.num_layers
    encoded = AutoTokenizer.from_pretrained(folder)(["t7 t8", "t9"], padding=True)
    assert encoded["input_ids"] == [[7, 8], [9, 1]]


@pytest.mark.parametrize("write", [export_hf, export_onnx])
def test_an_occupied_destination_is_refused_and_untouched(write, supernet, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    (tmp_path / "file").write_text("keep")
    for destination in (tmp_path / "out", tmp_path / "file"):
        with pytest.raises(InputError, match="exists already and is not an empty folder"):
            write(**arguments(supernet("bert"), SHALLOW, destination))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]
    assert (tmp_path / "file").read_text() == "keep"


def test_an_empty_destination_is_used(supernet, tmp_path):
    (tmp_path / "out").mkdir()
    export_hf(**arguments(supernet("bert"), SHALLOW, tmp_path / "out"))
    assert (tmp_path / "out" / "model.safetensors").is_file()


@pytest.mark.parametrize(
    ("write", "offset"), [(export_hf, 0.01), (export_hf, float("nan")), (export_onnx, 0.01)]
)
def test_different_logits_leave_nothing_behind(write, offset, supernet, tmp_path):
    given = arguments(supernet("distilbert"), SHALLOW, tmp_path / "out")
    reference = given["reference"]
    given["reference"] = lambda batch: reference(batch) + offset
    with pytest.raises(ExportError, match="logits differ by .* from the supernet's on a batch"):
        write(**given)
    assert list(tmp_path.iterdir()) == []


def test_missing_onnx_packages_name_the_extra(supernet, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "ONNX_PACKAGES", ("onnx", "no_such_package"))
    with pytest.raises(InputError, match=r"needs no_such_package.*paretobert\[onnx\]"):
        export_onnx(**arguments(supernet("bert"), NARROW, tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []


def test_the_reference_runs_in_evaluation_mode_and_restores(supernet, padded_batch):
    full = supernet("bert")
    full.model.train()
    before = full.active_config
    logits = supernet_logits(full, NARROW)
    batch = padded_batch("bert")
    torch.testing.assert_close(logits(batch), logits(batch), rtol=0, atol=0)
    assert full.model.training
    assert full.active_config == before


def test_check_batches_vary_and_stay_within_the_model(tiny_model):
    config = tiny_model("roberta").config
    batches = check_batches(config, ("input_ids", "attention_mask"))
    shapes = [tuple(batch["input_ids"].shape) for batch in batches]
    assert shapes == [(1, 1), (1, 38), (2, 2), (5, 38)]
    assert any((batch["attention_mask"] == 0).any() for batch in batches)
    for batch in batches:
        assert batch.keys() == {"input_ids", "attention_mask"}
        assert batch["input_ids"].max() < config.vocab_size
