"""Whether a checkpoint's safetensors hold the weights of the model that its config describes.

transformers fills what it does not find with random numbers and says so in a warning, so that a
checkpoint that lacks layers, or belongs to another model, would be trained from noise. Here only a
head may be absent: everything that a text passes on its way to the head must be there, in its
shape, as finite numbers. Tensors beyond these (a language-model head, positions) are passed over.
Left out: converting names, but for the old ones of LayerNorm and for an encoder saved alone.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from transformers import PreTrainedModel

from ..errors import InputError, shortened
from ..storage import read_json, refuse_irregular
from .families import family_of

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"

_OLD_NAMES = (("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias"))
_FLOATS = ("F64", "F32", "F16", "BF16")
_SHOWN = 3

Found = dict[str, tuple[Any, str]]
"""Where each tensor of a model lies: an open file and the tensor's name in it."""


def find_weights(folder: Path) -> tuple[Path, ...]:
    """The files that hold a checkpoint's weights: one, or an index and its shards.

    Raises:
        InputError: When there are none, or the index names a file that is not there.
    """
    if os.path.lexists(folder / WEIGHTS):
        refuse_irregular(folder / WEIGHTS)
        return (folder / WEIGHTS,)
    if os.path.lexists(folder / INDEX):
        return (folder / INDEX, *_shards(folder))
    if any(folder.glob("*.bin")):
        raise InputError(
            f"{folder} holds its weights in a .bin file, a pickle that can run code: convert it "
            "to safetensors (load it where you trust it, then save_pretrained)."
        )
    raise InputError(f"{folder} holds no weights: {WEIGHTS} is missing.")


def check_weights(folder: Path, files: Iterable[Path], model: PreTrainedModel) -> None:
    """Compare the tensors of a checkpoint with those of the model that is to hold them.

    Args:
        folder: The checkpoint's, for messages.
        files: What `find_weights` found.
        model: The stock model, on the meta device.

    Raises:
        InputError: When tensors of the encoder are missing, have another shape, are no
            floating-point numbers or are not finite; naming them.
    """
    backbone = family_of(model).backbone
    shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    encoder = [name for name in shapes if name.startswith(f"{backbone}.")]
    with ExitStack() as opened:
        found: Found = {}
        for file in files:
            if file.suffix == ".safetensors":
                handle = opened.enter_context(_opened(file))
                found |= {
                    _named(key, backbone, shapes): (handle, key) for key in list(handle.keys())
                }
        _refuse_absent(folder, encoder, backbone=backbone, found=found)
        _refuse_others(folder, {name: shapes[name] for name in encoder}, found=found)
        _refuse_broken(folder, {name: found[name] for name in shapes if name in found})


def _shards(folder: Path) -> list[Path]:
    path = folder / INDEX
    index = read_json(path)
    places = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(places, dict) or not places:
        raise InputError(f"{path} names no weights: the file is damaged.")
    shards = []
    for name in sorted(set(map(str, places.values()))):
        if Path(name).name != name or not name.endswith(".safetensors") or "\0" in name:
            raise InputError(
                f"{path} names {shortened(name)}, which is no safetensors file beside it."
            )
        if not os.path.lexists(folder / name):
            raise InputError(
                f"{folder} lacks the weights file {shortened(name)} that its index names: copy or "
                "download it again."
            )
        refuse_irregular(folder / name)
        shards.append(folder / name)
    return shards


def _opened(file: Path) -> Any:
    try:
        return safe_open(file, framework="pt")
    except SafetensorError as error:
        raise InputError(f"{file} is damaged: {error}. Copy or download it again.") from None


def _named(key: str, backbone: str, shapes: Mapping[str, object]) -> str:
    """The name in the classification model of a tensor, perhaps of an encoder saved alone."""
    for old, new in _OLD_NAMES:
        key = key.replace(old, new)
    inside = f"{backbone}.{key}"
    return inside if inside in shapes else key


def _refuse_absent(folder: Path, encoder: Sequence[str], *, backbone: str, found: Found) -> None:
    needed = [name for name in encoder if not name.startswith(f"{backbone}.pooler.")]
    absent = [name for name in needed if name not in found]
    if len(absent) == len(needed):
        raise InputError(
            f"{folder} holds no weights of the model that its config.json describes: it lacks "
            f"{_listed(absent)}."
        )
    if absent:
        raise InputError(
            f"{folder} lacks {len(absent)} of the {len(needed)} tensors of its encoder: "
            f"{_listed(absent)}."
        )


def _refuse_others(folder: Path, shapes: Mapping[str, list[int]], *, found: Found) -> None:
    wrong = []
    for name, shape in shapes.items():
        if name in found:
            handle, key = found[name]
            tensor = handle.get_slice(key)
            if tensor.get_shape() != shape:
                wrong.append(f"{name} is {_times(tensor.get_shape())}, not {_times(shape)}")
            elif tensor.get_dtype() not in _FLOATS:
                wrong.append(f"{name} holds {tensor.get_dtype()}, not floating-point numbers")
    if wrong:
        raise InputError(
            f"{folder} holds other weights than its config.json describes: {_listed(wrong)}."
        )


def _refuse_broken(folder: Path, found: Found) -> None:
    broken = [
        name
        for name, (handle, key) in found.items()
        if not bool(handle.get_tensor(key).isfinite().all())
    ]
    if broken:
        raise InputError(
            f"{folder} holds weights that are not finite numbers, in {_listed(broken)}: the "
            "training that made them failed."
        )


def _times(shape: Iterable[int]) -> str:
    return " x ".join(map(str, shape)) or "a single number"


def _listed(items: Sequence[str]) -> str:
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return ", ".join(items[:_SHOWN]) + more
