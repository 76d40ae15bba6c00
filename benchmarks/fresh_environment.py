"""Exported folders where nothing but their runtime is installed: the same answers, as fast?

    python benchmarks/fresh_environment.py benchmarks/fresh_environment.json

makes a virtual environment with onnxruntime, openvino, tokenizers and numpy of `constraints.txt`,
without torch, transformers and paretobert; exports a sub-network of MiniLM, with a head that is
drawn at random because no score is asked for, to each runtime and precision; and lets `predict.py`
answer texts of the standard library's documentation there. Here the same folders answer through
`deploy.answering`. Processes there and here take turns; the time of a text includes tokenising it.
"""

import argparse
import inspect
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from paretobert.deploy.deployment import Deployment
from paretobert.deploy.export import export
from paretobert.deploy.model_card import ModelCard
from paretobert.encoders.checkpoints import find_checkpoint
from paretobert.encoders.extraction import extract
from paretobert.encoders.families import shape_of
from paretobert.networks.network import Cut, Network
from paretobert.networks.subnet import SubnetConfig
from paretobert.profiling.environment import Environment
from paretobert.storage import write_json
from paretobert.tasks.heads import CLASSIFICATION

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("onnxruntime", "openvino", "tokenizers", "numpy")
ABSENT = ("torch", "transformers", "paretobert", "onnx", "nncf", "safetensors")
DEPLOYMENTS = (
    Deployment("onnxruntime", "fp32"),
    Deployment("onnxruntime", "int8"),
    Deployment("openvino", "fp32"),
    Deployment("openvino", "int8"),
)
LABELS = ("low", "middle", "high")
DOCUMENTED = (
    *("argparse", "ast", "collections", "datetime", "email.message", "inspect", "json", "logging"),
    *("os", "pathlib", "statistics", "subprocess", "tarfile", "threading", "unittest", "zipfile"),
)
MAX_LENGTH = 128
NUM_PROCESSES = 3

ANSWERING = """
import importlib.util, json, sys, time
folder, absent = sys.argv[1], sys.argv[2].split(",")
texts = json.load(sys.stdin)
if absent != [""]:
    found = [name for name in absent if importlib.util.find_spec(name)]
    assert not found, found
    sys.path.insert(0, folder)
    from predict import predict
else:
    from pathlib import Path
    from paretobert.deploy.answering import Answering
    answering = Answering(Path(folder))
    def predict(text):
        (answer,) = answering([text])
        return answer.label, answer.value
answers, times_s = [], []
for text in texts[:10]:
    predict(text)
for text in texts:
    start_s = time.perf_counter()
    answers.append(predict(text))
    times_s.append(time.perf_counter() - start_s)
print(json.dumps({"answers": answers, "times_s": times_s}))
"""


