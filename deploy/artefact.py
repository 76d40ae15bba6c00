"""A network as its runtime takes it, on disk: written by the runtime's tools, checked, loaded.

A folder holds the network's files and `deployment.json`: the deployment, the files' names, what
the network is fed (vocabulary, padding, longest text, entries of a batch), and how far its logits
are from those of the float32 torch model. In float32 they must agree. Nothing else is needed to
measure it, here or elsewhere.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..storage import folder as atomic_folder
from ..storage import read_json, write_json
from .deployment import Deployment
from .runner import ExportError, Inputs, Runner, allowed_difference

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
        write_into(model, deployment, temporary, calibration=calibration)


def write_into(
    model: "PreTrainedModel",
    deployment: Deployment,
    folder: Path,
    *,
    calibration: Sequence[Inputs] = (),
) -> None:
    """As `write`, into an existing empty folder."""
    from .graph import graph_inputs, longest_input

    _write(model, deployment, folder, calibration)
    files = sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )
    eager = Deployment("eager", deployment.precision)
    checked = eager if deployment.runtime == "compile" else deployment
    runner = _load(folder, checked, threads=1, device="cpu")
    config = model.config
    write_json(
        folder / RECORD,
        {
            **deployment.to_dict(),
            "files": files,
            "vocab_size": config.vocab_size,
            "padding_id": config.pad_token_id,
            "max_tokens": longest_input(config),
            "input_names": list(graph_inputs(config)),
            "logit_difference": _largest_difference(model, runner, deployment),
        },
    )


def read_record(folder: Path) -> dict[str, Any]:
    """What `deployment.json` says of a written network.

    Raises:
        InputError: When the folder holds none, or the record or a file is damaged or missing.
    """
    path = folder / RECORD
    if not path.is_file():
        raise InputError(
            f"{folder} holds no written network (no {RECORD}): give a folder that "
            "`paretobert export` wrote."
        )
    record = read_json(path)
    kinds = {
        "runtime": str,
        "precision": str,
        "files": list,
        "vocab_size": int,
        "max_tokens": int,
        "input_names": list,
    }
    if not isinstance(record, dict) or not all(
        isinstance(record.get(name), kind) for name, kind in kinds.items()
    ):
        raise InputError(f"{path} is damaged: export the network again.")
    for name in record["files"]:
        file = folder / str(name)
        if not file.resolve().is_relative_to(folder.resolve()) or not file.is_file():
            raise InputError(f"{folder} lacks {name}: export the network again.")
    return record


def load(folder: Path, *, threads: int, device: str = "cpu") -> Runner:
    """Load a network that `write` wrote; for ONNX Runtime and OpenVINO without torch.

    Args:
        folder: Its folder, not needed any more once the network is loaded.
        threads: Threads of one operator on the CPU. Torch keeps one number for the process: the
            caller of a bound run sets it.
        device: The device to run on.

    Raises:
        InputError: When the folder is damaged, or the device or a package is absent.
    """
    record = read_record(folder)
    deployment = Deployment(record["runtime"], record["precision"])
    deployment.require_to_run(device)
    return _load(folder, deployment, threads=threads, device=device)


def size_bytes(folder: Path) -> int:
    """Bytes of the network's own files."""
    return sum((folder / name).stat().st_size for name in read_record(folder)["files"])


def fingerprint(folder: Path) -> str:
    """A hash of the network's own files, by which an export is known for what was measured."""
    digest = hashlib.sha256()
    for name in sorted(read_record(folder)["files"]):
        digest.update(name.encode())
        with (folder / name).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:32]


def describe(folder: Path, further: Mapping[str, Any]) -> None:
    """Add to what `deployment.json` says."""
    write_json(folder / RECORD, read_json(folder / RECORD) | dict(further))


def _write(
    model: "PreTrainedModel", deployment: Deployment, folder: Path, calibration: Sequence[Inputs]
) -> None:
    if deployment.runtime in ("eager", "compile"):
        from . import torch_runtime

        torch_runtime.write(model, deployment.precision, folder)
        return
    from . import onnx_runtime, openvino_runtime
    from .graph import check_batches, graph_inputs, write_onnx

    exact = folder / onnx_runtime.MODEL
    write_onnx(model, check_batches(model.config, graph_inputs(model.config))[-1], exact)
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


def _largest_difference(model: "PreTrainedModel", runner: Runner, deployment: Deployment) -> float:
    """Compare logits on a few batches; a network whose own are not finite is not judged here."""
    import torch

    from .graph import check_batches, graph_inputs

    largest = 0.0
    for batch in check_batches(model.config, graph_inputs(model.config)):
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
