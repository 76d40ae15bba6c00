"""What a checkpoint's config.json may say, checked before transformers reads it.

transformers takes most values as they are: a wrong one shows when the model is built, when it has
been trained, or never. Here every size has a range, every number is finite, and whatever would
change what is loaded or run (a quantisation, an attention kernel, code of the checkpoint's own) is
refused. Left out: settings that only generation reads.
"""

import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError, shortened
from ..storage import is_name, read_json

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

Rule = tuple[Callable[[Any], bool], str]

_SIZES = {
    "vocab_size": 10_000_000,
    "hidden_size": 65_536,
    "dim": 65_536,
    "embedding_size": 65_536,
    "intermediate_size": 1_000_000,
    "hidden_dim": 1_000_000,
    "num_hidden_layers": 1_000,
    "n_layers": 1_000,
    "num_attention_heads": 1_024,
    "n_heads": 1_024,
    "max_position_embeddings": 1_000_000,
    "type_vocab_size": 1_000,
    "num_labels": 100_000,
}
"""The largest value of each size, under all the names that the families have for it."""

_SHARES = (
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "classifier_dropout",
    "dropout",
    "attention_dropout",
    "seq_classif_dropout",
    "qa_dropout",
    "summary_last_dropout",
)
"""What is dropped; null stands for another of them."""

ATTENTION_NAMES = (
    "attn_implementation",
    "_attn_implementation",
    "_attn_implementation_internal",
)
ATTENTIONS = (None, "eager", "sdpa")
"""What computes attention without kernels from elsewhere."""

_PROBLEMS = (
    None,
    "regression",
    "single_label_classification",
    "multi_label_classification",
)
_FORMATS = (None, "float32", "float16", "bfloat16", "float64")

REFUSED = {
    "quantization_config": "asks for a quantisation, and supernets are trained from full weights",
    "auto_map": "asks for code of its own, which is never run",
    "transformers_weights": "names weights of its own choice",
    "per_layer_config": "gives layers sizes of their own",
    "pruned_heads": "lists pruned heads, and every layer must have all of them",
}
"""Entries that would load or run something else, by why they are refused."""


def read_config(folder: Path) -> dict[str, Any]:
    """Read a checkpoint's config, checked value by value.

    Raises:
        InputError: When it is missing or damaged, or a value is out of its range or refused.
    """
    path = folder / "config.json"
    if not os.path.lexists(path):
        raise InputError(
            f"{folder} is not a checkpoint: it has no config.json. Give the folder that "
            "`save_pretrained` wrote."
        )
    config = read_json(path)
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise InputError(f"{path} does not name a model_type: this is no transformers checkpoint.")
    refuse_requests(path, config)
    return config


def refuse_requests(path: Path, config: Mapping[str, Any]) -> None:
    """Raise if a config asks for what is never loaded or run.

    Raises:
        InputError: Naming the entry.
    """
    for name, reason in REFUSED.items():
        if config.get(name):
            raise InputError(f"{path} {reason}: take {name!r} out of it, or convert the model.")
    for name in ATTENTION_NAMES:
        if config.get(name) not in ATTENTIONS:
            raise InputError(
                f"{path} asks for the attention {shortened(config[name])} by {name!r}, but "
                "only eager and sdpa are used: take the entry out."
            )


def check_values(path: Path, config: Mapping[str, Any]) -> None:
    """Check every size, number and label of a supported family's config.

    Raises:
        InputError: Naming the entry and what it must be.
    """
    for name, (allowed, wanted) in _RULES.items():
        if name in config and not allowed(config[name]):
            shown = shortened(config[name])
            raise InputError(f"{path}: {name} is {shown}, but it must be {wanted}.")
    padding, vocabulary = config.get("pad_token_id"), config.get("vocab_size")
    if padding is not None and vocabulary is not None and padding >= vocabulary:
        raise InputError(
            f"{path}: pad_token_id is {padding}, but the vocabulary has {vocabulary} tokens."
        )


def stock_model(path: Path, config: Mapping[str, Any]) -> "PreTrainedModel":
    """The classification model that a config describes, without memory for its weights.

    Args:
        path: The config's file, for messages.
        config: What `check_values` passed.

    Raises:
        InputError: When transformers cannot build a model of it.
    """
    import torch
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig

    from .heads import auto_model, head_of

    try:
        parsed: PreTrainedConfig = AutoConfig.for_model(**config)
        with torch.device("meta"):
            model: PreTrainedModel = auto_model(head_of(parsed)).from_config(parsed)
    except (
        StrictDataclassError,
        ArithmeticError,
        AttributeError,
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        reason = shortened(" ".join(str(error).split()), length=300)
        raise InputError(
            f"{path} describes no model that transformers can build: {reason}."
        ) from None
    return model


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_share(value: Any) -> bool:
    return value is None or (_is_number(value) and 0 <= value < 1)


def _is_format(value: object) -> bool:
    plain = value.removeprefix("torch.") if isinstance(value, str) else value
    return isinstance(plain, str | None) and plain in _FORMATS


def _are_names(value: object) -> bool:
    return (
        isinstance(value, Mapping)
        and set(value) == set(map(str, range(len(value))))
        and all(
            isinstance(name, str) and len(name) <= 1000 and is_name(name)
            for name in value.values()
        )
    )


def _are_indices(value: object) -> bool:
    return isinstance(value, Mapping) and all(map(_is_whole, value.values()))


def _up_to(largest: int) -> Rule:
    return (
        lambda value: _is_whole(value) and 1 <= value <= largest,
        f"a whole number from 1 to {largest:,}",
    )


_RULES: dict[str, Rule] = {
    **{name: _up_to(largest) for name, largest in _SIZES.items()},
    **dict.fromkeys(_SHARES, (_is_share, "a share in [0, 1)")),
    "layer_norm_eps": (lambda value: _is_number(value) and 0 < value < 1, "a number in (0, 1)"),
    "initializer_range": (
        lambda value: _is_number(value) and 0 <= value < 10,
        "a number in [0, 10)",
    ),
    "pad_token_id": (
        lambda value: value is None or (_is_whole(value) and value >= 0),
        "a token's number or null",
    ),
    **dict.fromkeys(("dtype", "torch_dtype"), (_is_format, "a format such as float32")),
    "position_embedding_type": (
        lambda value: value in (None, "absolute"),
        "absolute, the positions that are supported",
    ),
    "problem_type": (lambda value: value in _PROBLEMS, f"one of {', '.join(_PROBLEMS[1:])}"),
    "return_dict": (lambda value: value in (None, True), "true"),
    "id2label": (_are_names, 'a name for each class "0", "1" and so on'),
    "label2id": (_are_indices, "the number of each class"),
}
"""What each entry may be, and how to say so."""
