"""Are the default settings within half a point of the best by hand?

    python benchmarks/settings.py stdlib-docs RTE MRPC SST-2-500 CoLA QNLI IMDB \
        --data ../shared/data --minutes 600

For each data set, from one checkpoint and with the same seeds: the default, `--settings auto`; by
hand, a grid of learning rates and epochs around what the rules say, with no rate tried; and
other shares of stages 1 and 2 in the default's epochs. Each arm scores the full model and every
sub-network on both splits. The best by hand is the one whose sub-networks score most on `search`
on average, as a user would choose it, so that `report` flatters none. Differences are in pairs:
the same bootstrap resamples of the report split for both.

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
from outcomes import read_outcomes, write_outcomes
from transformers import AutoTokenizer

from paretobert.dynabert.options import TrainingOptions
from paretobert.dynabert.settings import Scale, resolved
from paretobert.dynabert.supernet import Supernet
from paretobert.dynabert.training import train_supernet
from paretobert.encoders.checkpoints import Checkpoint, find_checkpoint
from paretobert.encoders.extraction import extract
from paretobert.intervals import Interval
from paretobert.profiling.environment import Environment
from paretobert.storage import read_records, write_json
from paretobert.tasks.batches import encode
from paretobert.tasks.evaluation import evaluate
from paretobert.tasks.loading import TaskRequest, load_task
from paretobert.tasks.metrics import Evaluation, weighted_scores
from paretobert.tasks.task import Task
from paretobert.training.classifier import load_stored
from paretobert.training.loop import TrainingProgress

RESAMPLES = 2000
FULL = "full model"
SUPERNET = "sub-networks"
DEFAULT = "default"
HALF_A_POINT = 0.005
DATA_SETS = ("stdlib-docs", "RTE", "MRPC", "SST-2-500", "CoLA", "QNLI", "IMDB")
FEW, FEW_SEARCH = 500, 250
CHECKPOINT_STEPS = 50
"""So few are lost when the minutes are over."""


class OutOfTime(Exception):
    """The minutes are over."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to train.

    Attributes:
        name: What it is called.
        options: All its settings.
    """

    name: str
    options: TrainingOptions


def request_of(name: str, data: Path, work: Path, *, seed: int) -> TaskRequest:
    """The task of a data set."""
    if name == "stdlib-docs":
        return TaskRequest(name, seed=seed)
    if name == "IMDB":
        folder = data / "imdb"
        return TaskRequest(
            "files",
            data=folder / "train-subset.tsv",
            report_data=folder / "test-subset.tsv",
            text_columns=("text",),
            label_column="label",
            seed=seed,
        )
    if name == "SST-2-500":
        return TaskRequest(
            "files",
            data=_few_sentences(data / "sst2-sentence" / "train.tsv", work / f"{name}-{seed}.csv"),
            report_data=data / "sst2-sentence" / "test.tsv",
            seed=seed,
            search_size=FEW_SEARCH,
        )
    return TaskRequest(name, data=data / "glue" / name, seed=seed)


def _few_sentences(source: Path, destination: Path) -> Path:
    """A file of so few sentences that 500 are left to learn from."""
    lines = source.read_text(encoding="utf-8").split("\n")
    rows = [line.split("\t") for line in lines[1:] if line]
    chosen = random.Random(0).sample(rows, FEW + FEW_SEARCH)
    destination.parent.mkdir(parents=True, exist_ok=True)
    with destination.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([lines[0].split("\t"), *chosen])
    return destination


def arms_of(
    default: TrainingOptions,
    *,
    rates: Sequence[float],
    epochs: Sequence[float],
    shares: Sequence[float],
) -> Iterator[Arm]:
    """The default, and settings by hand around it.

    Args:
        default: What the rules say.
        rates: Factors of the learning rates of all stages.
        epochs: Factors of the epochs of all stages.
        shares: Of stage 1 in the epochs of stages 1 and 2.
    """
    yield Arm(DEFAULT, default)
    guess = replace(default, teacher_rates=())
    for rate in rates:
        for factor in epochs:
            scaled = {
                name: max(1, round(factor * getattr(default, name)))
                for name in ("teacher_epochs", "width_epochs", "depth_epochs")
            }
            options = replace(
                guess,
                teacher_learning_rate=rate * default.fine_tuning_rate,
                learning_rate=rate * default.learning_rate,
                **scaled,
            )
            yield Arm(f"rates x {rate:g}, epochs x {factor:g}", options)
    elastic = default.width_epochs + default.depth_epochs
    for share in shares:
        width = round(share * elastic)
        options = replace(guess, width_epochs=width, depth_epochs=elastic - width)
        yield Arm(f"stage 1 has {width} of {elastic} epochs", options)


def train_arm(
    arm: Arm, *, checkpoint: Checkpoint, task: Task, folder: Path, deadline_s: float
) -> None:
    """Train, score and keep the outcomes, or find them kept.

    Raises:
        OutOfTime: When the deadline passes first.
    """
    if (folder / "outcomes.json").exists():
        return

    def watch(state: TrainingProgress) -> None:
        if time.monotonic() > deadline_s:
            raise OutOfTime

    started = time.process_time()
    train_supernet(
        model=checkpoint.folder,
        task=task,
        folder=folder / "run",
        options=arm.options,
        progress=watch,
        tell=lambda sentence: print(f"{arm.name}: {sentence}", file=sys.stderr),
    )
    tokenizer = AutoTokenizer.from_pretrained(folder / "run" / "teacher")
    full, supernet = load_stored(folder / "run" / "teacher"), folder / "run" / "supernet"
    trained = Supernet.from_pretrained(supernet)
    found: dict[str, dict[str, Evaluation]] = {}
    for split in ("search", "report"):
        examples = encode(task.splits[split], tokenizer, max_length=task.max_length)
        found[split] = {FULL: evaluate(full, examples, task=task, split=split)}
        for config in trained.space.landmarks:
            if time.monotonic() > deadline_s:
                raise OutOfTime
            network = extract(trained.model, config)
            found[split][config.key] = evaluate(network, examples, task=task, split=split)
    write_json(
        folder / "arm.json",
        {
            "training": arm.options.to_dict(),
            "cpu_s_of_the_last_call": round(time.process_time() - started, 1),
            "stages": read_records(folder / "run" / "training.jsonl"),
        },
    )
    write_outcomes(folder / "outcomes.json", found)
    shutil.rmtree(folder / "run")


def resampled(outcomes: Mapping[str, Evaluation], weights: Any) -> dict[str, Any]:
    """The full model's score and the sub-networks' mean under weightings: (weightings,) each."""
    metric, labels = outcomes[FULL].metric, outcomes[FULL].labels
    rows = [entry.predictions for entry in outcomes.values()]
    scores = weighted_scores(metric, labels, rows, weights)
    names = list(outcomes)
    others = [names.index(name) for name in names if name != FULL]
    return {FULL: scores[:, names.index(FULL)], SUPERNET: scores[:, others].mean(1)}


def weightings(n: int, *, seed: int) -> Any:
    """All examples once, then the bootstrap's resamples: (1 + resamples, n)."""
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
    return np.concatenate([np.ones((1, n)), drawn]).astype(np.float64)


