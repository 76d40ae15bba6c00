"""Does learning the shape of a retention configuration pay?

Arms, all from one fine-tuned teacher, for equally many steps at the same learning rates, and at
the same multiply-adds (within what whole percents allow):

- learnt: PoWER-BERT, whose soft search finds weights and configuration, re-trained;
- fixed: the library's own curve of the tokens multiplier (`dynabert.retention`);
- random: a random non-increasing configuration, another one for each seed;
- transferred: the learnt configuration, trained as the fixed one is.

All but the learnt one eliminate word-vectors from the first step on. They too are trained in two
stages, with the lengths and the schedules of search and re-training, so that at each step every
arm sees the same batch at the same learning rate. "transferred - fixed" is what the shape is
worth, "learnt - transferred" what the soft search's path is. A seed decides batch order, dropout
and the random arm's draw; the teacher is the same for all.

**How arms are compared.** On the report split, by accuracy. For one seed in pairs
(`tasks.comparison.compare`). For the mean over seeds, examples and seeds are both random: the
two-way analysis of variance of readers and cases (Dorfman, Berbaum & Metz 1992), seeds in the
place of readers, with the degrees of freedom of Hillis (2007). Student's t over the seeds alone,
for these examples, stands beside it; with three seeds both are wide.

    python benchmarks/retention_shape.py runs/retention-shape
    python benchmarks/retention_shape.py --analyse

The first trains what is missing, goes on where it was killed, and appends a line with every
example's outcome to `networks.jsonl` for each network; the second makes `result.json` and
`results.md` of these lines.
"""

import argparse
import base64
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel

from paretobert.encoders.checkpoints import find_checkpoint
from paretobert.encoders.extraction import extract
from paretobert.encoders.families import shape_of
from paretobert.errors import InputError
from paretobert.intervals import bracketed
from paretobert.networks.retention import Retention
from paretobert.networks.subnet import SubnetConfig
from paretobert.powerbert.configuration import Target
from paretobert.powerbert.options import PowerOptions
from paretobert.powerbert.training import read_retention, train_power
from paretobert.profiling.environment import Environment
from paretobert.search.candidate import score_record
from paretobert.storage import append_record, read_json, read_records, write_json, write_text
from paretobert.tasks.batches import Batch, encode
from paretobert.tasks.comparison import compare
from paretobert.tasks.evaluation import evaluate
from paretobert.tasks.loading import TaskRequest, load_task
from paretobert.tasks.scores import Evaluation, score_predictions
from paretobert.tasks.splits import subset
from paretobert.tasks.task import Task
from paretobert.training.classifier import load_classifier
from paretobert.training.distillation import prediction_loss
from paretobert.training.loop import Result, TrainingProgress, made, run_stage
from paretobert.training.precision import autocast, matmul_dtype

Arm = Literal["learnt", "fixed", "random", "transferred"]
CONTRASTS: tuple[tuple[Arm, Arm], ...] = (
    ("learnt", "fixed"),
    ("learnt", "random"),
    ("transferred", "fixed"),
    ("transferred", "random"),
    ("learnt", "transferred"),
    ("fixed", "random"),
)
TEACHER_RATE = 1e-4
DATA = Path("../../shared/data/glue")
NETWORKS = "networks.jsonl"
_BISECTIONS = 40


@dataclass(frozen=True, slots=True)
class Study:
    """One task of the study.

    Attributes:
        task: Its name, which is also its folder's below the data.
        start: The checkpoint of the teacher: `minilm`, or an earlier task whose teacher it is.
        teacher_epochs: Passes over the training split for the teacher.
        train_size: Random training examples that the arms learn from; None for all.
    """

    task: str
    start: str
    teacher_epochs: int
    train_size: int | None


STUDIES = (
    Study("QNLI", "minilm", teacher_epochs=1, train_size=2000),
    Study("RTE", "QNLI", teacher_epochs=2, train_size=1000),
)
"""In an order in which a teacher that another one starts from comes first."""

SEEDS = (0, 1, 2)
OPTIONS = PowerOptions(target_speedup=2, search_epochs=1, retrain_epochs=2, learning_rate=1e-4)


