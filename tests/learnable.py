"""A task that a tiny model learns in a few steps, and a checkpoint with a head for it."""

from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel

from paretobert.networks.subnet import SubnetConfig
from paretobert.tasks.task import Task, TextSplit

WORDS = ("a", "the", "bright", "old", "small", "coat", "house", "boat", "is", "was")
COLOURS = ("red", "blue")


def make_split(number: int, kind: str) -> TextSplit:
    texts = tuple(
        f"{WORDS[i % 10]} {WORDS[(3 * i) % 10]} {COLOURS[i % 2]} " + " ".join(WORDS[: i % 7])
        for i in range(number)
    )
    score = int if kind == "classification" else float
    return TextSplit(texts, None, tuple(score(i % 2) for i in range(number)))


def make_task(kind: str = "classification") -> Task:
    """Whether the colour is warm, or how cold it is."""
    return Task(
        name="colours",
        kind=kind,
        label_names=("warm", "cold") if kind == "classification" else (),
        metric="accuracy" if kind == "classification" else "pearson",
        other_metrics=(),
        train=make_split(48, kind),
        search=make_split(16, kind),
        report=make_split(16, kind),
        extra_reports={},
        max_length=32,
        source="made here",
    )


def no_cut(config: SubnetConfig) -> PreTrainedModel:
    """For methods that take nothing from the supernet."""
    raise AssertionError(f"{config.key} was cut")


def save_with_head(checkpoint: Path, folder: Path, *, num_labels: int) -> Path:
    """A checkpoint with a head that has learnt nothing yet."""
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint, num_labels=num_labels)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(checkpoint).save_pretrained(folder)
    return folder


def opinionated(checkpoint: Path, folder: Path, *, num_labels: int = 2) -> Path:
    """A fine-tuned model of sorts: its answers differ from text to text."""
    save_with_head(checkpoint, folder, num_labels=num_labels)
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    return folder


def assert_same_weights(first: Path, second: Path) -> None:
    """Hold two checkpoints to the same tensors, bit for bit."""
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (first, second))
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        torch.testing.assert_close(theirs[name], tensor, rtol=0, atol=0)
