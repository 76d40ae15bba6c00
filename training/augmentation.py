"""Variants of training texts, for distillation: TinyBERT's data augmentation, which DynaBERT uses.

TinyBERT (Jiao et al. 2020), appendix A, Algorithm 1: of each text N variants are made, in which
each word is replaced with probability 0.4 by one of its 15 candidates. A word of one piece has the
words that a masked language model gives the highest probability in its place; a word of several
pieces has the nearest words by the cosine of word embeddings, GloVe's there. Here these are the
checkpoint's own input embeddings, for several pieces their mean, and where the checkpoint has no
language-model head they serve words of one piece too.

Where the paper's published code differs, the paper is followed: there stop words are kept, and the
masked text is shown with the whole one beside it. Here a word is made of letters and never its own
candidate; candidates are words of one piece; variants that repeat the text or one another are
dropped, and so are those that are a text of a held-out split.

The cost is bounded. Of a text with more than seven words, every seventh is masked together, about
the share that BERT is trained with, so that a text takes seven forward passes however long it is
and however many variants are made; the language model's logits are computed at the masks only.

A text's variants depend on the text, its place, the seed and the checkpoint alone. They are kept
in parts, each written whole or not at all, so that a killed call goes on to the same variants.
"""

import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from .. import storage
from ..errors import InputError
from ..tasks.batches import EncodedTexts, evaluation_batches, joined, padded, tokenised
from ..tasks.task import Texts
from .language_model import bare_model, masked_model, word_head
from .precision import autocast

NUM_CANDIDATES = 15
"""Words that one word may be replaced with: the paper's K."""

REPLACED_SHARE = 0.4
"""The probability that a word is replaced: the paper's p_t."""

MASKED_COPIES = 7
"""Copies of a text that the masked language model reads at most; see the module's docstring."""

TEXTS_PER_PART = 256
BATCH_SIZE = 32
_ROWS = 256

Ids = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Augmented:
    """Variants of texts.

    Attributes:
        texts: The variants, in the order of the texts; None when there are none.
        held_out: How many more were dropped, being texts of a held-out split.
        seconds: Wall time that they took, over all calls.
    """

    texts: EncodedTexts | None
    held_out: int
    seconds: float


@dataclass(frozen=True, slots=True)
class _Sentence:
    """A tokenised text.

    Attributes:
        ids: Its tokens.
        types: Their segments; None when the tokenizer makes none.
        words: The tokens of each word of letters, from the first to before the last.
    """

    ids: Ids
    types: Ids | None
    words: tuple[tuple[int, int], ...]

    def pieces(self, word: int) -> Ids:
        """The tokens of a word."""
        return self.ids[slice(*self.words[word])]


def augment(
    texts: Texts,
    *,
    checkpoint: Path,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    variants: int,
    seed: int,
    held_out: AbstractSet[Ids],
    folder: Path,
    device: torch.device,
    dtype: torch.dtype,
    progress: Callable[[int, int], None],
) -> Augmented:
    """Make variants of texts, or find them made.

    Args:
        texts: Texts or pairs of texts; words of either text of a pair are replaced.
        checkpoint: The pre-trained model's folder; its words are proposed.
        tokenizer: Its tokenizer.
        max_length: Tokens at which a text is cut.
        variants: How many are tried of each text.
        seed: Of the draws.
        held_out: Token ids of the texts that no variant may be.
        folder: Where the parts are kept, for these arguments alone.
        device: Where the model runs.
        dtype: Of its matrix products.
        progress: Called after every part with the number of texts done and of all.

    Raises:
        InputError: When the tokenizer does not tell words, or a part is damaged.
    """
    proposals: _Proposals | None = None
    parts, dropped, seconds = [], 0, 0.0
    for start in range(0, len(texts), TEXTS_PER_PART):
        end = min(start + TEXTS_PER_PART, len(texts))
        path = folder / f"{start:09d}.safetensors"
        if not path.exists():
            started = time.perf_counter()
            if proposals is None:
                proposals = _Proposals(checkpoint, tokenizer, device, dtype)
            sentences = _sentences(_slice(texts, start, end), tokenizer, max_length=max_length)
            made = [
                _variants(
                    sentence,
                    candidates,
                    number=variants,
                    held_out=held_out,
                    generator=Random(f"{seed}/augment/{start + place}"),
                )
                for place, (sentence, candidates) in enumerate(
                    zip(sentences, proposals.of(sentences), strict=True)
                )
            ]
            _write(
                path,
                [variant for found, _ in made for variant in found],
                held_out=sum(count for _, count in made),
                seconds=time.perf_counter() - started,
            )
        part, part_dropped, part_seconds = _read(path, tokenizer)
        parts.append(part)
        dropped += part_dropped
        seconds += part_seconds
        progress(end, len(texts))
    filled = [part for part in parts if len(part)]
    return Augmented(joined(filled) if filled else None, dropped, seconds)


