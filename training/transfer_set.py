"""What distillation learns from, without labels, whatever learns: texts of three kinds.

The training texts, a run's unlabelled texts, and variants of the training texts (`augmentation`).
A supernet and every student of a run learn from the same ones. The variants are kept in the run
folder, so that only the first training makes them.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerBase

from .. import storage
from ..tasks.batches import EncodedTexts, encode_texts, joined
from ..tasks.task import Task, Texts
from .augmentation import augment
from .loop import TrainingProgress
from .method import Variants

STAGE = "augment"
"""What making variants is called in logs and messages."""


@dataclass(frozen=True, slots=True)
class TransferSet:
    """Where the texts are from.

    Attributes:
        task: Gives the training texts; no variant is a text of its other splits.
        unlabelled: The run's texts without labels.
        variants: The variants of the training texts; None where there are none.
    """

    task: Task
    unlabelled: Texts | None
    variants: Variants | None

    def encoded(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        device: torch.device,
        dtype: torch.dtype,
        log: Path,
        progress: Callable[[TrainingProgress], None],
    ) -> EncodedTexts:
        """All texts, tokenised; variants that are not there yet are made.

        Args:
            tokenizer: The full model's.
            device: Where variants are made.
            dtype: Of the matrix products of that.
            log: The file that gets a line when they are made.
            progress: Called while they are made.

        Raises:
            InputError: When the tokenizer does not tell words, or a file of variants is damaged.
        """
        known = self.task.train.followed_by(self.unlabelled)
        texts = encode_texts(known, tokenizer, max_length=self.task.max_length)
        if self.variants is None:
            return texts
        started = time.perf_counter()

        def report(done: int, total: int) -> None:
            rate = done / (time.perf_counter() - started)
            progress(TrainingProgress(STAGE, done, total, math.nan, rate))

        found = augment(
            self.task.train,
            checkpoint=self.variants.checkpoint,
            tokenizer=tokenizer,
            max_length=self.task.max_length,
            variants=self.variants.number,
            seed=self.variants.seed,
            held_out={
                ids
                for name, split in self.task.splits.items()
                if name != "train"
                for ids in encode_texts(
                    split, tokenizer, max_length=self.task.max_length
                ).input_ids
            },
            folder=self.variants.folder,
            device=device,
            dtype=dtype,
            progress=report,
        )
        if all(record["stage"] != STAGE for record in storage.read_records(log)):
            storage.append_record(
                log,
                {
                    "stage": STAGE,
                    "examples": 0 if found.texts is None else len(found.texts),
                    "held_out": found.held_out,
                    "seconds": round(found.seconds, 1),
                },
            )
        return texts if found.texts is None else joined([texts, found.texts])
