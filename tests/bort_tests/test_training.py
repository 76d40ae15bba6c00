"""The error surrogate: masking, stochastic gradient descent with clipped weights, its loss."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from transformers import AutoTokenizer, BertForMaskedLM

from paretobert.bort.architecture import Architecture, Tables
from paretobert.bort.options import ErrorOptions
from paretobert.bort.training import (
    IGNORED,
    Lesson,
    config_of,
    fresh_model,
    held_out_loss,
    mask_words,
    masked_word_loss,
    surrogate_loss,
    task_loss,
)
from paretobert.errors import InputError
from paretobert.tasks.batches import encode, encode_texts, padded
from paretobert.tasks.task import Task

from ..learnable import make_task

TINY = Architecture(1, 2, 16, 32)
OPTIONS = ErrorOptions(steps=4, batch_size=8, precision="fp32", rates=(0.1,))
CPU = torch.device("cpu")
SPECIAL, MASK = torch.tensor([0, 1, 2]), 3


@pytest.fixture(scope="module")
def words(tiny_checkpoint: Path) -> Lesson:
    tokenizer = AutoTokenizer.from_pretrained(tiny_checkpoint)
    task = make_task()
    train, search = (
        encode_texts(split, tokenizer, max_length=16) for split in (task.train, task.search)
    )
    return Lesson(train, search, masked_word_loss(tokenizer))


@pytest.fixture(scope="module")
def labels(tiny_checkpoint: Path) -> Lesson:
    tokenizer = AutoTokenizer.from_pretrained(tiny_checkpoint)
    task = make_task()
    train, search = (
        encode(split, tokenizer, max_length=16) for split in (task.train, task.search)
    )
    return Lesson(train, search, task_loss)


def model(task: Task | None = None, *, seed: int = 0) -> torch.nn.Module:
    config = config_of(TINY, Tables(60, 32, 2), pad_token_id=0, task=task)
    return fresh_model(config, seed=seed)


def loss(lesson: Lesson, options: ErrorOptions, *, task: Task | None = None) -> float:
    assert options.rates is not None
    return surrogate_loss(
        model(task, seed=options.seed),
        lesson,
        options,
        learning_rate=options.rates[0],
        device=CPU,
        dtype=torch.float32,
    )


def masked(ids: torch.Tensor, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    return mask_words(
        ids,
        special=SPECIAL,
        mask_token=MASK,
        vocab_size=50,
        generator=torch.Generator().manual_seed(seed),
    )


@settings(max_examples=30)
@given(st.integers(1, 40), st.integers(0, 1000))
def test_of_every_text_a_share_of_the_words_is_predicted(length: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(4, 50, (3, length + 2), generator=generator)
    ids[:, 0], ids[:, -1] = 1, 2
    ids[2, 1:] = 0
    found, wanted = masked(ids, seed)
    number = max(1, round(0.15 * length))
    assert (wanted != IGNORED).sum(1).tolist() == [number, number, 0]
    torch.testing.assert_close(wanted[wanted != IGNORED], ids[wanted != IGNORED])
    torch.testing.assert_close(found[wanted == IGNORED], ids[wanted == IGNORED])


def test_predicted_words_are_mostly_hidden() -> None:
    ids = torch.full((200, 100), 10)
    found, wanted = masked(ids)
    predicted = found[wanted != IGNORED]
    hidden = (predicted == MASK).float().mean().item()
    same = (predicted == 10).float().mean().item()
    assert hidden == pytest.approx(0.8, abs=0.03)
    assert same == pytest.approx(0.1 + 0.1 / 50, abs=0.03)


def test_the_loss_of_masked_words_is_that_of_transformers(
    words: Lesson, tiny_checkpoint: Path
) -> None:
    """The head at the predicted words only, held against the head at all of them."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_checkpoint)
    network = model().eval()
    assert isinstance(network, BertForMaskedLM)
    batch = padded(words.train, range(6))
    ids, wanted = mask_words(
        batch["input_ids"],
        special=torch.tensor(sorted(set(tokenizer.all_special_ids))),
        mask_token=tokenizer.mask_token_id,
        vocab_size=len(tokenizer),
        generator=torch.Generator().manual_seed(5),
    )
    with torch.no_grad():
        total, number = words.loss(network, batch, torch.Generator().manual_seed(5))
        theirs = network(**{**batch, "input_ids": ids}, labels=wanted).loss
    assert number == int((wanted != IGNORED).sum())
    torch.testing.assert_close(total / number, theirs)


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_the_loss_of_a_task_is_summed_over_texts(kind: str, tiny_checkpoint: Path) -> None:
    task = make_task(kind)
    tokenizer = AutoTokenizer.from_pretrained(tiny_checkpoint)
    encoded = encode(task.search, tokenizer, max_length=16)
    network = model(task).eval()
    lesson = Lesson(encoded, encoded, task_loss)
    mean = held_out_loss(network, lesson, seed=0, device=CPU, dtype=torch.float32)
    batch = padded(encoded, range(len(encoded)))
    target = batch.pop("labels")
    with torch.no_grad():
        logits = network(**batch).logits
    expected = (
        functional.cross_entropy(logits, target)
        if kind == "classification"
        else functional.mse_loss(logits[:, 0], target)
    )
    assert mean == pytest.approx(expected.item(), rel=1e-5)


