"""Supernets that differ in one thing, trained from one teacher and scored on the report split."""

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from paretobert.dynabert.options import TrainingOptions
from paretobert.dynabert.supernet import Supernet
from paretobert.dynabert.training import train_supernet
from paretobert.encoders.extraction import extract
from paretobert.pipeline.run import Run
from paretobert.storage import read_records
from paretobert.tasks.batches import encode
from paretobert.tasks.comparison import compare
from paretobert.tasks.evaluation import evaluate
from paretobert.tasks.scores import Evaluation
from paretobert.tasks.task import Task, Texts

Scores = Mapping[str, Evaluation]


def trained(
    run: Run, options: TrainingOptions, *, unlabelled: Texts | None = None
) -> tuple[Scores, dict[str, Any]]:
    """Train a supernet from a run's teacher, and score its sub-networks on the report split.

    Args:
        run: Gives the teacher and the task.
        options: How it is trained; stage 0 is left out by them.
        unlabelled: Transfer texts.

    Returns:
        The evaluations by key, and what the training took: seconds and steps by stage.
    """
    task, teacher, started = run.task, run.folder.teacher, time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "arm"
        train_supernet(
            model=teacher,
            task=task,
            folder=folder,
            options=options,
            unlabelled=unlabelled,
            progress=lambda state: None,
        )
        scores = landmark_scores(folder, task, split="report")
        stages = read_records(folder / "training.jsonl")
    took = {
        "seconds": round(time.perf_counter() - started, 1),
        "steps": {entry["stage"]: entry["steps"] for entry in stages if entry.get("steps")},
    }
    return scores, took


def landmark_scores(run: Path, task: Task, *, split: str) -> dict[str, Evaluation]:
    """Score the landmarks of the space that a folder's supernet was trained for.

    Args:
        run: Holds the supernet.
        task: Gives the split.
        split: Its name.

    Returns:
        The evaluations by key.
    """
    tokenizer = AutoTokenizer.from_pretrained(run / "supernet")
    examples = encode(task.splits[split], tokenizer, max_length=task.max_length)
    supernet = Supernet.from_pretrained(run / "supernet")
    return {
        config.key: evaluate(extract(supernet.model, config), examples, task=task, split=split)
        for config in supernet.space.landmarks
    }


def row(name: str, scores: Scores, whole: Scores) -> dict[str, Any]:
    """What an arm scored, and how it differs from another in pairs.

    Args:
        name: Of the arm.
        scores: Its evaluations by key.
        whole: Those of the arm that it is compared with.
    """
    pairs = {key: compare(entry, whole[key]) for key, entry in scores.items()}
    return {
        "arm": name,
        "mean": round(statistics.mean(entry.value for entry in scores.values()), 4),
        "worse": sum(not pair.tie and not pair.better for pair in pairs.values()),
        "better": sum(pair.better for pair in pairs.values()),
        "ties": sum(pair.tie for pair in pairs.values()),
        "sub_networks": [
            {"key": key, "score": entry.value, "difference": pairs[key].to_dict()}
            for key, entry in scores.items()
        ],
    }


def in_turn(
    arms: Mapping[str, Callable[[], tuple[Scores, dict[str, Any]]]],
    *,
    finished: Callable[[list[dict[str, Any]]], None],
) -> None:
    """Train arm after arm, each compared with the first.

    Args:
        arms: What trains and scores each, by name.
        finished: Is given the rows so far after every arm.
    """
    rows: list[dict[str, Any]] = []
    whole: Scores | None = None
    for name, train in arms.items():
        scores, took = train()
        whole = scores if whole is None else whole
        rows.append(row(name, scores, whole) | took)
        print({key: value for key, value in rows[-1].items() if key != "sub_networks"})
        finished(rows)
