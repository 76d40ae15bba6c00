"""A network as its runtime takes it, on disk: written by the runtime's tools, checked, loaded.

A folder holds the network's files and `deployment.json`: the deployment, the size and the hash of
every file, by which a torn one or another one is known, what the network is fed (vocabulary,
padding, longest text, entries of a batch), and how far its logits are from those of the float32
torch model. In float32 they must agree. Nothing else is needed to measure it, here or elsewhere.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError, shortened
from ..storage import folder as atomic_folder
from ..storage import is_name, read_json, refuse_irregular, write_json
from .deployment import Deployment
from .runner import ExportError, Inputs, Runner, allowed_difference

if TYPE_CHECKING:
    from transformers import PreTrainedModel

RECORD = "deployment.json"

_MODULES = {
    "eager": "torch_runtime",
    "compile": "torch_runtime",
    "onnxruntime": "onnx_runtime",
    "openvino": "openvino_runtime",
}


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
    written = seals(folder, files)
    eager = Deployment("eager", deployment.precision)
    checked = eager if deployment.runtime == "compile" else deployment
    runner = _load(folder, checked, threads=1, device="cpu")
    config = model.config
    write_json(
        folder / RECORD,
        {
            **deployment.to_dict(),
            "files": written,
            "vocab_size": config.vocab_size,
            "padding_id": config.pad_token_id,
            "max_tokens": longest_input(config),
            "input_names": list(graph_inputs(config)),
            "logit_difference": _largest_difference(model, runner, deployment),
        },
    )


def read_record(folder: Path) -> dict[str, Any]:
    """What `deployment.json` says of a written network.

    Sizes are compared, hashes are not: see `read_sealed`.

    Raises:
        InputError: When the folder holds none, the record is damaged, or a file is missing, is
            something else or has another size.
    """
    path = folder / RECORD
    if not os.path.lexists(path):
        raise InputError(
            f"{folder} holds no written network (no {RECORD}): give a folder that "
            "`paretobert export` wrote."
        )
    record = read_json(path)
    kinds = {
        "runtime": str,
        "precision": str,
        "files": dict,
        "vocab_size": int,
        "max_tokens": int,
        "input_names": list,
    }
    if not isinstance(record, dict) or not all(
        isinstance(record.get(name), kind) for name, kind in kinds.items()
    ):
        raise InputError(f"{path} is damaged: export the network again.")
    for name, seal in _sealed(folder, record).items():
        _check_place(folder, name, seal)
    return record


def read_sealed(folder: Path) -> dict[str, Any]:
    """As `read_record`, when every file that it names is the one that was written.

    Raises:
        InputError: Also when a file's hash differs.
    """
    record = read_record(folder)
    for name, seal in _sealed(folder, record).items():
        path = folder / name
        if _sha256(path) != seal["sha256"]:
            raise InputError(
                f"{path} is not the file that was exported: its contents changed. {_AGAIN}"
            )
    return record


def seals(folder: Path, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Size and hash of files, by which they are known again."""
    return {
        name: {"size_bytes": (folder / name).stat().st_size, "sha256": _sha256(folder / name)}
        for name in names
    }


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


def import_runtime(folder: Path) -> None:
    """Import what runs a network that `write` wrote, and load nothing of it.

    Raises:
        InputError: When the folder is damaged.
    """
    import_module(f".{_MODULES[read_record(folder)['runtime']]}", __package__)


def size_bytes(folder: Path) -> int:
    """Bytes of the network's own files."""
    return sum(seal["size_bytes"] for seal in read_record(folder)["files"].values())


def fingerprint(folder: Path) -> str:
    """A hash of the network's own files, by which an export is known for what was measured.

    Raises:
        InputError: See `read_sealed`.
    """
    digest = hashlib.sha256()
    for name, seal in sorted(read_sealed(folder)["files"].items()):
        digest.update(name.encode())
        digest.update(bytes.fromhex(seal["sha256"]))
    return digest.hexdigest()[:32]


def describe(folder: Path, further: Mapping[str, Any]) -> None:
    """Add to what `deployment.json` says."""
    write_json(folder / RECORD, read_json(folder / RECORD) | dict(further))


_AGAIN = "Copy the folder again, or export the network again."


def _sealed(folder: Path, record: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The size and hash of every file that a record names, the network's own and others."""
    beside = record.get("beside", {})
    if not record["files"] or not isinstance(beside, dict):
        raise InputError(f"{folder / RECORD} is damaged: it names no files. {_AGAIN}")
    found = {**record["files"], **beside}
    for name, seal in found.items():
        whole = (
            isinstance(seal, dict)
            and type(seal.get("size_bytes")) is int
            and isinstance(seal.get("sha256"), str)
            and re.fullmatch("[0-9a-f]{64}", seal["sha256"])
        )
        if not whole or not is_name(name):
            raise InputError(
                f"{folder / RECORD} is damaged: it does not say what {shortened(name)} is. "
                f"{_AGAIN}"
            )
    return found


def _check_place(folder: Path, name: str, seal: Mapping[str, Any]) -> None:
    path = folder / name
    inside = Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
    if not inside or not os.path.lexists(path):
        raise InputError(f"{folder} lacks {name}: export the network again.")
    refuse_irregular(path)
    found = path.stat().st_size
    if found != seal["size_bytes"]:
        raise InputError(
            f"{path} has {found:,} bytes, but {seal['size_bytes']:,} were exported. {_AGAIN}"
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