class Workplace:
    """One task's data, teacher and target, and the training of each arm."""

    def __init__(self, study: Study, root: Path, options: PowerOptions) -> None:
        """Read the data and fine-tune the teacher where that is missing."""
        self.study = study
        self.root = root / study.task
        self.whole = load_task(TaskRequest(study.task, data=DATA / study.task))
        self.task = _part(self.whole, study.train_size)
        self.device = torch.device("cpu")
        self.dtype = matmul_dtype(options.precision, self.device)
        start = root / study.start / "teacher"
        checkpoint = find_checkpoint(study.start).folder if study.start == "minilm" else start
        self.teacher = made(self.root / "teacher", lambda: self._fine_tuned(checkpoint, options))
        self.tokenizer = AutoTokenizer.from_pretrained(self.teacher)
        lengths = encode(self.task.train, self.tokenizer, max_length=self.task.max_length).lengths
        self.shape = shape_of(self._model(self.teacher).config)
        self.target = Target.of(options, self.shape, lengths)

    def about(self) -> dict[str, Any]:
        """What the analysis needs of the task: the labels, once, and sizes."""
        return {
            "name": self.task.name,
            "labels": _packed([label == 1 for label in self.task.report.labels]),
            "train": len(self.task.train),
            "report": len(self.task.report),
            "teacher_train": len(self.whole.train),
        }

    def teacher_outcome(self) -> dict[str, Any]:
        """The teacher's score, for scale."""
        found = self.scored(self._model(self.teacher))
        return {"retention": None, "relative_cost": 1.0, **outcome_record(found)}

    def outcome(self, arm: Arm, options: PowerOptions) -> dict[str, Any]:
        """An arm's network with a seed: configuration, cost and score."""
        model, retention = self.network(arm, options)
        return {
            "retention": retention.to_dict(),
            "relative_cost": self.target.costs.of(retention),
            **outcome_record(self.scored(model)),
        }

    def network(self, arm: Arm, options: PowerOptions) -> tuple[PreTrainedModel, Retention]:
        """Train an arm's network with a seed, or find it trained."""
        folder = self.root / f"seed{options.seed}" / arm
        searched = folder.parent / "learnt"
        if arm == "learnt":
            train_power(
                teacher=self.teacher,
                task=self.task,
                folder=folder,
                options=options,
                progress=_say,
            )
            retention = read_retention(folder)
        else:
            retention = {
                "fixed": lambda: fixed_curve(self.target),
                "random": lambda: random_configuration(self.target, seed=options.seed),
                "transferred": lambda: read_retention(searched),
            }[arm]()
            made(folder / "network", lambda: self._trained(folder, retention, options))
        return self._model(folder / "network"), retention

    def scored(self, model: PreTrainedModel) -> Evaluation:
        """Score a network on the report split."""
        encoded = encode(self.task.report, self.tokenizer, max_length=self.task.max_length)
        return evaluate(model, encoded, task=self.task, split="report")

    def _fine_tuned(self, checkpoint: Path, options: PowerOptions) -> Result:
        model = load_classifier(checkpoint, self.whole, seed=0, fine_tuned=False)
        tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        pace = replace(options, seed=0, warmup_share=0.0, learning_rate=TEACHER_RATE)
        self._stage(
            "teacher", model, tokenizer, self.whole, self.study.teacher_epochs, self.root, pace
        )
        return model, tokenizer

    def _trained(self, folder: Path, retention: Retention, options: PowerOptions) -> Result:
        full = self._model(self.teacher)
        config = replace(SubnetConfig.full(self.shape), tokens=retention)

        def first() -> Result:
            network = extract(full, config)
            epochs = options.search_epochs
            self._stage("first", network, self.tokenizer, self.task, epochs, folder, options)
            return network, self.tokenizer

        network = self._model(made(folder / "first", first))
        epochs = options.retrain_epochs
        self._stage("second", network, self.tokenizer, self.task, epochs, folder, options)
        return network, self.tokenizer

    def _stage(
        self,
        stage: str,
        model: PreTrainedModel,
        tokenizer: Any,
        task: Task,
        epochs: int,
        folder: Path,
        options: PowerOptions,
    ) -> None:
        def gradients(batch: Batch, step: int) -> float:
            inputs = {name: entry for name, entry in batch.items() if name != "labels"}
            with autocast(self.device, self.dtype):
                logits: Tensor = model(**inputs).logits
            loss = prediction_loss(logits, batch["labels"], head=task.head)
            loss.backward()
            return loss.item()

        run_stage(
            stage,
            model,
            encode(task.train, tokenizer, max_length=task.max_length),
            gradients,
            epochs=epochs,
            pace=options,
            device=self.device,
            dtype=self.dtype,
            state_file=folder / f"{stage}.safetensors",
            log=folder / "training.jsonl",
            progress=_say,
        )

    def _model(self, folder: Path) -> PreTrainedModel:
        model: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(folder)
        return model.eval()


