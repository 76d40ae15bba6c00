"""How long each stage would take here: a training on a few batches, which is thrown away.

The batches hold neighbours in length, as a training's do, and lie evenly over all lengths, the
longest among them. Left out: making variants of texts (`augment`), and sorting units, loading and
writing, which take seconds to a minute.
"""

import resource
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from .. import storage
from ..networks.shape import EncoderShape
from ..tasks.task import Task, Texts, TextSplit
from ..training.best import judgement_interval
from ..training.loop import TrainingProgress
from ..training.pace import steps_per_epoch
from .options import TrainingOptions
from .stages import RATES, Stage, planned_stages
from .training import LOG_FILE, train_supernet

BATCHES = 8
SEARCH_TEXTS = 64
STATE_COPIES = 4
"""Copies of the parameters in what a killed stage resumes from: weights, two moments, the best."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What a training would take on this machine.

    Attributes:
        seconds: Each stage's, by its name, judging included.
        peak_memory_bytes: The largest resident memory of this process, or of the GPU's where one
            trains.
        disk_bytes: What stays: the full model and the supernet.
        disk_peak_bytes: What lies in the folder at most while it trains, variants left out.
    """

    seconds: dict[str, float]
    peak_memory_bytes: int
    disk_bytes: int
    disk_peak_bytes: int


def probe_training(
    *,
    model: Path,
    task: Task,
    options: TrainingOptions,
    shape: EncoderShape,
    unlabelled: Texts | None = None,
) -> Probe:
    """Train on a few batches in a temporary folder and scale the times up.

    Args:
        model: The checkpoint's folder.
        task: What is learnt.
        options: Settings of all stages.
        shape: The full model's sizes.
        unlabelled: Texts without labels beside the training texts.

    Raises:
        InputError: When a training would be refused.
    """
    marks: dict[str, list[float]] = defaultdict(list)

    def mark(state: TrainingProgress) -> None:
        marks[state.stage].append(time.perf_counter())

    stages = planned_stages(
        options,
        shape,
        num_train=len(task.train),
        num_unlabelled=0 if unlabelled is None else len(unlabelled),
    )
    few = replace(
        task,
        train=_drawn(task.train, BATCHES * options.batch_size, run=options.batch_size),
        search=_drawn(task.search, SEARCH_TEXTS, run=1),
    )
    once = {
        f"{name}_epochs": min(1, getattr(options, f"{name}_epochs"))
        for name in ("teacher", "width", "depth", "token", "final")
    }
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "probe"
        folder.mkdir()
        train_supernet(
            model=model,
            task=few,
            folder=folder,
            options=replace(options, teacher_rates=(), augment=0, **once),
            progress=mark,
        )
        judging = {
            record["stage"]: record["judging_s"] / len(few.search) * len(task.search)
            for record in storage.read_records(folder / LOG_FILE)
            if "judging_s" in record
        }
        sizes = [_bytes(folder / name) for name in ("teacher", "supernet")]
    paces = {name: _pace(times) for name, times in marks.items()}
    return Probe(
        seconds={
            stage.name: _seconds(stage, paces, judging, batch_size=options.batch_size)
            for stage in stages
        },
        peak_memory_bytes=_peak_memory(),
        disk_bytes=sum(sizes),
        disk_peak_bytes=(len(stages) + 1 + STATE_COPIES) * max(sizes),
    )


def _seconds(
    stage: Stage, paces: dict[str, float], judging: dict[str, float], *, batch_size: int
) -> float:
    """Of a whole stage; trials are as fast as the stage that they are for."""
    like = "teacher" if stage.name == RATES else stage.name
    per_epoch = steps_per_epoch(stage.texts, batch_size=batch_size)
    judgements = stage.steps / judgement_interval(per_epoch)
    return stage.steps * paces[like] + judgements * judging[like]


def _pace(times: Sequence[float]) -> float:
    """Seconds of a step; the first one warms up, and the last one is followed by judging."""
    steps = [later - earlier for earlier, later in zip(times, times[1:], strict=False)]
    return statistics.mean(steps[:-1] or steps or [0.0])


def _drawn(split: TextSplit, number: int, *, run: int) -> TextSplit:
    """Some examples in runs of neighbours in length, evenly over all lengths, the longest too."""
    order = sorted(range(len(split)), key=lambda i: _length(split, i))
    if len(order) > number:
        starts = len(order) - run
        count = number // run
        places = [round(k * starts / (count - 1)) for k in range(count)]
        order = list(dict.fromkeys(i for p in places for i in order[p : p + run]))
    return TextSplit(
        first=tuple(split.first[i] for i in order),
        second=None if split.second is None else tuple(split.second[i] for i in order),
        labels=tuple(split.labels[i] for i in order),
    )


def _length(split: Texts, index: int) -> int:
    return len(split.first[index]) + (0 if split.second is None else len(split.second[index]))


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _peak_memory() -> int:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
