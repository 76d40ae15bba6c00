"""Whether a checkpoint's tokenizer can be loaded, and belongs to its model.

Left out: what the tokens mean; a tokenizer of another model with as many tokens is not noticed.
"""

import math
import os
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from ..errors import InputError, shortened
from ..storage import read_json, refuse_irregular
from .configs import refuse_requests

FILES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "sentencepiece.bpe.model",
    "spiece.model",
)
"""What a tokenizer can be made of."""

SETTINGS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")


def checked_tokenizer(folder: Path, *, vocab_size: int) -> PreTrainedTokenizerBase:
    """Load a checkpoint's tokenizer.

    Args:
        folder: The checkpoint's.
        vocab_size: Tokens that the model has embeddings for.

    Raises:
        InputError: When its files are missing or damaged, when it cannot pad, or when it makes
            tokens that the model does not know.
    """
    if not any(os.path.lexists(folder / file) for file in FILES):
        raise InputError(
            f"{folder} holds no tokenizer (none of {', '.join(FILES)}): save the model's "
            "tokenizer beside its weights."
        )
    for name in (*FILES, *SETTINGS):
        if os.path.lexists(folder / name):
            refuse_irregular(folder / name)
            if name.endswith(".json"):
                _check_settings(folder / name, read_json(folder / name))
    tokenizer = _loaded(folder)
    if tokenizer.pad_token_id is None:
        raise InputError(f"The tokenizer in {folder} has no padding token: give it one.")
    largest = max(tokenizer.get_vocab().values(), default=-1)
    if largest < 0 or not tokenizer("a")["input_ids"]:
        raise InputError(f"The tokenizer in {folder} makes no tokens: it is damaged.")
    if largest >= vocab_size:
        raise InputError(
            f"The tokenizer in {folder} has tokens up to number {largest}, but the model's "
            f"vocabulary ends at {vocab_size - 1}: they do not belong together."
        )
    return tokenizer


def _check_settings(path: Path, settings: Any) -> None:
    if not isinstance(settings, dict):
        raise InputError(f"{path} is not a JSON object: the file is damaged.")
    if path.name != SETTINGS[0]:
        return
    refuse_requests(path, settings)
    longest = settings.get("model_max_length", math.inf)
    if isinstance(longest, bool) or not isinstance(longest, int | float) or not longest >= 3:
        raise InputError(
            f"{path}: model_max_length is {shortened(longest)}, but it must be a number of "
            "at least 3."
        )


def _loaded(folder: Path) -> PreTrainedTokenizerBase:
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:
        # What is wrong inside tokenizer.json is reported by `tokenizers` as a plain Exception.
        expected = (AttributeError, LookupError, OSError, TypeError, ValueError)
        if type(error) is not Exception and not isinstance(error, expected):
            raise
        reason = shortened(" ".join(str(error).split()), length=300)
        raise InputError(
            f"The tokenizer in {folder} is damaged: {reason}. Copy or download it again."
        ) from None
    return tokenizer