def fixed_curve(target: Target) -> Retention:
    """The tokens multiplier's curve, as much of it as the target allows."""
    layers = target.costs.shape.num_layers
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if target.costs.of(Retention.from_multiplier(layers, middle)) <= target.cost:
            low = middle
        else:
            high = middle
    return Retention.from_multiplier(layers, low)


def random_configuration(target: Target, *, seed: int) -> Retention:
    """Sorted uniform draws, scaled to the target as learnt masses are."""
    generator = Random(f"{seed}/configuration")
    costs = target.costs
    draws = [generator.uniform(0, costs.longest) for _ in range(costs.shape.num_layers)]
    return target.read_off(sorted(draws, reverse=True))


def outcome_record(found: Evaluation) -> dict[str, Any]:
    """A score with each example's correctness, eight to a byte."""
    return {"value": found.value, "n": found.n, "correct": _packed(found.correct)}


def restored(record: dict[str, Any], about: dict[str, Any]) -> Evaluation:
    """The evaluation of a network of a task with two classes, from what was kept of it."""
    correct = _unpacked(record["correct"], record["n"])
    labels = _unpacked(about["labels"], record["n"])
    return score_predictions(
        task=about["name"],
        split="report",
        metrics=["accuracy"],
        labels=tuple(map(int, labels)),
        predictions=tuple(int(label == hit) for label, hit in zip(labels, correct, strict=True)),
    )


def mean_difference(differences: NDArray[np.float64]) -> dict[str, float]:
    """The mean of paired differences with a 95 % interval over seeds and examples.

    Both are random and crossed. With S seeds, n examples and the mean squares of seeds, examples
    and what is left, the squared standard error is M / (S n), M = max(MS_s, MS_r) +
    max(MS_e - MS_r, 0), and the degrees of freedom are (S - 1) M^2 / MS_s^2 (Hillis 2007). Ours is
    the first maximum: no seed's component of variance is negative either, and three seeds that
    happen to agree would otherwise make the interval narrower than one over examples alone.

    Args:
        differences: Of each seed's two networks on each example, [S, n].

    Returns:
        The mean as `value`, `low` and `high` of this interval with `standard_error` and
        `degrees_of_freedom`, and `low_over_seeds` and `high_over_seeds` of Student's t.
    """
    num_seeds, n = differences.shape
    mean = differences.mean()
    seeds, examples = differences.mean(axis=1), differences.mean(axis=0)
    of_seeds = n * seeds.var(ddof=1)
    of_examples = num_seeds * examples.var(ddof=1)
    left = differences - seeds[:, None] - examples + mean
    of_rest = (left**2).sum() / ((num_seeds - 1) * (n - 1))
    square = max(of_seeds, of_rest) + max(of_examples - of_rest, 0.0)
    error = float(np.sqrt(square / (num_seeds * n)))
    freedom = float((num_seeds - 1) * (square / of_seeds) ** 2) if of_seeds else np.inf
    half = float(stats.t.ppf(0.975, freedom)) * error
    spread = float(seeds.std(ddof=1) / np.sqrt(num_seeds) * stats.t.ppf(0.975, num_seeds - 1))
    value = float(mean)
    return {
        "value": value,
        "low": value - half,
        "high": value + half,
        "low_over_seeds": value - spread,
        "high_over_seeds": value + spread,
        "standard_error": error,
        "degrees_of_freedom": min(freedom, 1e6),
    }


