"""The error surrogate: the loss of a candidate after a few steps of stochastic gradient descent.

As in de Wynter 2020 a candidate is trained with plain SGD, its weights are clipped after every
step, and what it has reached after s steps stands for what it would reach. The loss is taken on
held-out texts without dropout, the same ones for all, so that it does not hang on the last batch.
Where weights start is the caller's: fresh, inherited from a supernet, or repaired in closed form.
A pre-trained encoder has single weights of 4 and more on which its states hang (Kovaleva et al.
2021), so no weight is clipped below the largest that its tensor starts with.

Two losses: that of the task, by transformers' own heads, and that of masked words (Devlin et al.
2019): of every text 15 % of the tokens, at least one, are to be predicted; 80 % of these are
masked, 10 % are another token, 10 % stay. The head computes logits where it predicts only.

Left out: resuming in the middle of a candidate, which is short; a killed one is trained again.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, islice
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from ..tasks.batches import Batch, EncodedTexts, evaluation_batches, padded, training_batches
from ..tasks.task import Task
from ..training.precision import autocast
from .architecture import POSITIONS, Architecture, Tables
from .options import ErrorOptions

MASKED_SHARE = 0.15
"""Of a text's tokens, those that are predicted."""

HIDDEN_SHARE, OTHER_SHARE = 0.8, 0.1
"""Of these, those that are masked, and those that are another token."""

IGNORED = -100
"""The label of what is not predicted."""

EVALUATION_BATCH = 32

Loss = Callable[[PreTrainedModel, Batch, torch.Generator], tuple[Tensor, int]]
"""Gives the summed loss of a batch and the number of what it is summed over."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What candidates learn, and what their error is taken on.

    Attributes:
        train: The texts to learn from.
        held_out: Those that the error is taken on.
        loss: What is learnt.
    """

    train: EncodedTexts
    held_out: EncodedTexts
    loss: Loss


def task_loss(
    model: PreTrainedModel, batch: Batch, generator: torch.Generator
) -> tuple[Tensor, int]:
    """The loss of a classification or regression head, summed over texts."""
    number = len(batch["labels"])
    return cast(Tensor, model(**batch).loss) * number, number


def masked_word_loss(tokenizer: PreTrainedTokenizerBase) -> Loss:
    """The loss of masked words, summed over those that are predicted.

    Args:
        tokenizer: Tells special tokens and the mask.
    """
    hide = word_hider(tokenizer)

    def loss(
        model: PreTrainedModel, batch: Batch, generator: torch.Generator
    ) -> tuple[Tensor, int]:
        masked, labels = hide(batch["input_ids"], generator)
        hidden = model.base_model(**{**batch, "input_ids": masked}).last_hidden_state
        wanted = labels != IGNORED
        logits = model.get_submodule("cls")(hidden[wanted]).float()
        total = functional.cross_entropy(logits, labels[wanted], reduction="sum")
        return total, int(wanted.sum())

    return loss


