"""What a model, a task, a training and a protocol must agree on before anything is trained."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from paretobert.dynabert.options import TrainingOptions
from paretobert.encoders.checkpoints import Checkpoint
from paretobert.errors import InputError
from paretobert.networks.shape import EncoderShape
from paretobert.pipeline.feasible import check_together
from paretobert.profiling.protocol import LatencyProtocol
from paretobert.tasks.heads import CLASSIFICATION, HEADS
from paretobert.tasks.task import Task, TextSplit

CHECKPOINT = Checkpoint(
    name="tiny",
    folder=Path("tiny"),
    model_type="bert",
    fingerprint="0" * 16,
    max_tokens=64,
    special_tokens=3,
    shape=EncoderShape("bert", 2, 2, 4, 8, 16, 8, 40, 64, 2, 2),
)
SINGLE = TextSplit(("a", "b"), None, (0, 1))
PAIRS = TextSplit(("a", "b"), ("c", "d"), (0, 1))
TASK = Task(
    name="tiny",
    kind="classification",
    label_names=("no", "yes"),
    metric="accuracy",
    other_metrics=(),
    train=SINGLE,
    search=SINGLE,
    report=SINGLE,
    max_length=64,
    source="here",
)
TRAINING = TrainingOptions()
PROTOCOL = LatencyProtocol(seq_len=64)


def of_pairs(max_length: int) -> Task:
    return replace(TASK, train=PAIRS, search=PAIRS, report=PAIRS, max_length=max_length)


def test_what_fits_to_the_last_token_passes() -> None:
    check_together(CHECKPOINT, TASK, TRAINING, PROTOCOL)
    check_together(CHECKPOINT, replace(TASK, max_length=4), TRAINING, PROTOCOL)
    check_together(CHECKPOINT, of_pairs(5), TRAINING, PROTOCOL)
    check_together(CHECKPOINT, TASK, TRAINING, PROTOCOL.with_lengths((1, 64)))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"task": replace(TASK, max_length=65)}, "cut at 65 tokens, but tiny .* --max-length 64"),
        ({"task": replace(TASK, max_length=3)}, "leave nothing: give --max-length 4 or more"),
        ({"task": of_pairs(4)}, "leave nothing: give --max-length 5 or more"),
        ({"protocol": replace(PROTOCOL, seq_len=65)}, "of 65 tokens .* give --seq-len 64 or less"),
        ({"protocol": PROTOCOL.with_lengths((1, 70))}, "of 70 tokens cannot be measured"),
        ({"protocol": replace(PROTOCOL, device="cuda:999")}, "has no device cuda:999"),
        ({"protocol": replace(PROTOCOL, threads=1024)}, "1024 threads would take turns on the 2"),
        (
            {"protocol": replace(PROTOCOL, runtime="onnxruntime", precision="bf16")},
            "is not possible on cpu|is not supported",
        ),
    ],
)
def test_what_does_not_go_together(
    changes: dict[str, object], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    asked = {"task": TASK, "training": TRAINING, "protocol": PROTOCOL} | changes
    with pytest.raises(InputError, match=sentence):
        check_together(CHECKPOINT, **asked)


def test_tokens_that_the_head_reads_are_not_eliminated(monkeypatch: pytest.MonkeyPatch) -> None:
    eliminating = replace(TRAINING, tokens=(1.0, 0.5), token_epochs=1)
    check_together(CHECKPOINT, TASK, eliminating, PROTOCOL)
    monkeypatch.setitem(HEADS, "classification", replace(CLASSIFICATION, reads="all"))
    check_together(CHECKPOINT, TASK, TRAINING, PROTOCOL)
    with pytest.raises(InputError, match="reads every token of a text"):
        check_together(CHECKPOINT, TASK, eliminating, PROTOCOL)


def test_a_training_without_end() -> None:
    many = TextSplit(("a",) * 1000, None, (0, 1) * 500)
    endless = replace(TRAINING, width_epochs=10**5, batch_size=8)
    with pytest.raises(
        InputError, match="and 100,003 epochs over 1,000 examples are 12,500,750 steps"
    ):
        check_together(CHECKPOINT, replace(TASK, train=many), endless, PROTOCOL)


def test_transfer_texts_are_steps_of_distillation_alone() -> None:
    check_together(CHECKPOINT, TASK, TRAINING, PROTOCOL, num_unlabelled=40_000_000)
    with pytest.raises(InputError, match="6 epochs over 64,000,002 examples are 12,000,009 steps"):
        check_together(CHECKPOINT, TASK, TRAINING, PROTOCOL, num_unlabelled=64_000_000)
    labels_alone = replace(TRAINING, width_epochs=0, depth_epochs=0, final_epochs=1)
    check_together(CHECKPOINT, TASK, labels_alone, PROTOCOL)
    with pytest.raises(InputError, match="no stage distils: leave them out"):
        check_together(CHECKPOINT, TASK, labels_alone, PROTOCOL, num_unlabelled=1)
