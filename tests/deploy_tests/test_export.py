"""An exported folder answers by itself what was scored and timed."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from paretobert.deploy import artefact, graph
from paretobert.deploy.answering import Answering
from paretobert.deploy.deployment import SUPPORTED, Deployment
from paretobert.deploy.export import export
from paretobert.deploy.model_card import ModelCard
from paretobert.deploy.runner import ExportError
from paretobert.encoders.extraction import extract
from paretobert.encoders.families import FAMILIES, shape_of
from paretobert.errors import InputError
from paretobert.networks.network import Cut, Network, Recipe, Stored
from paretobert.networks.retention import Retention
from paretobert.networks.subnet import SubnetConfig
from paretobert.tasks.heads import CLASSIFICATION

NARROW = SubnetConfig(layers=(0, 3), heads=(3, 1), neurons=(17, 40))
SHALLOW = SubnetConfig(layers=(1, 3), heads=(4, 4), neurons=(40, 40))
FEWER = replace(SHALLOW, tokens=Retention((60, 1), "percent"))
COUNTED = SubnetConfig((0, 1, 3), (3, 1, 4), (17, 40, 5), Retention((12, 5, 5)))
SMALL_COUNTED = SubnetConfig((1, 3), (3, 1), (17, 40), Retention((12, 5)))
LABELS = {0: "bad", 1: "fair", 2: "good"}
MAX_LENGTH = 16
LONG = " ".join(f"t{4 + number % 36}" for number in range(60))
TEXTS: tuple[tuple[str, str | None], ...] = (
    ("t9 t10 t11", None),
    ("t12", None),
    ("unknown words", None),
    (LONG, None),
    ("t9 t10", "t11 t12 t13"),
    (LONG, "t5 t6"),
    ("t30", LONG),
)

ON_CPU = [
    Deployment(runtime, precision)
    for (device, runtime), precisions in SUPPORTED.items()
    for precision in precisions
    if device == "cpu"
]
PACKAGES = {"onnxruntime": ("onnxruntime", "onnxscript"), "openvino": ("openvino", "nncf")}
STORED_LAYERS = 2
STORED_ON = [entry for entry in ON_CPU if entry.runtime != "openvino" or entry.precision == "fp32"]
"""A stored network is written as any other; OpenVINO's precisions are seen with the cut one."""

PREDICTING = """
import json, runpy, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

absent = set(sys.argv[1].split(","))
sys.meta_path.insert(0, Absent())
texts = json.loads(sys.argv[2])
found = {}
for folder in sys.argv[3:]:
    sys.path.insert(0, folder)
    predict = runpy.run_path(folder + "/predict.py")["predict"]
    found[folder] = [predict(*pair) for pair in texts]
    sys.path.remove(folder)
assert not absent & {name.partition(".")[0] for name in sys.modules}
print(json.dumps(found))
"""

LOADING = """
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


def alone(code: str, home: Path, *arguments: str) -> str:
    """Run code in a process that finds no paretobert on its path and has a home of its own."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, *arguments],
        capture_output=True,
        text=True,
        cwd=home,
        env={
            "HF_HOME": str(home / "home"),
            "HOME": str(home / "home"),
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
            "TORCHDYNAMO_DISABLE": "1",
        },
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def make_tokenizer(model_type: str) -> PreTrainedTokenizerFast:
    """Words t0 to t39, of which t0 begins a text and t2 ends it, and a second text has type 1."""
    vocabulary = {f"t{number}": number for number in range(40)}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="t3"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.post_processor = processors.TemplateProcessing(
        single="t0 $A t2",
        pair="t0 $A t2 $B:1 t2:1",
        special_tokens=[("t0", 0), ("t2", 2)],
    )
    has_types = model_type in ("bert", "electra")
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token="t3",
        pad_token="t1",
        model_input_names=[
            "input_ids",
            *(["token_type_ids"] if has_types else []),
            "attention_mask",
        ],
    )


def make_card(network: Network, deployment: Deployment) -> ModelCard:
    return ModelCard(
        base_model="org/tiny",
        task="sst2",
        head=CLASSIFICATION,
        network=network,
        deployment=deployment,
        num_params=1234,
        num_flops=5678,
        seq_len=128,
        size_bytes=99,
        peak_memory_bytes=None,
        numbers=(),
        conditions="",
    )


