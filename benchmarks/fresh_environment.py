"""An exported folder where nothing but its runtime is installed: the same answers, as fast?

    paretobert query runs/demo --cheapest latency --max-loss 3pt --runtime openvino \
        --precision int8 --json > answer.json
    paretobert export runs/demo --network ID --runtime openvino --precision int8 --to small
    python benchmarks/fresh_environment.py small --answer answer.json

makes a virtual environment with the runtime, tokenizers and numpy of `constraints.txt`, without
torch, transformers and paretobert, moves the folder there, and lets its `predict.py` answer texts
of the standard library's documentation. Here the same folder answers through `deploy.answering`.
Processes there and here take turns. Every text is timed with its tokenisation; one text that fills
128 tokens is timed by itself, to be held against the latency that the query measured again for
1 x 128 tokens without tokenisation.
"""

import argparse
import inspect
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from paretobert.deploy.artefact import fingerprint, read_record
from paretobert.profiling.environment import Environment
from paretobert.storage import write_json

ROOT = Path(__file__).resolve().parents[1]
ABSENT = ("torch", "transformers", "paretobert", "onnx", "nncf", "safetensors")
DOCUMENTED = (
    *("argparse", "ast", "collections", "datetime", "email.message", "inspect", "json", "logging"),
    *("os", "pathlib", "statistics", "subprocess", "tarfile", "threading", "unittest", "zipfile"),
)
FULL_TEXT = "the " * 200
"""Fills 128 tokens and is cut there, where the export's texts are cut at 128."""

NUM_PROCESSES = 5

ANSWERING = """
import importlib.util, json, sys, time
folder, absent = sys.argv[1], [name for name in sys.argv[2].split(",") if name]
texts, full = json.load(sys.stdin)
found = [name for name in absent if importlib.util.find_spec(name)]
assert not found, found
if absent:
    sys.path.insert(0, folder)
    from predict import predict
else:
    from pathlib import Path
    from paretobert.deploy.answering import Answering
    answering = Answering(Path(folder))
    def predict(text):
        (answer,) = answering([text])
        return answer.label, answer.value
def timed(text):
    start_s = time.perf_counter()
    answer = predict(text)
    return answer, time.perf_counter() - start_s
for text in [*texts[:10], full] * 2:
    predict(text)
rows = [timed(text) for text in texts]
print(json.dumps({
    "answers": [answer for answer, _ in rows],
    "times_s": [time_s for _, time_s in rows],
    "full_s": [timed(full)[1] for _ in range(100)],
}))
"""


def main() -> None:
    """Install, answer and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--answer", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/fresh_environment.json"))
    parser.add_argument("--texts", type=int, default=200)
    arguments = parser.parse_args()
    record, texts = read_record(arguments.folder), documentation(arguments.texts)
    answer = json.loads(arguments.answer.read_text())["answer"]
    if answer["network"] != record["origin"]["id"]:
        sys.exit(f"{arguments.folder} is not the network of {arguments.answer}")
    environment = Environment.capture()
    there, here = [], []
    with tempfile.TemporaryDirectory() as scratch:
        packages = (record["runtime"], "tokenizers", "numpy")
        python = fresh_python(Path(scratch) / "venv", packages)
        moved = Path(shutil.copytree(arguments.folder, Path(scratch) / "moved"))
        same_files = fingerprint(moved) == fingerprint(arguments.folder)
        for _ in range(NUM_PROCESSES):
            there.append(answered(python, moved, texts, absent=ABSENT))
            here.append(answered(Path(sys.executable), arguments.folder, texts, absent=()))
    pairs = list(zip(there[0]["answers"], here[0]["answers"], strict=True))
    labels = [label for (label, _), _ in pairs]
    write_json(
        arguments.out,
        {
            "command": "python " + " ".join(sys.argv),
            "environment": environment.to_dict(),
            "runtime": record["runtime"],
            "precision": record["precision"],
            "network": {name: answer[name] for name in ("network", "label", "params", "flops")},
            "task": {name: answer[name] for name in ("metric", "search", "report")},
            "queried": {"latency_ms": answer["latency_ms"], "speedup": answer["speedup"]},
            "installed": list(packages),
            "absent": list(ABSENT),
            "same_files": same_files,
            "num_texts": len(texts),
            "num_equal_labels": sum(one[0] == other[0] for one, other in pairs),
            "num_labels": len(set(labels)),
            "largest_probability_difference": max(abs(one[1] - other[1]) for one, other in pairs),
            "num_processes": NUM_PROCESSES,
            "text_ms": {
                "there": milliseconds(there, "times_s"),
                "here": milliseconds(here, "times_s"),
            },
            "full_text_ms": {
                "there": milliseconds(there, "full_s"),
                "here": milliseconds(here, "full_s"),
            },
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


def fresh_python(home: Path, packages: Sequence[str]) -> Path:
    """The interpreter of a new virtual environment with some packages alone."""
    subprocess.run([sys.executable, "-m", "venv", home], check=True)
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = [line for line in lines if line.partition("==")[0] in packages]
    python = home / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", *pinned], check=True)
    return python


def answered(
    python: Path, folder: Path, texts: Sequence[str], *, absent: Sequence[str]
) -> dict[str, Any]:
    """What a folder answers in a process of its own, and the seconds of each answer."""
    isolated = ["-I"] if absent else []
    done = subprocess.run(
        [python, *isolated, "-c", ANSWERING, folder, ",".join(absent)],
        input=json.dumps([list(texts), FULL_TEXT]),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def milliseconds(processes: Sequence[dict[str, Any]], name: str) -> dict[str, float]:
    """The median of each process: the median of these, and their range."""
    medians = sorted(1000 * statistics.median(entry[name]) for entry in processes)
    return {"median": statistics.median(medians), "low": medians[0], "high": medians[-1]}


if __name__ == "__main__":
    main()
