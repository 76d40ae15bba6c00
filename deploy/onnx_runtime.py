"""ONNX Runtime on the CPU, in float32 or dynamically quantised int8.

int8 is ONNX Runtime's own dynamic quantisation: 8-bit weights with one scale per column,
activations quantised as they come. It needs no calibration, and what stays between the matrix
products is float32. Static quantisation, calibrated with 256 examples, was worse both ways: on a
MiniLM of 6 layers (SST-2) the mean error of a logit is 0.15 (1.3 when all operators are quantised)
against 0.043, and a run takes 1.25 times as long. The module imports neither torch nor
transformers.
"""

import importlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .runner import Inputs, completed

MODEL = "model.onnx"


class OnnxRuntimeRunner:
    """A session of ONNX Runtime."""

    def __init__(self, path: Path, *, threads: int) -> None:
        """Open a session whose operators use so many threads, one operator at a time."""
        runtime = importlib.import_module("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
        # Threads that wait actively after a run would slow down the next network of a round.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self._session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._names = [entry.name for entry in self._session.get_inputs()]

    def bind(self, batch: Inputs) -> Callable[[], object]:
        """Bind the inputs and let the session place its output."""
        binding = self._session.io_binding()
        for name, entry in completed(batch, self._names).items():
            binding.bind_cpu_input(name, entry)
        binding.bind_output("logits")
        return partial(self._session.run_with_iobinding, binding)

    def logits(self, batch: Inputs) -> NDArray[np.float32]:
        """The logits [B, C] of a batch."""
        found: NDArray[np.float32] = self._session.run(["logits"], completed(batch, self._names))[
            0
        ]
        return found


def quantise(exact: Path, path: Path) -> None:
    """Write the int8 version of a float32 ONNX file."""
    onnx, quantization = map(importlib.import_module, ("onnx", "onnxruntime.quantization"))
    model = onnx.load(exact)
    # The exporter's notes of shapes contradict the ones that the quantiser infers.
    del model.graph.value_info[:]
    with _quiet_root_logger():
        quantization.quantize_dynamic(
            model, path, per_channel=True, weight_type=quantization.QuantType.QInt8
        )


@contextmanager
def _quiet_root_logger() -> Iterator[None]:
    """Hold back the quantiser's advice, which it gives through the root logger."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