class _Proposals:
    """What words may be replaced with, by a checkpoint."""

    def __init__(
        self,
        checkpoint: Path,
        tokenizer: PreTrainedTokenizerBase,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self._tokenizer = tokenizer
        self._device, self._dtype = device, dtype
        self._model = masked_model(checkpoint) if tokenizer.mask_token_id is not None else None
        model = self._model or bare_model(checkpoint)
        nn.Module.to(model.eval(), device)
        self._embeddings = cast(Tensor, model.get_input_embeddings().weight).detach().float()
        self._words = torch.tensor(_whole_words(tokenizer), device=device)
        self._directions = functional.normalize(self._embeddings[self._words], dim=-1)
        self._nearest: dict[Ids, Ids] = {}

    @torch.inference_mode()
    def of(self, sentences: Sequence[_Sentence]) -> list[dict[int, Ids]]:
        """The candidates of each word of each sentence; none where there are none."""
        found: list[dict[int, Ids]] = [{} for _ in sentences]
        if self._model is not None:
            for sentence, word, candidates in self._masked(self._model, sentences):
                found[sentence][word] = candidates
        others = [
            (number, word, sentence.pieces(word))
            for number, sentence in enumerate(sentences)
            for word in range(len(sentence.words))
            if word not in found[number]
        ]
        self._find_nearest({pieces for _, _, pieces in others})
        for number, word, pieces in others:
            found[number][word] = self._nearest[pieces]
        return found

    def _find_nearest(self, wanted: AbstractSet[Ids]) -> None:
        unknown = sorted(wanted - self._nearest.keys())
        for first in range(0, len(unknown), _ROWS):
            rows = unknown[first : first + _ROWS]
            means = torch.stack([self._embeddings[list(pieces)].mean(0) for pieces in rows])
            closeness = functional.normalize(means, dim=-1) @ self._directions.T
            self._nearest |= dict(zip(rows, self._best(closeness, rows), strict=True))

    def _masked(
        self, model: PreTrainedModel, sentences: Sequence[_Sentence]
    ) -> Iterator[tuple[int, int, Ids]]:
        """Sentence, word and candidates of each word of one piece."""
        rows, types, places = [], [], []
        for number, sentence in enumerate(sentences):
            single = [w for w, (start, end) in enumerate(sentence.words) if end == start + 1]
            for copy in range(min(MASKED_COPIES, len(single))):
                masked = single[copy::MASKED_COPIES]
                ids = list(sentence.ids)
                for word in masked:
                    ids[sentence.words[word][0]] = self._tokenizer.mask_token_id
                rows.append(tuple(ids))
                types.append(sentence.types)
                places.append([(number, word) for word in masked])
        encoded = EncodedTexts(
            input_ids=tuple(rows),
            token_type_ids=None if None in types else tuple(row for row in types if row),
            pad_token_id=self._tokenizer.pad_token_id,
            pad_token_type_id=self._tokenizer.pad_token_type_id,
        )
        head = word_head(model)
        for indices in evaluation_batches(encoded, batch_size=BATCH_SIZE):
            batch = padded(encoded, indices, device=self._device)
            asked = [(row, *place) for row, i in enumerate(indices) for place in places[i]]
            row_of = torch.tensor([row for row, _, _ in asked], device=self._device)
            words = [(number, word) for _, number, word in asked]
            columns = [sentences[number].words[word][0] for number, word in words]
            with autocast(self._device, self._dtype):
                hidden = model.base_model(**batch).last_hidden_state
            hidden = hidden[row_of, torch.tensor(columns, device=self._device)].float()
            for first in range(0, len(words), _ROWS):
                some = words[first : first + _ROWS]
                logits = head(hidden[first : first + _ROWS])[:, self._words]
                originals = [sentences[number].pieces(word) for number, word in some]
                for (number, word), candidates in zip(
                    some, self._best(logits, originals), strict=True
                ):
                    yield number, word, candidates

    def _best(self, scores: Tensor, originals: Sequence[Ids]) -> list[Ids]:
        """The candidates of the highest scores [N, W], without the words that they stand for."""
        number = min(NUM_CANDIDATES + 1, len(self._words))
        ranked = self._words[scores.topk(number, dim=-1).indices].tolist()
        return [
            tuple(word for word in row if (word,) != original)[:NUM_CANDIDATES]
            for row, original in zip(ranked, originals, strict=True)
        ]


def _whole_words(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The tokens that are a word of letters on their own, behind another word."""
    ids = sorted(set(tokenizer.get_vocab().values()))
    written = [text.strip() for text in tokenizer.batch_decode([[i] for i in ids])]
    words = [(i, text) for i, text in zip(ids, written, strict=True) if _is_word(text)]
    found = []
    if words:
        encoding = tokenizer([f"a {text}" for _, text in words], add_special_tokens=False)
        for (i, _), tokens in zip(words, _encodings(encoding), strict=True):
            last = tokens.word_ids[-1]
            if [t for t, w in zip(tokens.ids, tokens.word_ids, strict=True) if w == last] == [i]:
                found.append(i)
    if len(found) < 2:
        raise InputError(
            "The checkpoint's tokenizer has no words of one piece to make variants of texts from: "
            "leave out --augment."
        )
    return found


def _sentences(
    texts: Texts, tokenizer: PreTrainedTokenizerBase, *, max_length: int
) -> list[_Sentence]:
    encoding = tokenised(texts, tokenizer, max_length=max_length)
    types = encoding.get("token_type_ids")
    sentences = []
    for number, tokens in enumerate(_encodings(encoding)):
        sources = (texts.first[number], texts.second[number] if texts.second else "")
        places = list(zip(tokens.sequence_ids, tokens.word_ids, strict=True))
        words = []
        for (sequence, word), group in groupby(range(len(places)), key=places.__getitem__):
            if sequence is None or word is None:
                continue
            start, *rest = group
            end = rest[-1] + 1 if rest else start + 1
            span = slice(tokens.offsets[start][0], tokens.offsets[end - 1][1])
            if _is_word(sources[sequence][span].strip()):
                words.append((start, end))
        sentences.append(
            _Sentence(
                tuple(tokens.ids), None if types is None else tuple(types[number]), tuple(words)
            )
        )
    return sentences


def _encodings(encoding: Any) -> Sequence[Any]:
    """What knows the words of each text.

    Raises:
        InputError: When the tokenizer is one of the old ones, which do not.
    """
    if encoding.encodings is None:
        raise InputError(
            "The checkpoint's tokenizer is written in Python and does not tell words, which "
            "variants of texts need: save its fast form (tokenizer.json), or leave out --augment."
        )
    found: Sequence[Any] = encoding.encodings
    return found


def _is_word(text: str) -> bool:
    """Whether a text is made of letters, with their marks."""
    return bool(text) and all(unicodedata.category(letter)[0] in "LM" for letter in text)


def _variants(
    sentence: _Sentence,
    candidates: dict[int, Ids],
    *,
    number: int,
    held_out: AbstractSet[Ids],
    generator: Random,
) -> tuple[list[tuple[Ids, Ids | None]], int]:
    """Different variants of a sentence, at most so many, and how many more are held-out texts."""
    seen, found, dropped = {sentence.ids}, [], 0
    for _ in range(number):
        ids: list[int] = []
        types: list[int] = []
        done = 0
        for word, (start, end) in enumerate(sentence.words):
            chosen = candidates[word]
            if chosen and generator.random() < REPLACED_SHARE:
                ids += [*sentence.ids[done:start], generator.choice(chosen)]
                if sentence.types is not None:
                    types += sentence.types[done : start + 1]
                done = end
        variant = (*ids, *sentence.ids[done:])
        if variant in seen:
            continue
        seen.add(variant)
        if variant in held_out:
            dropped += 1
            continue
        found.append(
            (variant, None if sentence.types is None else (*types, *sentence.types[done:]))
        )
    return found, dropped


def _slice(texts: Texts, start: int, end: int) -> Texts:
    return Texts(texts.first[start:end], None if texts.second is None else texts.second[start:end])


def _write(
    path: Path, variants: Sequence[tuple[Ids, Ids | None]], *, held_out: int, seconds: float
) -> None:
    """Keep a part: all tokens in a row, and the length of each variant."""
    tensors = {
        "ids": torch.tensor([i for ids, _ in variants for i in ids], dtype=torch.int32),
        "lengths": torch.tensor([len(ids) for ids, _ in variants], dtype=torch.int32),
    }
    if all(types is not None for _, types in variants):
        segments = [i for _, types in variants for i in types or ()]
        tensors["types"] = torch.tensor(segments, dtype=torch.int32)
    storage.write_bytes(
        path, save(tensors, {"held_out": str(held_out), "seconds": f"{seconds:.3f}"})
    )


def _read(path: Path, tokenizer: PreTrainedTokenizerBase) -> tuple[EncodedTexts, int, float]:
    try:
        with safe_open(path, framework="pt") as part:
            metadata = part.metadata()
            lengths = part.get_tensor("lengths").tolist()
            rows = _cut(part.get_tensor("ids"), lengths)
            types = (
                _cut(part.get_tensor("types"), lengths) if "types" in set(part.keys()) else None
            )
            held_out, seconds = int(metadata["held_out"]), float(metadata["seconds"])
    except (SafetensorError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise InputError(
            f"The augmented texts {path} are damaged ({error}): delete the file to have them made "
            "again."
        ) from None
    encoded = EncodedTexts(
        input_ids=rows,
        token_type_ids=types,
        pad_token_id=tokenizer.pad_token_id,
        pad_token_type_id=tokenizer.pad_token_type_id,
    )
    return encoded, held_out, seconds


def _cut(flat: Tensor, lengths: Sequence[int]) -> tuple[Ids, ...]:
    """Rows of a flat tensor; equal numbers are one object, so that many rows fit in memory."""
    shared: dict[int, int] = {}
    numbers = [shared.setdefault(number, number) for number in flat.tolist()]
    rows, start = [], 0
    for length in lengths:
        rows.append(tuple(numbers[start : start + length]))
        start += length
    return tuple(rows)
