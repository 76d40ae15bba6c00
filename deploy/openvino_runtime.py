"""OpenVINO on the CPU, in float32, bfloat16 or statically quantised int8.

On processors with bfloat16 units OpenVINO takes that format by itself; here fp32 means float32.
For bf16 the weights lie on disk in 16 bits, as float16, and are turned into bfloat16 on loading.
int8 is the post-training quantisation of NNCF, OpenVINO's own tool, calibrated with real text;
what stays between the quantised products is float32. The module imports neither torch nor
transformers, but NNCF, which only quantising needs, does.
"""

import importlib
import logging
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .runner import Inputs, completed

MODEL = "openvino_model.xml"
_HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}


class OpenVinoRunner:
    """A model compiled by OpenVINO for one request at a time."""

    def __init__(self, path: Path, *, precision: str, threads: int) -> None:
        """Compile the model.

        Raises:
            InputError: When the processor has no bfloat16 units.
        """
        self._openvino = importlib.import_module("openvino")
        core = self._openvino.Core()
        if precision == "bf16" and "BF16" not in core.get_property(
            "CPU", "OPTIMIZATION_CAPABILITIES"
        ):
            raise InputError("openvino bf16 needs a processor with bfloat16 units; use fp32.")
        settings = {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
        }
        self._compiled = core.compile_model(path, "CPU", settings)
        self._names = [entry.get_any_name() for entry in self._compiled.inputs]

    def bind(self, batch: Inputs) -> Callable[[], object]:
        """Copy the inputs into tensors of a request's own; running it copies nothing.

        A tensor that shared the array's memory would not keep it alive.
        """
        request = self._compiled.create_infer_request()
        for name, entry in completed(batch, self._names).items():
            request.set_tensor(name, self._openvino.Tensor(entry))
        return request.infer  # type: ignore[no-any-return]

    def logits(self, batch: Inputs) -> NDArray[np.float32]:
        """The logits [B, C] of a batch."""
        found = self._compiled(completed(batch, self._names))[0]
        return np.array(found, dtype=np.float32)


def convert(exact: Path, path: Path, *, half_size: bool) -> None:
    """Write a float32 ONNX file in OpenVINO's own format.

    Args:
        exact: The ONNX file.
        path: The `.xml` file; the weights go into a `.bin` beside it.
        half_size: Keep weights as float16, the only 16-bit format that OpenVINO writes.
    """
    openvino = importlib.import_module("openvino")
    _save(openvino.convert_model(exact), path, half_size=half_size)


def quantise(exact: Path, path: Path, *, calibration: Sequence[Inputs]) -> None:
    """Write the int8 version of a float32 ONNX file in OpenVINO's own format.

    Raises:
        ValueError: When there is nothing to calibrate with.
    """
    if not calibration:
        raise ValueError("openvino int8 is calibrated with batches of real text")
    openvino, nncf = map(importlib.import_module, ("openvino", "nncf"))
    logging.getLogger("nncf").setLevel(logging.ERROR)
    model = openvino.convert_model(exact)
    names = [entry.get_any_name() for entry in model.inputs]
    with redirect_stdout(StringIO()):
        quantised = nncf.quantize(
            model,
            nncf.Dataset([completed(batch, names) for batch in calibration]),
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=len(calibration),
        )
    _save(quantised, path, half_size=False)


def _save(model: Any, path: Path, *, half_size: bool) -> None:
    """Write a model; OpenVINO numbers its operations on through a process, the file anew.

    So the same network makes the same file.
    """
    for number, operation in enumerate(model.get_ordered_ops()):
        kind = operation.get_type_name()
        if kind not in ("Parameter", "Result"):
            operation.set_friendly_name(f"{kind}_{number}")
    importlib.import_module("openvino").save_model(model, path, compress_to_fp16=half_size)