def test_steps_are_plain_gradient_descent_with_clipped_weights(labels: Lesson) -> None:
    """Two steps, held against gradients that are taken here, without dropout."""
    task, clip, rate = make_task(), 0.05, 0.5
    ours, theirs = model(task), model(task)
    for network in (ours, theirs):
        for module in network.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        network.config.attention_probs_dropout_prob = 0.0
    options = replace(OPTIONS, steps=2, batch_size=48, weight_clip=clip)
    surrogate_loss(ours, labels, options, learning_rate=rate, device=CPU, dtype=torch.float32)
    theirs.train()
    parameters = list(theirs.parameters())
    bounds = [max(clip, parameter.abs().max().item()) for parameter in parameters]
    for _ in range(2):
        value = theirs(**padded(labels.train, range(48))).loss
        gradients = torch.autograd.grad(value, parameters, allow_unused=True)
        with torch.no_grad():
            for parameter, gradient, bound in zip(parameters, gradients, bounds, strict=True):
                change = 0.0 if gradient is None else rate * gradient
                parameter.copy_((parameter - change).clamp(-bound, bound))
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(
            parameter, theirs.get_parameter(name), rtol=1e-4, atol=1e-5, msg=name
        )
    reached = [parameter.abs().max().item() for parameter in ours.parameters()]
    assert any(value == bound for value, bound in zip(reached, bounds, strict=True))


def test_a_weight_that_starts_beyond_the_clip_is_not_cut(labels: Lesson) -> None:
    """Pre-trained encoders have a few, which their states hang on."""
    network = model(make_task())
    with torch.no_grad():
        network.base_model.encoder.layer[0].output.dense.weight[0, :2] = torch.tensor([7.0, -9.0])
    before = held_out_loss(network, labels, seed=0, device=CPU, dtype=torch.float32)
    options = replace(OPTIONS, steps=1)
    after = surrogate_loss(
        network, labels, options, learning_rate=1e-12, device=CPU, dtype=torch.float32
    )
    assert after == pytest.approx(before, rel=1e-6)


def test_the_same_seed_gives_the_same_error_and_another_another(words: Lesson) -> None:
    assert loss(words, OPTIONS) == loss(words, OPTIONS)
    assert loss(words, OPTIONS) != loss(words, replace(OPTIONS, seed=1))


def test_words_are_learnt(words: Lesson) -> None:
    start, end = (loss(words, replace(OPTIONS, steps=s, rates=(0.5,))) for s in (1, 60))
    assert end < 0.9 * start


def test_a_training_that_diverges_has_an_infinite_error(labels: Lesson) -> None:
    options = replace(OPTIONS, rates=(1e20,), weight_clip=1e30, steps=8)
    assert loss(labels, options, task=make_task()) == math.inf


def test_progress_counts_steps(labels: Lesson) -> None:
    steps: list[int] = []
    surrogate_loss(
        model(make_task()),
        labels,
        OPTIONS,
        learning_rate=0.1,
        device=CPU,
        dtype=torch.float32,
        progress=steps.append,
    )
    assert steps == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"steps": 0}, "steps must be at least 1, not 0"),
        ({"error": "loss"}, "The error is task or mlm, not 'loss'"),
        ({"rates": ()}, "1 to 20 different learning rates"),
        ({"rates": (0.1, 0.1)}, "1 to 20 different learning rates"),
        ({"rates": (0.0,)}, "A learning rate must be positive, not 0.0"),
        ({"rates": (math.nan,)}, "A learning rate must be positive"),
        ({"weight_clip": 0.0}, "weight_clip must be positive"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"precision": "fp8"}, "The precision 'fp8' is not one of"),
    ],
)
def test_options_out_of_their_range(changes: dict, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        replace(OPTIONS, **changes)