def train(root: Path, out: Path) -> None:
    """Train and score what is missing: every seed of every task, then the transferred arm.

    Raises:
        InputError: When `out` holds the outcomes of other settings.
    """
    environment = Environment.capture().to_dict()
    places = {study.task: Workplace(study, root, OPTIONS) for study in STUDIES}
    asked = {
        "studies": [asdict(study) for study in STUDIES],
        "seeds": list(SEEDS),
        "options": OPTIONS.to_dict(),
        "teacher_learning_rate": TEACHER_RATE,
        "tasks": {name: place.about() for name, place in places.items()},
    }
    about = out / "study.json"
    if not about.exists():
        command = " ".join(("python benchmarks/retention_shape.py", *sys.argv[1:]))
        write_json(about, {"command": command, **asked, "environment": environment})
    known = read_json(about)
    known["options"].pop("checkpoint_steps", None)
    if any(known[name] != asked[name] for name in asked):
        raise InputError(f"{about} is of a study with other settings: give another --out.")
    for name, place in places.items():
        _keep(out, {"task": name, "seed": None, "arm": "teacher"}, place.teacher_outcome)
    for arms in (("learnt", "fixed", "random"), ("transferred",)):
        for seed in SEEDS:
            for name, place in places.items():
                for arm in arms:
                    _keep(
                        out,
                        {"task": name, "seed": seed, "arm": arm},
                        partial(place.outcome, arm, replace(OPTIONS, seed=seed)),
                    )


def _keep(out: Path, name: dict[str, Any], make: Callable[[], dict[str, Any]]) -> None:
    """Append a network's outcome unless it is there."""
    records = read_records(out / NETWORKS)
    if not any(name.items() <= record.items() for record in records):
        append_record(out / NETWORKS, {**name, **make()})


def analyse(out: Path) -> dict[str, Any]:
    """What the outcomes so far say."""
    study = read_json(out / "study.json")
    networks: dict[str, dict[tuple[int | None, str], Evaluation]] = {}
    rows = []
    for record in read_records(out / NETWORKS):
        task, seed, arm = record["task"], record["seed"], record["arm"]
        found = restored(record, study["tasks"][task])
        networks.setdefault(task, {})[seed, arm] = found
        row = {name: value for name, value in record.items() if name != "correct"}
        rows.append(row | {"accuracy": score_record(found)})
    contrasts = []
    for task, found in networks.items():
        for first, second in CONTRASTS:
            seeds = [s for s in study["seeds"] if {(s, first), (s, second)} <= found.keys()]
            pairs = [(found[seed, first], found[seed, second]) for seed in seeds]
            if pairs:
                contrasts.append(
                    {
                        "task": task,
                        "arms": [first, second],
                        "mean": _mean_difference_of(pairs),
                        "seeds": [
                            {"seed": seed, **compare(*pair).to_dict()}
                            for seed, pair in zip(seeds, pairs, strict=True)
                        ],
                    }
                )
    return {**study, "networks": rows, "contrasts": contrasts}


def _mean_difference_of(
    pairs: Sequence[tuple[Evaluation, Evaluation]],
) -> dict[str, float] | None:
    """None for a single seed, which says nothing of others."""
    if len(pairs) < 2:
        return None
    hits = np.array([[a.correct, b.correct] for a, b in pairs], dtype=np.float64)
    return mean_difference(hits[:, 0] - hits[:, 1])


