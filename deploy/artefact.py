"""A deployed network on disk: written by its runtime's tools, checked, and loaded again.

A folder holds the network's files and `deployment.json`: the deployment and how far the logits
are from those of the float32 torch model on a few batches. In float32 they must agree.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..storage import folder as atomic_folder
from ..storage import read_json, write_json
from .deployment import Deployment
from .runner import Inputs, Runner, allowed_difference

if TYPE_CHECKING:
    from transformers import PreTrainedModel

RECORD = "deployment.json"


def write(
    model: "PreTrainedModel",
    deployment: Deployment,
    folder: Path,
    *,
    calibration: Sequence[Inputs] = (),
) -> None:
    """Write a dense network as a runtime takes it, and compare its logits.

    A compiled network is written as the eager one; compiling is left to the loader, which
    compares the logits again.

    Args:
        model: The network in evaluation mode, on the CPU; it stays as it is.
        deployment: Runtime and precision.
        folder: The destination; one that is there is replaced.
        calibration: Batches of real text, for deployments that are calibrated.

    Raises:
        ExportError: When float32 logits differ by more than `FP32_TOLERANCE`, or those of another
            precision are not finite where the float32 ones are.
    """
    with atomic_folder(folder) as temporary:
        _write(model, deployment, temporary, calibration)
        eager = Deployment("eager", deployment.precision)
        checked = eager if deployment.runtime == "compile" else deployment
        runner = _load(temporary, checked, threads=1, device="cpu")
        difference = _largest_difference(model, runner, deployment)
        write_json(temporary / RECORD, {**deployment.to_dict(), "logit_difference": difference})


def load(folder: Path, *, threads: int, device: str = "cpu") -> Runner:
    """Load a network that `write` wrote; for ONNX Runtime and OpenVINO without torch.

    Args:
        folder: Its folder, not needed any more once the network is loaded.
        threads: Threads of one operator on the CPU. Torch keeps one number for the process: the
            caller of a bound run sets it.
        device: The device to run on.

    Raises:
        InputError: When the device or a package is absent.
    """
    record = read_json(folder / RECORD)
    deployment = Deployment(record["runtime"], record["precision"])
    deployment.require(device)
    return _load(folder, deployment, threads=threads, device=device)


def size_bytes(folder: Path) -> int:
    """Bytes of the network's files."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != RECORD)
    return sum(path.stat().st_size for path in files)


def _write(
    model: "PreTrainedModel", deployment: Deployment, folder: Path, calibration: Sequence[Inputs]
) -> None:
    if deployment.runtime in ("eager", "compile"):
        from . import torch_runtime

        torch_runtime.write(model, deployment.precision, folder)
        return
    from . import onnx_runtime, openvino_runtime
    from .export import check_batches, write_onnx

    exact = folder / onnx_runtime.MODEL
    write_onnx(model, check_batches(model.config, _graph_inputs(model))[-1], exact)
    if deployment.slug == "onnxruntime-fp32":
        return
    if deployment.runtime == "onnxruntime":
        kept = exact.rename(folder / "exact.onnx")
        onnx_runtime.quantise(kept, exact)
        kept.unlink()
        return
    if deployment.precision == "int8":
        openvino_runtime.quantise(exact, folder / openvino_runtime.MODEL, calibration=calibration)
    else:
        openvino_runtime.convert(
            exact, folder / openvino_runtime.MODEL, half_size=deployment.precision == "bf16"
        )
    exact.unlink()


def _load(folder: Path, deployment: Deployment, *, threads: int, device: str) -> Runner:
    precision = deployment.precision
    if deployment.runtime == "onnxruntime":
        from . import onnx_runtime

        return onnx_runtime.OnnxRuntimeRunner(folder / onnx_runtime.MODEL, threads=threads)
    if deployment.runtime == "openvino":
        from . import openvino_runtime

        path = folder / openvino_runtime.MODEL
        return openvino_runtime.OpenVinoRunner(path, precision=precision, threads=threads)
    from . import torch_runtime

    make = {"eager": torch_runtime.load_eager, "compile": torch_runtime.load_compiled}
    return make[deployment.runtime](folder, precision=precision, device=device, threads=threads)


def _graph_inputs(model: "PreTrainedModel") -> tuple[str, ...]:
    from ..encoders.families import FAMILIES
    from ..encoders.modeling_subnet import PREFIX

    family = FAMILIES[model.config.model_type.removeprefix(PREFIX)]
    return (*family.embedding_inputs, "attention_mask")


def _largest_difference(model: "PreTrainedModel", runner: Runner, deployment: Deployment) -> float:
    """Compare logits on a few batches; a network whose own are not finite is not judged here."""
    import torch

    from .export import ExportError, check_batches

    largest = 0.0
    for batch in check_batches(model.config, _graph_inputs(model)):
        with torch.inference_mode():
            expected = model(**batch).logits.float().numpy()
        found = runner.logits({name: tensor.numpy() for name, tensor in batch.items()})
        if not np.isfinite(expected).all():
            continue
        difference = float(np.abs(found - expected).max())
        allowed = np.inf if deployment.changes_numbers else allowed_difference(expected)
        if not (np.isfinite(difference) and difference <= allowed):
            raise ExportError(
                f"{deployment.title} computes logits that differ by {difference:.2g} from "
                f"torch's float32 on a batch of shape {tuple(batch['input_ids'].shape)} "
                f"(allowed: {allowed:.2g})."
            )
        largest = max(largest, difference)
    return largest