@dataclass(frozen=True)
class Subject:
    """A network with its model, as the workshop builds both."""

    network: Network
    model: PreTrainedModel

    @property
    def model_type(self) -> str:
        return str(self.model.config.model_type).removeprefix("paretobert-")

    def export(self, deployment: Deployment, folder: Path, **changes: Any) -> Path:
        calibration = [
            {"input_ids": ids, "attention_mask": np.ones_like(ids)}
            for ids in np.random.default_rng(0).integers(4, 40, size=(4, 2, 9), dtype=np.int64)
        ]
        arguments: dict[str, Any] = {
            "card": make_card(self.network, deployment),
            "max_length": MAX_LENGTH,
            "threads": 1,
            "origin": {"network": self.network.to_dict(), "id": self.network.id, "run": "r"},
            "calibration": calibration if deployment.precision == "int8" else (),
        }
        export(
            self.model,
            make_tokenizer(self.model_type),
            deployment,
            folder,
            **(arguments | changes),
        )
        return folder


@pytest.fixture(scope="session")
def subject(tiny_model: Callable[..., PreTrainedModel]) -> Callable[..., Subject]:
    """A network cut by a configuration, or a stored one, which is a model of its own."""

    def make(model_type: str, config: SubnetConfig | None = None, *, labels: int = 3) -> Subject:
        full = tiny_model(model_type)
        settings = full.config
        if labels == 1:
            settings.num_labels = 1
        else:
            settings.id2label = LABELS
            settings.label2id = {name: index for index, name in LABELS.items()}
        if config is None:
            settings.num_hidden_layers = STORED_LAYERS
            full = AutoModelForSequenceClassification.from_config(settings).eval()
        shape = shape_of(full.config)
        whole = SubnetConfig.full(shape)
        recipe: Recipe = (
            Stored("checkpoint", {"path": "x"}, shape, whole)
            if config is None
            else Cut(shape, config)
        )
        label = "own" if config is None else config.key
        dense = full if config is None else extract(full, config)
        if labels > 1:
            make_undecided(dense, make_tokenizer(model_type))
        return Subject(Network(label, recipe), dense)

    return make