def main() -> None:
    """Export, install, answer and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--texts", type=int, default=200)
    arguments = parser.parse_args()
    texts = documentation(arguments.texts)
    with tempfile.TemporaryDirectory() as scratch:
        python = fresh_python(Path(scratch) / "venv")
        folders = exported(texts, Path(scratch))
        rows = [compared(deployment, folders[deployment], python, texts) for deployment in folders]
    environment = Environment.capture()
    write_json(
        arguments.out,
        {
            "machine": environment.machine,
            "machine_id": environment.machine_id,
            "environment": environment.to_dict(),
            "installed": list(PACKAGES),
            "absent": list(ABSENT),
            "num_texts": len(texts),
            "max_length": MAX_LENGTH,
            "num_processes": NUM_PROCESSES,
            "deployments": rows,
        },
    )


def documentation(number: int) -> list[str]:
    """First paragraphs of the docstrings of functions and classes."""
    found: dict[str, None] = {}
    for module in map(import_module, DOCUMENTED):
        for _, member in inspect.getmembers(module, callable):
            text = inspect.getdoc(member)
            if text:
                found[text.partition("\n\n")[0]] = None
    if len(found) < number:
        raise SystemExit(f"there are only {len(found)} texts")
    return list(found)[:number]


def fresh_python(home: Path) -> Path:
    """The interpreter of a new virtual environment with `PACKAGES` alone."""
    subprocess.run([sys.executable, "-m", "venv", home], check=True)
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = [line for line in lines if line.partition("==")[0] in PACKAGES]
    python = home / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", *pinned], check=True)
    return python


def exported(texts: Sequence[str], root: Path) -> dict[Deployment, Path]:
    """A sub-network of MiniLM on each deployment."""
    torch.manual_seed(0)
    checkpoint = find_checkpoint("minilm").folder
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(checkpoint)
    full: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(
        checkpoint, num_labels=len(LABELS)
    ).eval()
    full.config.id2label = dict(enumerate(LABELS))
    full.config.label2id = {label: index for index, label in enumerate(LABELS)}
    shape = shape_of(full.config)
    config = SubnetConfig.from_multipliers(shape, 0.5, 0.5)
    network, dense = Network(config.key, Cut(shape, config)), extract(full, config)
    calibration = [
        {
            name: entry.astype(np.int64)
            for name, entry in tokenizer(
                text, truncation=True, max_length=MAX_LENGTH, return_tensors="np"
            ).items()
        }
        for text in texts
    ]
    _let_labels_differ(dense, calibration)
    folders = {}
    for deployment in DEPLOYMENTS:
        folders[deployment] = root / deployment.slug
        export(
            dense,
            tokenizer,
            deployment,
            folders[deployment],
            card=ModelCard(
                base_model="minilm",
                task="none",
                head=CLASSIFICATION,
                network=network,
                deployment=deployment,
                num_params=dense.num_parameters(),
                num_flops=1,
                seq_len=MAX_LENGTH,
                size_bytes=None,
                peak_memory_bytes=None,
                numbers=(),
                conditions="",
            ),
            max_length=MAX_LENGTH,
            threads=1,
            origin={},
            calibration=calibration if deployment.precision == "int8" else (),
        )
    return folders


def compared(
    deployment: Deployment, folder: Path, python: Path, texts: Sequence[str]
) -> dict[str, Any]:
    """What one folder answers there and here, and how long that takes."""
    print(deployment.title, file=sys.stderr)
    there, here = [], []
    for _ in range(NUM_PROCESSES):
        there.append(_answered(python, folder, texts, absent=ABSENT))
        here.append(_answered(Path(sys.executable), folder, texts, absent=()))
    pairs = list(zip(there[0]["answers"], here[0]["answers"], strict=True))
    labels = [label for (label, _), _ in pairs]
    return {
        "runtime": deployment.runtime,
        "precision": deployment.precision,
        "num_equal_labels": sum(one[0] == other[0] for one, other in pairs),
        "labels": {label: labels.count(label) for label in LABELS},
        "largest_probability_difference": max(abs(one[1] - other[1]) for one, other in pairs),
        "there_ms": _milliseconds(there),
        "here_ms": _milliseconds(here),
    }


def _let_labels_differ(dense: PreTrainedModel, batches: Sequence[Any]) -> None:
    *_, last = (module for module in dense.modules() if isinstance(module, torch.nn.Linear))
    with torch.inference_mode():
        logits = [
            dense(**{name: torch.from_numpy(entry) for name, entry in batch.items()}).logits
            for batch in batches
        ]
    with torch.no_grad():
        last.bias -= torch.cat(logits).mean(dim=0)


def _answered(
    python: Path, folder: Path, texts: Sequence[str], *, absent: Sequence[str]
) -> dict[str, Any]:
    isolated = ["-I"] if absent else []
    done = subprocess.run(
        [python, *isolated, "-c", ANSWERING, folder, ",".join(absent)],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _milliseconds(processes: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The median text of each process: the median of these, and their range."""
    medians = sorted(1000 * statistics.median(entry["times_s"]) for entry in processes)
    return {"median": statistics.median(medians), "low": medians[0], "high": medians[-1]}


if __name__ == "__main__":
    main()
