"""What distillation learns from: the same texts for a supernet and for every student."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from paretobert.baselines.first_layers import FirstLayersOptions, make
from paretobert.dynabert.options import TrainingOptions, variants_of
from paretobert.tasks.batches import encode_texts
from paretobert.tasks.task import Texts
from paretobert.training.loop import TrainingProgress
from paretobert.training.method import Making, Variants
from paretobert.training.transfer_set import TransferSet

from ..learnable import make_task, no_cut, opinionated

UNLABELLED = Texts(("a red boat", "the old house is blue"), None)


@pytest.fixture
def variants(tiny_checkpoint: Path, tmp_path: Path) -> Variants:
    found = variants_of(TrainingOptions(augment=2), checkpoint=tiny_checkpoint, run=tmp_path)
    assert found is not None
    return found


def texts(given: TransferSet, checkpoint: Path, folder: Path) -> tuple[tuple[int, ...], ...]:
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    return given.encoded(
        tokenizer,
        device=torch.device("cpu"),
        dtype=torch.float32,
        log=folder / "log.jsonl",
        progress=lambda state: None,
    ).input_ids


def test_training_texts_then_unlabelled_ones_then_variants(
    variants: Variants, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    task, tokenizer = make_task(), AutoTokenizer.from_pretrained(tiny_checkpoint)
    known = encode_texts(task.train.followed_by(UNLABELLED), tokenizer, max_length=32).input_ids
    plain = TransferSet(task, UNLABELLED, None)
    assert texts(plain, tiny_checkpoint, tmp_path) == known
    found = texts(replace(plain, variants=variants), tiny_checkpoint, tmp_path)
    assert found[: len(known)] == known
    assert len(known) < len(found) <= len(known) + 2 * len(task.train)
    held_out = encode_texts(task.search, tokenizer, max_length=32).input_ids
    assert not set(found[len(known) :]) & set(held_out)


def test_students_share_the_variants_of_the_run(
    variants: Variants, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    teacher = opinionated(tiny_checkpoint, tmp_path / "teacher")
    options = FirstLayersOptions(layers=1, epochs=1, batch_size=8, precision="fp32")

    def steps(name: str, given: Variants | None) -> int:
        seen: list[TrainingProgress] = []
        make(
            Making(
                teacher,
                no_cut,
                make_task(),
                tmp_path / name,
                seen.append,
                variants=given,
            ),
            options,
        )
        return sum(state.stage == "first layers" for state in seen)

    assert steps("plain", None) == 48 / 8
    first = steps("first", variants)
    made = {path: path.stat().st_mtime_ns for path in variants.folder.iterdir()}
    assert steps("second", variants) == first
    assert {path: path.stat().st_mtime_ns for path in variants.folder.iterdir()} == made
    log = (tmp_path / "first" / "training.jsonl").read_text().splitlines()
    augmented, trained = map(json.loads, log)
    assert augmented["stage"] == "augment"
    assert trained["examples"] == 48 + augmented["examples"]
    assert first == math.ceil(trained["examples"] / 8)


def test_no_variants_are_asked_for(tiny_checkpoint: Path, tmp_path: Path) -> None:
    assert variants_of(TrainingOptions(), checkpoint=tiny_checkpoint, run=tmp_path) is None
