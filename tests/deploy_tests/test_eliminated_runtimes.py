"""Runtimes compute what a network that eliminates word-vectors computes in torch."""

from pathlib import Path

import numpy as np
import pytest
import torch

from paretobert.deploy import artefact
from paretobert.deploy.deployment import Deployment
from paretobert.deploy.runner import Inputs
from paretobert.encoders.extraction import extract
from paretobert.networks.retention import Retention
from paretobert.networks.subnet import SubnetConfig

from ..profiling_tests.conftest import tiny_model

PERCENT = Retention((60, 1), "percent")
COUNTS = Retention((5, 5))
PACKAGES = {"eager": "torch", "compile": "torch", "onnxruntime": "onnxscript"}


def batch(lengths: tuple[int, ...], *, seed: int) -> Inputs:
    generator = np.random.default_rng(seed)
    shape = len(lengths), max(lengths)
    mask = (np.arange(shape[1]) < np.array(lengths)[:, None]).astype(np.int64)
    ids = generator.integers(5, 50, size=shape, dtype=np.int64)
    return {"input_ids": ids * mask, "attention_mask": mask}


# torch's own compiler calls a function that torch deprecates where it meets a diagonal.
@pytest.mark.filterwarnings("ignore:`torch._prims_common.check` is deprecated:FutureWarning")
@pytest.mark.parametrize(
    ("runtime", "retention"),
    [
        ("eager", PERCENT),
        ("eager", COUNTS),
        ("compile", PERCENT),
        ("onnxruntime", COUNTS),
        ("openvino", PERCENT),
    ],
)
def test_every_runtime_eliminates_the_same(
    runtime: str, retention: Retention, tmp_path: Path
) -> None:
    pytest.importorskip(PACKAGES.get(runtime, runtime), reason=f"{runtime} is not installed")
    dense = extract(tiny_model(), SubnetConfig((0, 2), (4, 3), (40, 5), retention))
    artefact.write(dense, Deployment(runtime, "fp32"), tmp_path / "network")
    runner = artefact.load(tmp_path / "network", threads=1)
    sizes = ((13, 4, 9),) if runtime == "compile" else ((31,), (13, 4, 9), (7, 7))
    for seed, lengths in enumerate(sizes):  # each of which is compiled anew
        inputs = batch(lengths, seed=seed)
        with torch.inference_mode():
            expected = dense(**{name: torch.from_numpy(ids) for name, ids in inputs.items()})
        np.testing.assert_allclose(
            runner.logits(inputs), expected.logits.numpy(), rtol=0, atol=1e-4
        )
