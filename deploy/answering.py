"""Answers of an exported folder to texts, by its own tokenizer and runtime (no torch of its own).

`predict.py` in the folder does the same without paretobert; here the folder is checked first, and
none of its code is run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .artefact import RECORD, load, read_sealed
from .deployment import require_cores
from .runner import Inputs

TOKENIZER = "tokenizer.json"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a network says of one text, or pair of texts.

    Attributes:
        label: The most probable class; None where a score is answered.
        value: Its probability, or the score.
        probabilities: Every class's; empty where a score is answered.
    """

    label: str | None
    value: float
    probabilities: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        if self.label is None:
            return {"score": self.value}
        return {
            "label": self.label,
            "probability": self.value,
            "probabilities": self.probabilities,
        }


class Answering:
    """An exported folder, loaded."""

    def __init__(self, folder: Path, *, threads: int | None = None) -> None:
        """Load the network and its tokenizer.

        Args:
            folder: What `paretobert export` wrote.
            threads: Threads of one operator; None for those that it was measured with.

        Raises:
            InputError: When the folder is no export or damaged, a package is absent, or there are
                more threads than cores.
        """
        if threads is not None:
            require_cores(threads)
        record = read_sealed(folder)
        try:
            self._labels = tuple(map(str, record["labels"]))
            self._answers_score = {"score": True, "class": False}[record["answer"]]
            self._max_length, measured_with = int(record["max_length"]), int(record["threads"])
            self._has_types = bool(record["has_types"])
            _ = record["beside"][TOKENIZER]
        except (KeyError, TypeError, ValueError):
            raise InputError(
                f"{folder / RECORD} does not say how texts are answered: give a folder that "
                "`paretobert export` wrote."
            ) from None
        self._tokenizer = _tokenizer(folder, max_length=self._max_length)
        self._runner = load(folder, threads=threads or measured_with)

    def __call__(self, texts: Sequence[str], pairs: Sequence[str] = ()) -> list[Answer]:
        """Answer texts one by one.

        Args:
            texts: The texts.
            pairs: The second text of each; empty where texts stand alone.

        Raises:
            InputError: When there are pairs, but not one for each text.
        """
        if pairs and len(pairs) != len(texts):
            raise InputError(
                f"{len(texts)} texts and {len(pairs)} second texts: give one for each, in order."
            )
        seconds: Sequence[str | None] = pairs or [None] * len(texts)
        return [
            self._answer(self._runner.logits(self._encoded(text, second))[0])
            for text, second in zip(texts, seconds, strict=True)
        ]

    def _encoded(self, text: str, second: str | None) -> Inputs:
        found = self._tokenizer.encode(text, second)
        types = found.type_ids if self._has_types else [0] * len(found.ids)
        entries = {
            "input_ids": found.ids,
            "attention_mask": found.attention_mask,
            "token_type_ids": types,
        }
        if not any(types):
            del entries["token_type_ids"]
        return {name: np.array([entry], dtype=np.int64) for name, entry in entries.items()}

    def _answer(self, logits: NDArray[np.float32]) -> Answer:
        if self._answers_score:
            return Answer(None, float(logits[0]), {})
        shares = np.exp(logits.astype(float) - logits.max())
        shares /= shares.sum()
        best = int(shares.argmax())
        known = dict(zip(self._labels, map(float, shares), strict=True))
        return Answer(self._labels[best], float(shares[best]), known)


def _tokenizer(folder: Path, *, max_length: int) -> Any:
    try:
        from tokenizers import Tokenizer
    except ModuleNotFoundError:
        raise InputError("Answering needs tokenizers: pip install tokenizers.") from None
    path = folder / TOKENIZER
    try:
        tokenizer = Tokenizer.from_buffer(path.read_bytes())
    except ValueError as error:
        raise InputError(f"{path} is damaged ({error}): export the network again.") from None
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    return tokenizer
