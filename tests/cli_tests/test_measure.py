"""`measure` and `predict` where only a runtime is installed, by the commands themselves."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import PreTrainedModel

from paretobert.cli.app import main
from paretobert.deploy.deployment import Deployment
from paretobert.deploy.export import export
from paretobert.deploy.model_card import ModelCard
from paretobert.encoders.extraction import extract
from paretobert.encoders.families import shape_of
from paretobert.networks.network import Cut, Network
from paretobert.networks.subnet import SubnetConfig
from paretobert.profiling.carried import read_carried
from paretobert.profiling.protocol import LatencyProtocol
from paretobert.tasks.heads import CLASSIFICATION

from ..deploy_tests.test_export import make_tokenizer
from ..profiling_tests.conftest import tiny_model

PROTOCOL = LatencyProtocol(
    runtime="onnxruntime",
    seq_len=8,
    warmup_min_s=0.001,
    visit_min_s=0.005,
    drift_tolerance=10.0,
    time_budget_s=0.1,
)

ABSENT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {
            "torch", "transformers", "safetensors", "optuna", "sklearn", "pandas", "plotly",
            "matplotlib", "fvcore", "onnx", "onnxscript", "nncf", "datasets", "huggingface_hub",
        }:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
"""


def exported(model: PreTrainedModel, config: SubnetConfig, folder: Path) -> Path:
    network = Network(config.key, Cut(shape_of(model.config), config))
    deployment = Deployment("onnxruntime")
    export(
        extract(model, config),
        make_tokenizer("bert"),
        deployment,
        folder,
        card=ModelCard(
            "org/tiny",
            "sst2",
            CLASSIFICATION,
            network,
            deployment,
            num_params=1,
            num_flops=1,
            seq_len=8,
            size_bytes=None,
            peak_memory_bytes=None,
            numbers=(),
            conditions="",
        ),
        max_length=16,
        threads=1,
        origin={
            "network": network.to_dict(),
            "id": network.id,
            "is_full": network.is_full,
            "run": "r",
            "protocol": PROTOCOL.to_dict(),
        },
    )
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A small network and the full model, for ONNX Runtime."""
    for package in ("onnxruntime", "onnxscript"):
        pytest.importorskip(package, reason="the onnx extra is not installed")
    root, model = tmp_path_factory.mktemp("folders"), tiny_model()
    shape = shape_of(model.config)
    return (
        exported(model, SubnetConfig((0,), (2,), (20,)), root / "small"),
        exported(model, SubnetConfig.full(shape), root / "full"),
    )


def test_neither_command_needs_training_packages(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    """The processes that measure inherit the blocked imports."""
    (tmp_path / "sitecustomize.py").write_text(ABSENT)
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])

    def paretobert(*words: str) -> subprocess.CompletedProcess[str]:
        code = "import sys; from paretobert.cli.app import main; sys.exit(main())"
        return subprocess.run(
            [sys.executable, "-c", code, *words],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": path},
        )

    done = paretobert("measure", *map(str, folders), "--name", "edge box")
    assert done.returncode == 0, done.stderr
    assert "next:  paretobert profile RUN --import" in done.stderr
    for word in ("edge box", "onnxruntime fp32", "L0-H2-F20", "batch 1 x 8 tokens", "MB"):
        assert word in done.stdout
    carried = read_carried(tmp_path / "edge-box.json")
    assert carried.environment.name == "edge box"
    small, full = carried.networks
    assert full.network.is_full
    assert carried.reference == full.key
    assert full.latency.is_reference
    assert small.size_bytes < full.size_bytes
    assert small.peak_memory_bytes > 10**7
    assert len(carried.processes) >= 2
    done = paretobert("measure", *map(str, folders), "--out", "edge-box.json")
    assert done.returncode == 2
    assert "edge-box.json exists already" in done.stderr
    done = paretobert("predict", str(folders[0]), "t4 t5", "t6", "--json")
    assert done.returncode == 0, done.stderr
    first, second = json.loads(done.stdout)["answers"]
    assert first.keys() == second.keys() == {"label", "probability", "probabilities"}


def test_predict_prints_a_line_for_each_text(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(folders[0])
    assert main(["predict", folder, "t4 t5", "t6", "--pair", "t7", "--pair", "t8"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    label, _, probability = first.partition("\t")
    assert label.startswith("LABEL_")
    assert 1 / 3 <= float(probability) <= 1
    assert main(["predict", folder, "t4", "t6", "--pair", "t7"]) == 2
    assert "2 texts and 1 second texts" in capsys.readouterr().err
    assert main(["predict", str(folders[0].parent), "t4"]) == 2
    assert "holds no written network" in capsys.readouterr().err


def test_measure_takes_options_and_says_what_cannot_be_imported(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small, full = map(str, folders)
    out = tmp_path / "out.json"
    words = ["measure", small, full, "--reference", small, "--out", str(out), "--json"]
    assert main([*words, "--lengths", "9,3", "--batch-size", "2"]) == 0
    said = capsys.readouterr()
    assert "The reference is not the full model" in said.err
    record = json.loads(said.out)
    assert record == json.loads(out.read_text())
    assert record["protocol"]["lengths"] == [3, 9]
    assert record["protocol"]["batch_size"] == 2
    assert record["machine"] == read_carried(out).environment.machine


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--lengths", "a"], "is not a list of whole numbers between commas"),
        (["--seq-len", "99"], "takes texts of at most 34 tokens, not of 99"),
        (["--reference", "elsewhere"], "The reference elsewhere is not among the folders"),
        (["--threads", "0"], "threads must be a whole number of at least 1"),
        (["--device", "cuda"], "onnxruntime fp32 is not possible on cuda"),
    ],
)
def test_bad_options_of_measure(
    words: list[str],
    message: str,
    folders: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out.json"
    assert main(["measure", str(folders[0]), "--out", str(out), *words]) == 2
    assert message in capsys.readouterr().err.replace("\n", " ")
    assert not out.exists()


@pytest.mark.parametrize("command", ["measure", "predict"])
def test_each_command_shows_a_session(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    assert f"$ paretobert {command} " in capsys.readouterr().out


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_another_file_is_refused_before_it_is_loaded(
    name: str, folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small, full = folders
    copy = shutil.copytree(small, tmp_path / "copy")
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    out = tmp_path / "out.json"
    for words in (("predict", copy, "t4"), ("measure", full, copy, "--out", out)):
        assert main(list(map(str, words))) == 2
        said = " ".join(capsys.readouterr().err.split())
        assert f"{name} is not the file that was exported: its contents changed." in said
    assert not out.exists()


def test_more_threads_than_the_machine_has(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    out = tmp_path / "out.json"
    for words in (
        ("predict", folders[0], "t4", "--threads", "3"),
        ("measure", *folders, "--threads", "3", "--out", out),
    ):
        assert main(list(map(str, words))) == 2
        said = " ".join(capsys.readouterr().err.split())
        assert "3 threads would take turns on the 2 cores of this machine" in said
    assert not out.exists()
