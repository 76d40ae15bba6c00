"""Two processes that share each batch learn what one process learns."""

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from paretobert.cli.app import main
from paretobert.cli.display import Meter

from . import launched

ACCELERATE = (
    *("accelerate.commands.launch", "--multi_gpu", "--num_machines", "1", "--num_processes"),
    *("2", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"),
)
TORCHRUN = ("torch.distributed.run", "--standalone", "--nproc_per_node", "2")
LAUNCHER = ACCELERATE if find_spec("accelerate") else TORCHRUN
"""What starts the processes; torch's own is what `accelerate launch` calls."""

TOLERANCE = 1e-4
"""Of losses, relative to their size: sums in another order."""

WEIGHT_TOLERANCE = 1e-3
"""Of weights, a step of AdamW: it moves by the sign of gradients that are almost 0."""


@pytest.fixture
def words(tiny_checkpoint: Path, colours_csv: Path, tmp_path: Path) -> list[str]:
    """A training without what rounding would turn apart: dropout, and units sorted by importance.

    Two units of almost equal importance may change places.
    """
    checkpoint = shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint")
    config = json.loads((checkpoint / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (checkpoint / "config.json").write_text(json.dumps(config))
    return [
        *("--model", str(checkpoint), "--task", "files", "--data", str(colours_csv)),
        *("--widths", "1,0.5", "--depths", "1,0.5", "--learning-rate", "1e-3"),
        *("--teacher-epochs", "1", "--width-epochs", "1", "--depth-epochs", "1"),
        *("--training-precision", "fp32", "--training-batch-size", "64", "--max-length", "32"),
        *("--settings", "paper", "--seq-len", "8", "--rewiring", "none"),
    ]


def test_two_processes_learn_what_one_learns(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, together = tmp_path / "alone", tmp_path / "together"
    expected: list[tuple[str, int, float]] = []
    with monkeypatch.context() as patched:
        patched.setattr(
            Meter,
            "training",
            lambda self, state: expected.append((state.stage, state.step, state.loss)),
        )
        assert main(["train", str(alone), *words]) == 0
    done = subprocess.run(
        [sys.executable, "-m", *LAUNCHER, launched.__file__, "train", str(together), *words],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads([line for line in done.stdout.splitlines() if line.startswith("[[")][-1])
    assert [entry[:2] for entry in found] == [[*entry[:2]] for entry in expected]
    assert {stage for stage, _, _ in expected} == {"teacher", "width", "depth"}
    losses = [[entry[2] for entry in each] for each in (found, expected)]
    assert losses[0] == pytest.approx(losses[1], rel=TOLERANCE)
    weights, same = (
        load_file(folder / "supernet" / "model.safetensors") for folder in (alone, together)
    )
    for name, tensor in weights.items():
        torch.testing.assert_close(same[name], tensor, rtol=0, atol=WEIGHT_TOLERANCE)
    for name in ("training.jsonl", "steps.jsonl"):
        lines = [len((f / name).read_text().splitlines()) for f in (alone, together)]
        assert lines[0] == lines[1] > 0
