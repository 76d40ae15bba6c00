"""Are the default settings within half a point of the best by hand?

    paretobert train runs/rte --model minilm --task RTE --data ../shared/data/glue/RTE
    python benchmarks/settings.py runs/rte --out benchmarks/settings/rte.json --minutes 60

The run was trained with `--settings auto`; that is the default arm. An arm by hand differs from
it in one thing. Those of stage 0 fine-tune the checkpoint anew, at the rate that the run chose,
and are judged by the full model's score. Those of stages 1 and 2 start from the run's own
teacher, so that the teacher's luck does not count, and are judged by the mean of the sub-networks'
scores. The best by hand is the one that scores most on `search`, as a user would choose it, so
that `report` flatters none. Differences are in pairs: the same bootstrap resamples of the report
split for both.

`--few FOLDER` writes data for a run on 500 sentences of SST-2, and ends:

    python benchmarks/settings.py ../shared/data/sst2-sentence --few runs/few-data
    paretobert train runs/few --model minilm --task files --data runs/few-data/train.csv \
        --report-data runs/few-data/report.csv --search-size 250

The result is written after each arm. An arm that is not done when the minutes are over breaks off
where its next call goes on; what was scored stays in `--work`, the trained weights do not.
"""

import argparse
import csv
import random
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from arms import landmark_scores
from collect import command, relative
from outcomes import read_outcomes, write_outcomes
from transformers import AutoTokenizer

from paretobert.dynabert.options import TrainingOptions
from paretobert.dynabert.training import train_supernet
from paretobert.encoders.checkpoints import find_checkpoint
from paretobert.intervals import Interval
from paretobert.pipeline.run import Run
from paretobert.profiling.environment import Environment
from paretobert.storage import read_records, write_json
from paretobert.tasks.batches import encode
from paretobert.tasks.evaluation import evaluate
from paretobert.tasks.metrics import weighted_scores
from paretobert.tasks.scores import Evaluation
from paretobert.tasks.task import Task
from paretobert.training.classifier import load_stored
from paretobert.training.loop import TrainingProgress

RESAMPLES = 2000
SPLITS = ("search", "report")
FULL = "full model"
SUPERNET = "sub-networks"
DEFAULT = "default"
HALF_A_POINT = 0.005
FEW = 750
"""Sentences, a third of which become the search split."""
CHECKPOINT_STEPS = 50
"""So few are lost when the minutes are over."""

Outcomes = dict[str, dict[str, Evaluation]]


class OutOfTime(Exception):
    """The minutes are over."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to train.

    Attributes:
        name: What it is called.
        judged: What its stages make: `FULL` for stage 0, `SUPERNET` for stages 1 and 2.
        options: All its settings; the other stages are left out by them.
    """

    name: str
    judged: str
    options: TrainingOptions


def arms_of(
    default: TrainingOptions,
    *,
    chosen_rate: float,
    rates: Sequence[float],
    epochs: Sequence[float],
    shares: Sequence[float],
) -> Iterator[Arm]:
    """Settings by hand around the default, each different in one thing.

    Args:
        default: What the rules say.
        chosen_rate: The learning rate that stage 0 took of those that were tried.
        rates: Factors of the learning rate of stages 1 and 2; stage 0 has tried its own.
        epochs: Factors of the epochs.
        shares: Of stage 1 in the epochs of stages 1 and 2.
    """
    guess = replace(default, teacher_rates=(), checkpoint_steps=CHECKPOINT_STEPS)
    elastic = replace(guess, teacher_epochs=0)
    both = default.width_epochs + default.depth_epochs
    for share in shares:
        width = round(share * both)
        options = replace(elastic, width_epochs=width, depth_epochs=both - width)
        yield Arm(f"stage 1 has {width} of {both} epochs", SUPERNET, options)
    for rate in rates:
        options = replace(elastic, learning_rate=rate * default.learning_rate)
        yield Arm(f"rate of stages 1 and 2 x {rate:g}", SUPERNET, options)
    for factor in epochs:
        options = replace(
            guess,
            teacher_learning_rate=chosen_rate,
            teacher_epochs=max(1, round(factor * default.teacher_epochs)),
            width_epochs=0,
            depth_epochs=0,
        )
        yield Arm(f"epochs of stage 0 x {factor:g}", FULL, options)
    for factor in epochs:
        options = replace(
            elastic,
            width_epochs=max(1, round(factor * default.width_epochs)),
            depth_epochs=max(1, round(factor * default.depth_epochs)),
        )
        yield Arm(f"epochs of stages 1 and 2 x {factor:g}", SUPERNET, options)


def train_arm(arm: Arm, *, model: Path, task: Task, folder: Path, deadline_s: float) -> None:
    """Train, score and keep the outcomes, or find them kept.

    Args:
        arm: How.
        model: The checkpoint, or the fine-tuned teacher where stage 0 is left out.
        task: What is learnt.
        folder: Keeps the outcomes, and what a later call needs to go on.
        deadline_s: Of the monotonic clock.

    Raises:
        OutOfTime: When the deadline passes first.
    """
    if (folder / "outcomes.json").exists():
        return

    def watch(state: TrainingProgress) -> None:
        if time.monotonic() > deadline_s:
            raise OutOfTime

    train_supernet(
        model=model,
        task=task,
        folder=folder / "run",
        options=arm.options,
        progress=watch,
        tell=lambda sentence: print(f"{arm.name}: {sentence}", file=sys.stderr),
    )
    write_json(folder / "stages.json", read_records(folder / "run" / "training.jsonl"))
    score = full_model if arm.judged == FULL else landmark_scores
    found = {split: score(folder / "run", task, split=split) for split in SPLITS}
    write_outcomes(folder / "outcomes.json", found)
    shutil.rmtree(folder / "run")