def interval(values: Any, n: int) -> Interval:
    """The first value with the percentile interval of the others."""
    low, high = np.quantile(values[1:], [0.025, 0.975])
    return Interval(float(values[0]), float(low), float(high), n, "examples")


def summary(done: Mapping[str, Path], *, seed: int) -> dict[str, Any]:
    """What the arms that are done say."""
    found = {name: read_outcomes(folder / "outcomes.json") for name, folder in done.items()}
    n = next(iter(found.values()))["report"][FULL].n
    weights = weightings(n, seed=seed)
    drawn = {name: resampled(splits["report"], weights) for name, splits in found.items()}
    ones = {name: np.ones((1, splits["search"][FULL].n)) for name, splits in found.items()}
    chosen_by = {
        name: float(resampled(splits["search"], ones[name])[SUPERNET][0])
        for name, splits in found.items()
    }
    record: dict[str, Any] = {
        "metric": next(iter(found.values()))["report"][FULL].metric,
        "arms": [
            {
                "arm": name,
                **{who: interval(drawn[name][who], n).to_dict() for who in (FULL, SUPERNET)},
                "search": round(chosen_by[name], 4),
            }
            for name in found
        ],
    }
    by_hand = {name: value for name, value in chosen_by.items() if name != DEFAULT}
    if DEFAULT in found and by_hand:
        best = max(by_hand, key=by_hand.__getitem__)
        lost = {who: drawn[best][who] - drawn[DEFAULT][who] for who in (FULL, SUPERNET)}
        record |= {
            "best_by_hand": best,
            "lost_by_the_default": {who: interval(lost[who], n).to_dict() for who in lost},
            "within_half_a_point": bool(lost[SUPERNET][0] <= HALF_A_POINT),
        }
    return record


def main() -> None:
    """Train arm after arm while there is time, and write what is known after each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sets", nargs="+", choices=DATA_SETS)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--work", type=Path, default=Path("runs/settings"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/settings"))
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rates", type=float, nargs="*", default=[1.0, 0.5, 2.0])
    parser.add_argument("--epochs", type=float, nargs="*", default=[1.0, 0.5, 2.0])
    parser.add_argument("--shares", type=float, nargs="*", default=[0.0, 0.6])
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    deadline_s = time.monotonic() + 60 * arguments.minutes
    checkpoint = find_checkpoint(arguments.model)
    for name in arguments.sets:
        request = request_of(name, arguments.data, arguments.work, seed=arguments.seed)
        task = load_task(request)
        scale = Scale.of(task.train, checkpoint.shape, max_length=task.max_length)
        default = resolved(
            {"seed": arguments.seed, "checkpoint_steps": CHECKPOINT_STEPS}, "auto", scale
        )
        arms = arms_of(
            default, rates=arguments.rates, epochs=arguments.epochs, shares=arguments.shares
        )
        done: dict[str, Path] = {}
        for arm in arms:
            place = arguments.work / f"{name}-{arguments.seed}" / arm.name.replace(" ", "_")
            try:
                train_arm(
                    arm, checkpoint=checkpoint, task=task, folder=place, deadline_s=deadline_s
                )
            except OutOfTime:
                print(f"{name}: out of time in the arm {arm.name!r}", file=sys.stderr)
                return
            done[arm.name] = place
            record = {
                "command": f"python {' '.join(sys.argv)}",
                "task": task.summary() | {"source": task.name},
                "default": default.to_dict(),
                "environment": Environment.capture().to_dict(),
                **summary(done, seed=arguments.seed),
            }
            write_json(arguments.out / f"{name}.json", record)
            print(name, record["arms"][-1])


if __name__ == "__main__":
    main()