def make_undecided(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Let `TEXTS` have several labels, which a random head hardly gives: each class has mean 0."""
    heads = [
        module
        for module in model.modules()
        if isinstance(module, torch.nn.Linear) and module.out_features == len(LABELS)
    ]
    with torch.no_grad():
        logits = [
            model(
                **tokenizer(*pair, truncation=True, max_length=MAX_LENGTH, return_tensors="pt")
            ).logits
            for pair in TEXTS
        ]
        heads[-1].bias -= torch.cat(logits).mean(dim=0)


Exports = Mapping[tuple[str, Deployment], Path]


@pytest.fixture(scope="session")
def exports(subject: Callable[..., Subject], tmp_path_factory: pytest.TempPathFactory) -> Exports:
    """A narrow BERT and a stored RoBERTa on the runtimes and precisions that are here."""
    root = tmp_path_factory.mktemp("exports")
    folders = {}
    for name, made, deployments in (
        ("cut", subject("bert", NARROW), ON_CPU),
        ("stored", subject("roberta"), STORED_ON),
    ):
        exact = root / f"{name}.onnx"
        graph.write_onnx(
            made.model,
            graph.check_batches(made.model.config, graph.graph_inputs(made.model.config))[-1],
            exact,
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                graph, "write_onnx", lambda *_, exact=exact: _[2].write_bytes(exact.read_bytes())
            )
            for deployment in deployments:
                if is_here(deployment):
                    folder = root / f"{name}-{deployment.slug}"
                    folders[name, deployment] = made.export(deployment, folder)
    return folders


def is_here(deployment: Deployment) -> bool:
    from importlib.util import find_spec

    if any(find_spec(package) is None for package in PACKAGES.get(deployment.runtime, ())):
        return False
    if deployment.slug == "openvino-bf16":
        import openvino

        return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return True


def expected_answers(folder: Path, tokenizer: PreTrainedTokenizerBase) -> list[tuple[str, float]]:
    """What the artefact says of texts that transformers' own tokenizer encodes, as in scoring."""
    runner = artefact.load(folder, threads=1)
    found = []
    for text, second in TEXTS:
        encoded = tokenizer(
            text, second, truncation=True, max_length=MAX_LENGTH, return_tensors="np"
        )
        assert encoded["input_ids"].shape[1] <= MAX_LENGTH
        logits = runner.logits({name: np.int64(entry) for name, entry in encoded.items()})[0]
        shares = torch.from_numpy(logits).softmax(0)
        found.append((LABELS[int(shares.argmax())], float(shares.max())))
    return found


@pytest.mark.parametrize(
    ("name", "deployment"),
    [("cut", entry) for entry in ON_CPU] + [("stored", entry) for entry in STORED_ON],
    ids=lambda entry: entry if isinstance(entry, str) else entry.slug,
)
def test_every_deployment_is_exported_and_answers_as_it_was_scored(
    name: str, deployment: Deployment, exports: Exports
) -> None:
    if not is_here(deployment):
        pytest.skip(f"{deployment.title} is not possible here")
    if deployment.runtime == "compile":
        pytest.skip("compiling takes a minute; the files are eager's")
    folder = exports[name, deployment]
    model_type = "bert" if name == "cut" else "roberta"
    expected = expected_answers(folder, make_tokenizer(model_type))
    answering = Answering(folder)
    found = [answering([a], [b] if b is not None else [])[0] for a, b in TEXTS]
    assert [answer.label for answer in found] == [label for label, _ in expected]
    assert [answer.value for answer in found] == pytest.approx(
        [share for _, share in expected], abs=1e-6
    )
    for answer in found:
        assert sum(answer.probabilities.values()) == pytest.approx(1)
    if deployment.precision != "int8":  # whose error is as large as these logits' differences
        assert len({label for label, _ in expected}) > 1


@pytest.mark.parametrize(
    ("runtimes", "absent"),
    [
        (("onnxruntime", "openvino"), "torch,transformers,paretobert,safetensors,onnx,nncf"),
        (("eager", "compile"), "paretobert"),
    ],
)
def test_predict_needs_the_runtime_and_tokenizers_alone(
    runtimes: tuple[str, ...], absent: str, exports: Exports, tmp_path: Path
) -> None:
    folders = [folder for (_, entry), folder in exports.items() if entry.runtime in runtimes]
    if not folders:
        pytest.skip("the runtimes are not installed")
    texts = json.dumps(TEXTS)
    found = json.loads(alone(PREDICTING, tmp_path, absent, texts, *map(str, folders)))
    for folder in folders:
        model_type = "bert" if folder.name.startswith("cut") else "roberta"
        eager = folder.with_name(folder.name.replace("compile", "eager"))
        expected = expected_answers(eager, make_tokenizer(model_type))
        assert [label for label, _ in found[str(folder)]] == [label for label, _ in expected]
        shares = [share for _, share in expected]
        assert [share for _, share in found[str(folder)]] == pytest.approx(shares, abs=1e-5)


def test_predict_is_a_program(exports: Exports) -> None:
    deployment = Deployment("onnxruntime")
    if not is_here(deployment):
        pytest.skip("onnxruntime is not installed")
    folder = exports["cut", deployment]
    done = subprocess.run(
        [sys.executable, str(folder / "predict.py"), "t9 t10", "t11"],
        capture_output=True,
        text=True,
        check=True,
    )
    (answer,) = Answering(folder)(["t9 t10"], ["t11"])
    assert done.stdout.startswith(f"('{answer.label}', 0.")


def test_a_regression_answers_with_its_score(
    subject: Callable[..., Subject], tmp_path: Path
) -> None:
    made = subject("distilbert", labels=1)
    folders = {
        slug: made.export(Deployment.from_slug(slug), tmp_path / slug)
        for slug in ("eager-fp32", "eager-int8", "onnxruntime-fp32")
        if is_here(Deployment.from_slug(slug))
    }
    texts = json.dumps([["t9 t10", None]])
    found = json.loads(
        alone(PREDICTING, tmp_path, "paretobert", texts, *map(str, folders.values()))
    )
    for folder in folders.values():
        (answer,) = Answering(folder)(["t9 t10"])
        assert answer.to_dict() == {"score": answer.value}
        assert found[str(folder)] == [pytest.approx(answer.value, abs=1e-5)]


@pytest.mark.parametrize("config", [NARROW, SHALLOW, FEWER], ids=lambda config: config.key)
@pytest.mark.parametrize("model_type", FAMILIES)
def test_a_hugging_face_folder_computes_what_the_network_does(
    model_type: str,
    config: SubnetConfig,
    subject: Callable[..., Subject],
    padded_batch: Callable[..., dict[str, torch.Tensor]],
    tmp_path: Path,
) -> None:
    made = subject(model_type, config)
    folder = made.export(Deployment(), tmp_path / "out")
    loaded = AutoModelForSequenceClassification.from_pretrained(folder)
    batch = padded_batch(model_type, lengths=(8, 3, 1), seed=5)
    with torch.inference_mode():
        expected = made.model(**batch).logits
        torch.testing.assert_close(loaded(**batch).logits, expected, rtol=0, atol=1e-5)
    assert loaded.config.id2label == LABELS
    files = {path.name for path in folder.iterdir()}
    ours = {"tokenizer.json", "config.json", "README.md", "predict.py", "deployment.json"}
    assert {"model.safetensors", *ours} <= files
    code = {"modeling_subnet.py", "family.py", "plan.py", "slicing.py", "elimination.py"}
    assert code & files == (set() if config is SHALLOW else code)
    card = (folder / "README.md").read_text()
    assert made.network.id in card
    assert ("trust_remote_code" in card) == (config is not SHALLOW)


def test_folders_load_where_paretobert_is_not_importable(
    subject: Callable[..., Subject], tmp_path: Path
) -> None:
    from safetensors.torch import save_file

    folders = []
    ours = [NARROW, COUNTED, FEWER]
    for model_type, config in [
        ("bert", SHALLOW),
        *((name, ours[i % 3]) for i, name in enumerate(FAMILIES)),
    ]:
        made = subject(model_type, config)
        folder = made.export(Deployment(), tmp_path / f"{model_type}-{config.key}")
        tokenizer = make_tokenizer(model_type)
        encoded = tokenizer(["t9 t10 t11", "t12"], padding=True, return_tensors="pt")
        with torch.inference_mode():
            save_file({"logits": made.model(**encoded).logits}, f"{folder}.safetensors")
        folders.append(str(folder))
    stock, *narrow = alone(LOADING, tmp_path, *folders).splitlines()
    assert stock == "transformers BertForSequenceClassification"
    assert narrow[0] == "transformers_modules SubnetBertForSequenceClassification"
    assert {line.split()[0] for line in narrow} == {"transformers_modules"}
    assert len(narrow) == len(FAMILIES)


@pytest.mark.parametrize(
    ("runtime", "names"),
    [
        ("onnxruntime", {"model.onnx"}),
        ("openvino", {"openvino_model.xml", "openvino_model.bin"}),
    ],
)
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_optimum_finds_what_it_looks_for(
    runtime: str, names: set[str], precision: str, exports: Exports
) -> None:
    """ORTModel and OVModel take these files by default, with a config of a stock model type.

    Optimum's documentation: the names are those of its ONNX_WEIGHTS_NAME and OV_XML_FILE_NAME.
    """
    deployment = Deployment(runtime, precision)
    if not is_here(deployment):
        pytest.skip(f"{runtime} is not installed")
    for name, model_type in (("cut", "bert"), ("stored", "roberta")):
        if (name, deployment) not in exports:
            continue
        folder = exports[name, deployment]
        ours = {"README.md", "deployment.json", "predict.py"}
        others = {"config.json", "tokenizer.json", "tokenizer_config.json"}
        assert {path.name for path in folder.iterdir()} == names | ours | others
        settings = json.loads((folder / "config.json").read_text())
        assert settings["model_type"] == model_type
        assert settings["id2label"] == {str(index): label for index, label in LABELS.items()}
        assert not [key for key in settings if key.startswith(("auto_map", "subnet"))]
        config = AutoConfig.from_pretrained(folder)
        assert config.num_hidden_layers == (2 if name == "cut" else STORED_LAYERS)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        assert tokenizer(["t7 t8"])["input_ids"] == [[0, 7, 8, 2]]


def test_an_onnx_folder_takes_any_batch_and_length(
    subject: Callable[..., Subject],
    padded_batch: Callable[..., dict[str, torch.Tensor]],
    tmp_path: Path,
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="the onnx extra is not installed")
    made = subject("distilbert", SMALL_COUNTED)
    folder = made.export(Deployment("onnxruntime"), tmp_path / "out")
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    for seed, lengths in enumerate(((1,), (1, 1), (30,), (4, 17, 9), (2,) * 11)):
        batch = padded_batch("distilbert", lengths=lengths, seed=seed)
        inputs = {name: tensor.numpy() for name, tensor in batch.items()}
        found = torch.from_numpy(session.run(["logits"], inputs)[0])
        with torch.inference_mode():
            expected = made.model(**batch).logits
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    assert {name.name for name in session.get_inputs()} == batch.keys()
    assert {tuple(name.shape) for name in session.get_inputs()} == {("batch", "tokens")}


def test_the_export_is_what_was_measured(subject: Callable[..., Subject], tmp_path: Path) -> None:
    made = subject("bert", NARROW)
    artefact.write(made.model, Deployment(), tmp_path / "measured")
    result = export(
        made.model,
        make_tokenizer("bert"),
        Deployment(),
        tmp_path / "out",
        card=make_card(made.network, Deployment()),
        max_length=99,
        threads=3,
        origin={"run": "r"},
    )
    assert result.fingerprint == artefact.fingerprint(tmp_path / "measured")
    assert artefact.size_bytes(tmp_path / "out") == artefact.size_bytes(tmp_path / "measured")
    files = [path.stat().st_size for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert result.num_bytes == sum(files)
    record = json.loads((tmp_path / "out" / "deployment.json").read_text())
    assert record["threads"] == 3
    assert record["origin"] == {"run": "r"}
    assert record["labels"] == ["bad", "fair", "good"]


def test_an_occupied_destination_is_refused_and_untouched(
    subject: Callable[..., Subject], tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    (tmp_path / "file").write_text("keep")
    for name, refusal in (
        ("out", "exists already and is not an empty folder"),
        ("file", "cannot be a folder, because it exists and is none"),
    ):
        with pytest.raises(InputError, match=refusal):
            subject("bert", SHALLOW).export(Deployment(), tmp_path / name)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]
    assert (tmp_path / "file").read_text() == "keep"
    (tmp_path / "empty").mkdir()
    subject("bert", SHALLOW).export(Deployment(), tmp_path / "empty")
    assert (tmp_path / "empty" / "model.safetensors").is_file()


def test_a_refused_export_leaves_nothing_behind(
    subject: Callable[..., Subject], tmp_path: Path
) -> None:
    def refuse(written: Path) -> None:
        assert (written / "predict.py").is_file()
        raise ExportError("answers otherwise")

    with pytest.raises(ExportError, match="answers otherwise"):
        subject("bert", NARROW).export(Deployment(), tmp_path / "out", check=refuse)
    assert list(tmp_path.iterdir()) == []


def test_a_tokenizer_without_a_fast_form_is_refused(
    subject: Callable[..., Subject], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(self: PreTrainedTokenizerFast, folder: Path) -> None:
        (folder / "vocab.txt").write_text("t0")

    monkeypatch.setattr(PreTrainedTokenizerFast, "save_pretrained", save)
    with pytest.raises(InputError, match=r"has no fast form \(tokenizer.json\)"):
        subject("bert", NARROW).export(Deployment(), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_bad_folders_are_not_answered(exports: Exports, tmp_path: Path) -> None:
    folder = exports["cut", Deployment()]
    with pytest.raises(InputError, match="holds no written network"):
        Answering(tmp_path)
    for name, damage, message in (
        ("a", lambda path: (path / "tokenizer.json").unlink(), "lacks tokenizer.json"),
        (
            "b",
            lambda path: (path / "tokenizer.json").write_text("{}"),
            "tokenizer.json has 2 bytes, but",
        ),
        (
            "c",
            lambda path: artefact.describe(path, {"max_length": None}),
            "how texts are answered",
        ),
    ):
        copy = shutil.copytree(folder, tmp_path / name)
        damage(copy)
        with pytest.raises(InputError, match=message):
            Answering(copy)
    with pytest.raises(InputError, match="2 texts and 1 second texts"):
        Answering(folder)(["t4", "t5"], ["t6"])


def test_check_batches_vary_and_stay_within_the_model(
    tiny_model: Callable[..., PreTrainedModel],
) -> None:
    config = tiny_model("roberta").config
    batches = graph.check_batches(config, ("input_ids", "attention_mask"))
    shapes = [tuple(batch["input_ids"].shape) for batch in batches]
    assert shapes == [(1, 1), (1, 38), (2, 2), (5, 38)]
    assert any((batch["attention_mask"] == 0).any() for batch in batches)
    for batch in batches:
        assert batch.keys() == {"input_ids", "attention_mask"}
        assert batch["input_ids"].max() < config.vocab_size
