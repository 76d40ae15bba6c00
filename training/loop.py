"""The training loop: epochs over a split, AdamW, a linear schedule, checkpoints to resume from.

It knows no method: what is learnt in a step is a function that adds the gradients of a batch.
Batches depend on the seed and the step alone and the state is saved at a step interval, so that a
killed stage continues to the same weights. A stage that is judged while it trains ends with its
best weights (`best`), others with their last. Several processes may share each batch (`parallel`).
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from .. import storage
from ..errors import InputError
from ..intervals import Interval, duration
from ..tasks.batches import Batch, EncodedTexts, padded, training_batches
from . import parallel
from .best import Judge, judgement_interval
from .pace import Pace, steps_per_epoch
from .state import restore_state, save_state


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """Where a stage is.

    Attributes:
        stage: Its name.
        step: Steps done.
        total_steps: Steps of the whole stage.
        loss: Loss of the last step, averaged over its sub-networks; NaN where nothing is learnt.
        examples_per_s: Examples a second since the stage was started or resumed; NaN where no
            examples are learnt from.
    """

    stage: str
    step: int
    total_steps: int
    loss: float
    examples_per_s: float


class Diverged(InputError):
    """A loss stopped being finite."""


@dataclass(frozen=True, slots=True)
class Finished:
    """How a stage went.

    Attributes:
        stage: Its name.
        steps: Its steps.
        seconds: Their wall time, judging included.
        judging_s: The wall time of judging alone, since the stage was started or resumed.
        best_step: After how many steps its weights were the best; None where it was not judged.
        scores: Those of the probe networks then.
    """

    stage: str
    steps: int
    seconds: float
    judging_s: float
    best_step: int | None
    scores: Mapping[str, Interval]

    @property
    def sentence(self) -> str:
        """How long it took and what it reached, for a reader."""
        scores = ", ".join(f"{name} {score.text('.3f')}" for name, score in self.scores.items())
        reached = f"; search score at step {self.best_step:,}: {scores}" if scores else ""
        return f"{self.stage}: {self.steps:,} steps in {duration(self.seconds)}{reached}"


class Saveable(Protocol):
    """What writes itself into a folder: a model, a supernet or a tokenizer of transformers'."""

    def save_pretrained(self, folder: Path, /) -> object:
        """Write into an existing folder."""
        ...


Result = tuple[Saveable, Saveable]
"""A model and its tokenizer."""


def made(folder: Path, make: Callable[[], Result]) -> Path:
    """Return `folder`, made first unless an earlier call has made it."""
    if not folder.is_dir():
        model, tokenizer = make()
        if parallel.is_main():
            with storage.folder(folder) as temporary:
                model.save_pretrained(temporary)
                tokenizer.save_pretrained(temporary)
    parallel.wait()
    return folder