def results_table(result: dict[str, Any]) -> str:
    """The analysis for a reader."""
    options = result["options"]
    steps = f"{options['search_epochs']} + {options['retrain_epochs']} epochs"
    environment = Environment.from_dict(result["environment"])
    lines = [
        "# Does learning the shape of a retention configuration pay?",
        "",
        f"`{result['command']}`, of which `--analyse` makes this page; {environment.title}. Every "
        f"arm: {steps} at "
        f"{options['learning_rate']:g}, batch {options['batch_size']}, speed-up "
        f"{options['target_speedup']:g} in multiply-adds, percent form, from one teacher.",
    ]
    for study in result["studies"]:
        about = result["tasks"][study["task"]]
        lines += [
            "",
            f"**{study['task']}**: {about['train']} training examples, report split of "
            f"{about['report']}. Teacher: from {study['start']}, on {about['teacher_train']} "
            f"examples, epochs: {study['teacher_epochs']}, at "
            f"{result['teacher_learning_rate']:g}.",
            "",
            "| arm | seed | configuration | multiply-adds | accuracy, report |",
            "|---|---|---|---|---|",
        ]
        for row in result["networks"]:
            if row["task"] == study["task"]:
                shape = ".".join(map(str, row["retention"]["amounts"])) if row["retention"] else ""
                seed = "" if row["seed"] is None else row["seed"]
                lines.append(
                    f"| {row['arm']} | {seed} | {shape} | {row['relative_cost']:.3f} | "
                    f"{_interval(row['accuracy'])} |"
                )
        lines += [
            "",
            "| difference | seeds | mean | t over seeds | by seed | the first is |",
            "|---|---|---|---|---|---|",
        ]
        for contrast in result["contrasts"]:
            if contrast["task"] == study["task"]:
                lines.append(_contrast_row(contrast))
    lines += [
        "",
        "Mean: 95 % interval over seeds and examples, both random and crossed (analysis of "
        "variance of readers and cases, Hillis's degrees of freedom). t over seeds: 95 %, for "
        "these examples. By seed: 95 % over examples. The last column judges by the mean's "
        "interval, or by the only seed's.",
    ]
    return "\n".join(lines) + "\n"


def _contrast_row(contrast: dict[str, Any]) -> str:
    mean, by_seed = contrast["mean"], contrast["seeds"]
    overall = mean or by_seed[0]
    verdict = "not distinguishable"
    if not overall["low"] <= 0 <= overall["high"]:
        verdict = "better" if overall["low"] > 0 else "worse"
    over_seeds = ""
    if mean is not None:
        over_seeds = f"[{mean['low_over_seeds']:+.3f}, {mean['high_over_seeds']:+.3f}]"
    cells = (
        " - ".join(contrast["arms"]),
        str(len(by_seed)),
        _interval(overall, "+.3f"),
        over_seeds,
        "; ".join(_interval(one, "+.3f") for one in by_seed),
        verdict,
    )
    return f"| {' | '.join(cells)} |"


def _interval(record: dict[str, float], show: str = ".3f") -> str:
    return bracketed(record["value"], record["low"], record["high"], show=show)


def main() -> None:
    """Train what is missing, or analyse what is there."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("work", type=Path, nargs="?", help="folder of the trained networks")
    parser.add_argument("--analyse", action="store_true", help="only write result and table")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/retention_shape"))
    arguments = parser.parse_args()
    if not arguments.analyse:
        if arguments.work is None:
            parser.error("give the folder of the trained networks, or --analyse")
        torch.set_num_threads(1)
        train(arguments.work, arguments.out)
    result = analyse(arguments.out)
    write_json(arguments.out / "result.json", result)
    write_text(arguments.out / "results.md", results_table(result))


def _part(task: Task, size: int | None) -> Task:
    """The task with a random part of its training split."""
    if size is None:
        return task
    chosen = sorted(np.random.default_rng(0).permutation(len(task.train))[:size].tolist())
    return replace(task, train=subset(task.train, chosen))


def _say(progress: TrainingProgress) -> None:
    if progress.step % 20 == 0:
        print(
            f"{time.strftime('%H:%M:%S')} {progress.stage} {progress.step}/"
            f"{progress.total_steps}, loss {progress.loss:.3f}, "
            f"{progress.examples_per_s:.1f} examples/s",
            file=sys.stderr,
            flush=True,
        )


def _packed(bits: Sequence[bool]) -> str:
    return base64.b64encode(np.packbits(np.array(bits, dtype=bool)).tobytes()).decode()


def _unpacked(text: str, n: int) -> list[bool]:
    packed = np.frombuffer(base64.b64decode(text), dtype=np.uint8)
    return np.unpackbits(packed, count=n).astype(bool).tolist()


if __name__ == "__main__":
    main()
