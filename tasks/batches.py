"""From texts to padded tensors: tokenise once, batch by length, pad to the longest of each batch.

Length grouping is the usual recipe: shuffle, cut into runs of many batches, sort each run by
length, cut it into batches, shuffle the batches. The order depends on the seed and the epoch only.
Left out: packing several texts into one row, and padding to a fixed length.

Legend: B batch, T tokens of the longest example in the batch.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

import torch
from transformers import BatchEncoding, PreTrainedTokenizerBase

from .task import Texts, TextSplit

BATCHES_PER_RUN = 50
"""Batches sorted by length together: enough to save padding, few enough to keep the data mixed."""

Batch = dict[str, torch.Tensor]
"""A model's keyword arguments: `input_ids`, `attention_mask` and, where the tokenizer makes them,
`token_type_ids`, all int64 (B, T); of labelled examples also `labels`, int64 class indices or
float32 scores (B)."""


@dataclass(frozen=True, slots=True)
class EncodedTexts:
    """Tokenised texts without labels, not yet padded.

    Attributes:
        input_ids: Token ids of each example.
        token_type_ids: Segment ids of each example; None when the tokenizer makes none.
        pad_token_id: What fills `input_ids` on the right.
        pad_token_type_id: What fills `token_type_ids` on the right.
    """

    input_ids: tuple[tuple[int, ...], ...]
    token_type_ids: tuple[tuple[int, ...], ...] | None
    pad_token_id: int
    pad_token_type_id: int

    def __len__(self) -> int:
        """The number of examples."""
        return len(self.input_ids)

    def at(self, indices: Sequence[int]) -> "EncodedTexts":
        """Some of the examples, without labels."""
        types = self.token_type_ids
        return EncodedTexts(
            input_ids=tuple(self.input_ids[i] for i in indices),
            token_type_ids=None if types is None else tuple(types[i] for i in indices),
            pad_token_id=self.pad_token_id,
            pad_token_type_id=self.pad_token_type_id,
        )

    @property
    def lengths(self) -> tuple[int, ...]:
        """Tokens of each example."""
        return tuple(map(len, self.input_ids))


@dataclass(frozen=True, slots=True)
class EncodedSplit(EncodedTexts):
    """A tokenised split, not yet padded.

    Attributes:
        labels: Class indices, or scores.
    """

    labels: tuple[int, ...] | tuple[float, ...]

    def first(self, number: int) -> "EncodedSplit":
        """The first examples, all where there are fewer."""
        types = self.token_type_ids
        return replace(
            self,
            input_ids=self.input_ids[:number],
            token_type_ids=None if types is None else types[:number],
            labels=self.labels[:number],
        )


def encode(
    split: TextSplit, tokenizer: PreTrainedTokenizerBase, *, max_length: int
) -> EncodedSplit:
    """Tokenise a split; see `encode_texts`."""
    texts = encode_texts(split, tokenizer, max_length=max_length)
    return EncodedSplit(
        input_ids=texts.input_ids,
        token_type_ids=texts.token_type_ids,
        pad_token_id=texts.pad_token_id,
        pad_token_type_id=texts.pad_token_type_id,
        labels=split.labels,
    )


def encode_texts(
    texts: Texts, tokenizer: PreTrainedTokenizerBase, *, max_length: int
) -> EncodedTexts:
    """Tokenise texts; labels are left out.

    Args:
        texts: Texts or pairs of texts.
        tokenizer: The model's tokenizer.
        max_length: Tokens at which an example is cut, special tokens included; of a pair, the
            longer text is cut first. Never more than the tokenizer's own limit.
    """
    encoding = tokenised(texts, tokenizer, max_length=max_length)
    type_ids = encoding.get("token_type_ids")
    return EncodedTexts(
        input_ids=tuple(map(tuple, encoding["input_ids"])),
        token_type_ids=None if type_ids is None else tuple(map(tuple, type_ids)),
        pad_token_id=tokenizer.pad_token_id,
        pad_token_type_id=tokenizer.pad_token_type_id,
    )


def tokenised(
    texts: Texts, tokenizer: PreTrainedTokenizerBase, *, max_length: int
) -> BatchEncoding:
    """What the tokenizer makes of texts, as `encode_texts` asks it; words included."""
    encoding: BatchEncoding = tokenizer(
        list(texts.first),
        None if texts.second is None else list(texts.second),
        truncation="longest_first",
        max_length=min(max_length, tokenizer.model_max_length),
        padding=False,
        return_attention_mask=False,
    )
    return encoding


def joined(parts: Sequence[EncodedTexts]) -> EncodedTexts:
    """Texts of one tokenizer one after the other, without labels."""
    types = [part.token_type_ids for part in parts]
    return EncodedTexts(
        input_ids=tuple(chain.from_iterable(part.input_ids for part in parts)),
        token_type_ids=None
        if None in types
        else tuple(chain.from_iterable(rows for rows in types if rows is not None)),
        pad_token_id=parts[0].pad_token_id,
        pad_token_type_id=parts[0].pad_token_type_id,
    )


def padded(
    encoded: EncodedTexts, indices: Sequence[int], *, device: torch.device | str = "cpu"
) -> Batch:
    """Collect examples into tensors, padded on the right to the longest of them.

    Args:
        encoded: The tokenised texts.
        indices: Which examples, in which order.
        device: Where the tensors shall lie.
    """
    ids = [encoded.input_ids[i] for i in indices]
    longest = max(map(len, ids))
    columns = {
        "input_ids": _filled(ids, longest, encoded.pad_token_id),
        "attention_mask": _filled([(1,) * len(row) for row in ids], longest, 0),
    }
    if encoded.token_type_ids is not None:
        types = [encoded.token_type_ids[i] for i in indices]
        columns["token_type_ids"] = _filled(types, longest, encoded.pad_token_type_id)
    batch = {name: torch.tensor(rows) for name, rows in columns.items()}
    if isinstance(encoded, EncodedSplit):
        batch["labels"] = torch.tensor([encoded.labels[i] for i in indices])
    return {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}


def training_batches(
    encoded: EncodedTexts, *, batch_size: int, seed: int, epoch: int
) -> list[list[int]]:
    """One epoch's batches of example indices: every example once, similar lengths together.

    A pure function of its arguments, so that a resumed run sees the same batches.
    """
    generator = random.Random(f"{seed}/{epoch}")
    lengths = encoded.lengths
    order = list(range(len(encoded)))
    generator.shuffle(order)
    batches = [
        batch
        for run in _cut(order, batch_size * BATCHES_PER_RUN)
        for batch in _cut(sorted(run, key=lengths.__getitem__), batch_size)
    ]
    generator.shuffle(batches)
    return batches


def evaluation_batches(encoded: EncodedTexts, *, batch_size: int) -> list[list[int]]:
    """All examples sorted by length, longest first: memory that runs out does so at once."""
    order = sorted(range(len(encoded)), key=encoded.lengths.__getitem__, reverse=True)
    return _cut(order, batch_size)


def _cut(items: list[int], size: int) -> list[list[int]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _filled(rows: Sequence[tuple[int, ...]], length: int, filler: int) -> list[tuple[int, ...]]:
    return [row + (filler,) * (length - len(row)) for row in rows]