def run_stage(
    stage: str,
    model: nn.Module,
    encoded: EncodedTexts,
    gradients: Callable[[Batch, int], float],
    *,
    epochs: int,
    pace: Pace,
    device: torch.device,
    dtype: torch.dtype,
    state_file: Path,
    log: Path,
    progress: Callable[[TrainingProgress], None],
    groups: list[dict[str, Any]] | None = None,
    max_steps: int | None = None,
    after_step: Callable[[], None] = lambda: None,
    judge: Judge | None = None,
) -> Finished:
    """Train through some epochs, or go on where an earlier call was stopped.

    Args:
        stage: Its name, for the log and for messages.
        model: What learns, on the device.
        encoded: The examples to learn from, with labels where the gradients need them.
        gradients: Adds the gradients of a batch at a step, and returns the loss.
        epochs: Passes over the examples.
        pace: The settings that every stage has.
        device: Where the batches go.
        dtype: Of matrix products, for the log.
        state_file: What a killed stage continues from.
        log: The file that gets a line when the stage ends.
        progress: Called after every step.
        groups: AdamW's parameter groups with their peak learning rates as `lr`; None for the
            whole model's at the pace's.
        max_steps: Steps after which the last epoch breaks off.
        after_step: Called after every update, before the state is kept.
        judge: Scores the model now and then, so that the best weights stay.

    Raises:
        Diverged: When the loss stops being finite.
    """
    if groups is None:
        groups = weight_groups(
            model, learning_rate=pace.learning_rate, weight_decay=pace.weight_decay
        )
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.999), eps=1e-8, fused=True)
    peaks = [group["lr"] for group in optimizer.param_groups]
    torch.manual_seed(pace.seed)
    first, earlier_s, best = restore_state(state_file, model, optimizer)
    parallel.draw_apart(first)
    model.train()
    started, elapsed_s, judging_s, seen, loss = time.perf_counter(), 0.0, 0.0, 0, math.nan
    per_epoch = steps_per_epoch(len(encoded), batch_size=pace.batch_size)
    total = epochs * per_epoch
    total = total if max_steps is None else min(total, max_steps)
    every = judgement_interval(per_epoch)
    for step, indices in _steps(encoded, total=total, pace=pace, first=first):
        share = parallel.share_of(indices)
        batch = padded(encoded, share.indices, device=device)
        optimizer.zero_grad(set_to_none=False)
        loss = parallel.average(model, gradients(batch, step), weight=share.weight)
        if not math.isfinite(loss):
            raise Diverged(
                f"The loss of stage {stage} is {loss} at step {step + 1}: "
                "give a lower learning rate."
            )
        torch.nn.utils.clip_grad_norm_(model.parameters(), pace.clip_norm)
        rate = linear_decay(step, total, warmup_share=pace.warmup_share)
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = rate * peak
        optimizer.step()
        after_step()
        seen += len(indices)
        if judge is not None and ((step + 1) % per_epoch % every == 0 or step + 1 == total):
            begun = time.perf_counter()
            best.offer(model, step + 1, judge())
            judging_s += time.perf_counter() - begun
        elapsed_s = time.perf_counter() - started
        is_due = (step + 1) % pace.checkpoint_steps == 0 and step + 1 < total
        if is_due and parallel.is_main():
            seconds = earlier_s + elapsed_s
            save_state(state_file, model, optimizer, step=step + 1, seconds=seconds, best=best)
        progress(TrainingProgress(stage, step + 1, total, loss, seen / elapsed_s))
    best.load(model)
    finished = Finished(
        stage=stage,
        steps=total,
        seconds=earlier_s + elapsed_s,
        judging_s=judging_s,
        best_step=best.step or None,
        scores=best.scores,
    )
    if not parallel.is_main():
        return finished
    storage.append_record(
        log,
        {
            "stage": stage,
            "epochs": epochs,
            "steps": total,
            "examples": sum(len(b) for _, b in _steps(encoded, total=total, pace=pace, first=0)),
            "learning_rate": max(peaks),
            "seconds": round(finished.seconds, 1),
            "judging_s": round(judging_s, 2),
            "last_loss": loss,
            "best_step": finished.best_step,
            "search": {name: score.to_dict() for name, score in best.scores.items()},
            "device": str(device),
            "threads": torch.get_num_threads(),
            "dtype": str(dtype).removeprefix("torch."),
        },
    )
    return finished


def weight_groups(
    model: nn.Module, *, learning_rate: float, weight_decay: float
) -> list[dict[str, Any]]:
    """AdamW's groups as for BERT: no decay of biases and LayerNorms."""
    vectors = [p for p in model.parameters() if p.ndim < 2]
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    return [
        {"params": matrices, "weight_decay": weight_decay, "lr": learning_rate},
        {"params": vectors, "weight_decay": 0.0, "lr": learning_rate},
    ]


def linear_decay(step: int, total_steps: int, *, warmup_share: float) -> float:
    """The share of the peak learning rate at a step counted from 0: up to 1, then down to 0.

    >>> [linear_decay(step, 4, warmup_share=0.5) for step in range(4)]
    [0.5, 1.0, 1.0, 0.5]
    """
    warmup_steps = round(warmup_share * total_steps)
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    return (total_steps - step) / (total_steps - warmup_steps)


def _steps(
    encoded: EncodedTexts, *, total: int, pace: Pace, first: int
) -> Iterator[tuple[int, list[int]]]:
    """The number and the examples of each step from the first on."""
    per_epoch = steps_per_epoch(len(encoded), batch_size=pace.batch_size)
    for epoch in range(first // per_epoch, math.ceil(total / per_epoch)):
        batches = training_batches(
            encoded, batch_size=pace.batch_size, seed=pace.seed, epoch=epoch
        )
        for step, indices in enumerate(batches, start=epoch * per_epoch):
            if first <= step < total:
                yield step, indices