def word_hider(
    tokenizer: PreTrainedTokenizerBase,
) -> Callable[[Tensor, torch.Generator], tuple[Tensor, Tensor]]:
    """What hides tokens of texts [B, T] by a generator's draws; see `mask_words`.

    Args:
        tokenizer: Tells special tokens and the mask.
    """
    special = torch.tensor(sorted(set(tokenizer.all_special_ids)))
    mask_token, vocab_size = cast(int, tokenizer.mask_token_id), len(tokenizer)

    def hide(ids: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return mask_words(
            ids,
            special=special,
            mask_token=mask_token,
            vocab_size=vocab_size,
            generator=generator,
        )

    return hide


def mask_words(
    ids: Tensor,
    *,
    special: Tensor,
    mask_token: int,
    vocab_size: int,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Hide some of the tokens of texts.

    Args:
        ids: Tokens of the texts [B, T].
        special: Tokens that are never predicted.
        mask_token: What hides a token.
        vocab_size: Tokens that another one is drawn from.
        generator: Draws, on the CPU.

    Returns:
        The texts with hidden tokens [B, T], and the labels [B, T]: the tokens that are to be
        predicted, `IGNORED` elsewhere.
    """
    ordinary = ~torch.isin(ids.cpu(), special)
    ranks = torch.rand(ids.shape, generator=generator).masked_fill(~ordinary, 2.0)
    number = (MASKED_SHARE * ordinary.sum(1)).round().clamp(min=1)
    chosen = (ranks.argsort(1).argsort(1) < number[:, None]) & ordinary
    fate = torch.rand(ids.shape, generator=generator)
    other = torch.randint(vocab_size, ids.shape, generator=generator)
    masked = ids.cpu().clone()
    masked[chosen & (fate < HIDDEN_SHARE)] = mask_token
    replaced = chosen & (fate >= HIDDEN_SHARE) & (fate < HIDDEN_SHARE + OTHER_SHARE)
    masked[replaced] = other[replaced]
    labels = torch.where(chosen, ids.cpu(), IGNORED)
    return masked.to(ids.device), labels.to(ids.device)


def tables_of(tokenizer: PreTrainedTokenizerBase) -> Tables:
    """The embedding tables of candidates that read with a tokenizer."""
    types = 2 if "token_type_ids" in tokenizer.model_input_names else 1
    return Tables(1 + max(tokenizer.get_vocab().values()), POSITIONS, types)


def config_of(
    architecture: Architecture, tables: Tables, *, pad_token_id: int, task: Task | None = None
) -> BertConfig:
    """The configuration of a candidate, as transformers loads it.

    Args:
        architecture: The candidate.
        tables: Its embedding tables.
        pad_token_id: The token of padding.
        task: Gives the outputs and their names; None for a model of words alone.
    """
    sizes: dict[str, Any] = {
        "vocab_size": tables.vocab_size,
        "max_position_embeddings": tables.num_positions,
        "type_vocab_size": tables.num_token_types,
        "hidden_size": architecture.hidden_size,
        "num_hidden_layers": architecture.layers,
        "num_attention_heads": architecture.heads,
        "intermediate_size": architecture.ffn_size,
        "pad_token_id": pad_token_id,
    }
    if task is None:
        return BertConfig(architectures=["BertForMaskedLM"], **sizes)
    names = dict(enumerate(task.head.output_names(task.label_names)))
    outputs: dict[str, Any] = {
        "num_labels": len(names),
        "problem_type": task.head.problem_type,
        "id2label": names,
        "label2id": {name: index for index, name in names.items()},
    }
    return BertConfig(architectures=["BertForSequenceClassification"], **sizes, **outputs)


def fresh_model(config: BertConfig, *, seed: int) -> PreTrainedModel:
    """A model of a configuration, with random weights."""
    classes: dict[str, type[PreTrainedModel]] = {
        "BertForMaskedLM": BertForMaskedLM,
        "BertForSequenceClassification": BertForSequenceClassification,
    }
    torch.manual_seed(seed)
    (name,) = config.architectures or ("BertForMaskedLM",)
    return classes[name](config)


def surrogate_loss(
    model: PreTrainedModel,
    lesson: Lesson,
    options: ErrorOptions,
    *,
    learning_rate: float,
    device: torch.device,
    dtype: torch.dtype,
    progress: Callable[[int], None] = lambda step: None,
) -> float:
    """Train a model for some steps, and give its loss on the held-out texts.

    Args:
        model: The candidate; it is trained.
        lesson: What it learns.
        options: Steps, batches and clipping.
        learning_rate: Of SGD, the same at every step.
        device: Where it is trained.
        dtype: Of its matrix products.
        progress: Called after every step with the number of those done.

    Returns:
        The mean loss; infinite where it stopped being finite.
    """
    nn.Module.to(model, device)
    parameters = list(model.parameters())
    bounds = [max(options.weight_clip, p.abs().max().item()) for p in parameters]
    optimizer = torch.optim.SGD(parameters, lr=learning_rate)
    torch.manual_seed(options.seed)
    model.train()
    batches = islice(_endless(lesson.train, options), options.steps)
    for step, indices in enumerate(batches, start=1):
        batch = padded(lesson.train, indices, device=device)
        optimizer.zero_grad()
        with autocast(device, dtype):
            total, number = lesson.loss(model, batch, draws_of(options.seed, step))
        if not math.isfinite(total.item()):
            return math.inf
        (total / number).backward()
        optimizer.step()
        with torch.no_grad():
            for parameter, bound in zip(parameters, bounds, strict=True):
                parameter.clamp_(-bound, bound)
        progress(step)
    return held_out_loss(model, lesson, seed=options.seed, device=device, dtype=dtype)


@torch.inference_mode()
def held_out_loss(
    model: PreTrainedModel,
    lesson: Lesson,
    *,
    seed: int,
    device: torch.device,
    dtype: torch.dtype,
) -> float:
    """The mean loss on the held-out texts, without dropout; infinite where it is not finite."""
    model.eval()
    loss, seen = 0.0, 0
    batches = evaluation_batches(lesson.held_out, batch_size=EVALUATION_BATCH)
    for place, indices in enumerate(batches):
        batch = padded(lesson.held_out, indices, device=device)
        with autocast(device, dtype):
            total, number = lesson.loss(model, batch, draws_of(seed, -1 - place))
        loss, seen = loss + total.item(), seen + number
    return loss / seen if math.isfinite(loss) else math.inf


def _endless(encoded: EncodedTexts, options: ErrorOptions) -> Iterator[list[int]]:
    for epoch in count():
        yield from training_batches(
            encoded, batch_size=options.batch_size, seed=options.seed, epoch=epoch
        )


def draws_of(seed: int, place: int) -> torch.Generator:
    """Draws that depend on a seed and a place alone."""
    return torch.Generator().manual_seed((seed + 1) * 1_000_003 + place)