def full_model(run: Path, task: Task, *, split: str) -> dict[str, Evaluation]:
    """The score of a run's teacher on a split."""
    tokenizer = AutoTokenizer.from_pretrained(run / "teacher")
    examples = encode(task.splits[split], tokenizer, max_length=task.max_length)
    model = load_stored(run / "teacher")
    return {FULL: evaluate(model, examples, task=task, split=split)}


def resampled(outcomes: Mapping[str, Evaluation], weights: Any) -> Any:
    """The mean score of some networks under weightings of the examples: (weightings,)."""
    first, *_ = outcomes.values()
    rows = [entry.predictions for entry in outcomes.values()]
    return weighted_scores(first.metric, first.labels, rows, weights).mean(1)


def weightings(n: int, *, seed: int) -> Any:
    """All examples once, then the bootstrap's resamples: (1 + resamples, n)."""
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
    return np.concatenate([np.ones((1, n)), drawn]).astype(np.float64)


def interval(values: Any, n: int) -> Interval:
    """The first value with the percentile interval of the others."""
    low, high = np.quantile(values[1:], [0.025, 0.975])
    return Interval(float(values[0]), float(low), float(high), n, "examples")


def summary(arms: Mapping[str, Outcomes], *, seed: int) -> dict[str, Any]:
    """What the arms that were judged by the same thing say, the default first."""
    n = _size(next(iter(arms.values()))["report"])
    weights = weightings(n, seed=seed)
    drawn = {name: resampled(splits["report"], weights) for name, splits in arms.items()}
    search = {
        name: float(resampled(splits["search"], np.ones((1, _size(splits["search"]))))[0])
        for name, splits in arms.items()
    }
    record: dict[str, Any] = {
        "arms": [
            {"arm": name, "search": round(search[name], 4)} | interval(drawn[name], n).to_dict()
            for name in arms
        ],
    }
    by_hand = {name: value for name, value in search.items() if name != DEFAULT}
    if by_hand:
        best = max(by_hand, key=by_hand.__getitem__)
        lost = drawn[best] - drawn[DEFAULT]
        record |= {
            "best_by_hand": best,
            "lost_by_the_default": interval(lost, n).to_dict(),
            "within_half_a_point": bool(lost[0] <= HALF_A_POINT),
        }
    return record


def _size(split: Mapping[str, Evaluation]) -> int:
    """Examples of a split."""
    return next(iter(split.values())).n


def few(data: Path, into: Path) -> None:
    """Write so few sentences that 500 are left to learn from, beside the whole test split."""
    head, *rows = _lines(data / "train.tsv")
    chosen = random.Random(0).sample(rows, FEW)
    into.mkdir(parents=True, exist_ok=True)
    for name, lines in (
        ("train.csv", [head, *chosen]),
        ("report.csv", _lines(data / "test.tsv")),
    ):
        with (into / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(line.split("\t") for line in lines)


def _lines(path: Path) -> list[str]:
    """The lines of a file that are not empty; a text may hold what else ends a line."""
    return [line for line in path.read_text(encoding="utf-8").split("\n") if line]


def main() -> None:
    """Train arm after arm while there is time, and write what is known after each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path, help="a run folder that was trained, or data")
    parser.add_argument("--few", type=Path, help="write few sentences here, and end")
    parser.add_argument("--work", type=Path, help="default: beside the run")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rates", type=float, nargs="*", default=[2.0, 0.5])
    parser.add_argument("--epochs", type=float, nargs="*", default=[2.0, 0.5])
    parser.add_argument("--shares", type=float, nargs="*", default=[0.0, 0.6])
    arguments = parser.parse_args()
    if arguments.few is not None:
        few(arguments.run, arguments.few)
        return
    deadline_s = time.monotonic() + 60 * arguments.minutes
    run, environment = Run.open(arguments.run), Environment.capture()
    task, default = run.task, run.request.training
    work = arguments.work or arguments.run.with_name(f"{arguments.run.name}-by-hand")
    checkpoint = find_checkpoint(run.request.model).folder
    found: dict[str, dict[str, Outcomes]] = {
        FULL: {DEFAULT: {s: full_model(run.folder.root, task, split=s) for s in SPLITS}},
        SUPERNET: {DEFAULT: {s: landmark_scores(run.folder.root, task, split=s) for s in SPLITS}},
    }
    for arm in arms_of(
        default,
        chosen_rate=run.fine_tuning_rate,
        rates=arguments.rates,
        epochs=arguments.epochs,
        shares=arguments.shares,
    ):
        place = work / arm.name.replace(" ", "-")
        model = checkpoint if arm.judged == FULL else run.folder.teacher
        try:
            train_arm(arm, model=model, task=task, folder=place, deadline_s=deadline_s)
        except OutOfTime:
            print(f"out of time in the arm {arm.name!r}", file=sys.stderr)
            return
        found[arm.judged][arm.name] = read_outcomes(place / "outcomes.json")
        record = {
            "command": command(),
            "task": relative(task.summary()),
            "default": default.to_dict(),
            "chosen_rate": run.fine_tuning_rate,
            "environment": environment.to_dict(),
            **{who: summary(arms, seed=default.seed) for who, arms in found.items()},
        }
        write_json(arguments.out, record)
        print(record[arm.judged]["arms"][-1], flush=True)


if __name__ == "__main__":
    main()
