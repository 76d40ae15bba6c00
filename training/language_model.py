"""A checkpoint as it was pre-trained: an encoder, and its language-model head if it has one."""

from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import nn
from transformers import AutoModel, AutoModelForMaskedLM, PreTrainedModel

from ..encoders.weights import find_weights

_HEADS = {"cls": "cls.predictions.", "lm_head": "lm_head."}
"""Modules from hidden states to logits over the vocabulary, and how their tensors' names begin."""

_LOADING: dict[str, Any] = {
    "use_safetensors": True,
    "local_files_only": True,
    "trust_remote_code": False,
    "dtype": torch.float32,
}


def masked_model(checkpoint: Path) -> PreTrainedModel | None:
    """The checkpoint with its language-model head, if it has brought a whole one."""
    names: set[str] = set()
    for file in find_weights(checkpoint):
        if file.suffix == ".safetensors":
            with safe_open(file, framework="pt") as tensors:
                names |= set(tensors.keys())
    if not any(name.startswith(tuple(_HEADS.values())) for name in names):
        return None
    model, info = AutoModelForMaskedLM.from_pretrained(
        checkpoint, output_loading_info=True, **_LOADING
    )
    whole = not info["missing_keys"] and not info["mismatched_keys"]
    return model if whole and any(hasattr(model, name) for name in _HEADS) else None


def word_head(model: PreTrainedModel) -> nn.Module:
    """The head of a masked language model: hidden states [..., E] to logits [..., V]."""
    return next(model.get_submodule(name) for name in _HEADS if hasattr(model, name))


def bare_model(checkpoint: Path) -> PreTrainedModel:
    """The checkpoint's encoder without a head."""
    model: PreTrainedModel = AutoModel.from_pretrained(checkpoint, **_LOADING)
    return model
