"""Every method's network of a target cost, and the run's own sub-networks, in pairs on `report`.

    paretobert train runs/docs --model minilm --task stdlib-docs --recipe sandwich \
        --teacher-epochs 6 --width-epochs 2 --depth-epochs 3 --learning-rate 3e-4
    python benchmarks/baselines.py runs/docs --speedups 4 8 --steps 400 --learning-rate 3e-4 \
        --out benchmarks/baselines/stdlib-docs.json

A target is how many times fewer multiply-adds the encoder has over the training texts. Methods
that train take the same number of steps of the same batch size at the same peak rate; a row says
what else differs from its neighbours. `alone` and `finished` take the sub-network that is best on
`search` among those whose cost is within a twentieth of the nearest one's. Each network is
compared with the full model and with the one that is trained alone, on the same examples.

`bort` takes part where `--extraction` names a folder of `paretobert ose` over the same run: its
best W at each target. A third of its steps are pre-training at the published rate; `picked` is the
same network without pre-training, all steps on the task.

Networks lie in `--work`, one folder each: a killed call goes on where it was, and the result is
written again after each network. Steps of the supernet are its own run's, which all of its
sub-networks share.
"""

import argparse
import math
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from outcomes import pack_split
from transformers import AutoConfig, AutoTokenizer, PreTrainedModel

from paretobert.baselines.methods import METHODS
from paretobert.encoders.extraction import architecture_of
from paretobert.networks.network import Network, identifier, stored_identity
from paretobert.networks.subnet import SubnetConfig
from paretobert.pipeline.run import Run
from paretobert.profiling.environment import Environment
from paretobert.profiling.workload import Workload
from paretobert.search.candidate import score_record
from paretobert.storage import read_records, write_json
from paretobert.tasks.batches import encode
from paretobert.tasks.comparison import compare
from paretobert.tasks.evaluation import evaluate
from paretobert.tasks.scores import Evaluation
from paretobert.training.classifier import load_stored
from paretobert.training.loop import TrainingProgress
from paretobert.training.method import Known, Making
from paretobert.training.pace import steps_per_epoch

NEAR = 0.05
"""Relative difference of costs that count as equal."""

TAUGHT = "the full model's logits and the states of the kept layers"


@dataclass(frozen=True, slots=True)
class About:
    """What differs between the methods beside the name.

    Attributes:
        start: Whose weights a network starts with.
        taught_by: What it learns from.
        labels: Whether it learns from labels.
        chosen_by: What decides which units stay.
    """

    start: str
    taught_by: str
    labels: bool
    chosen_by: str


PRETRAINING_SHARE = 1 / 3
"""Of `bort`'s steps."""

ABOUT = {
    "alone": About(
        "full model", TAUGHT, False, "importance; shape best on search in the supernet"
    ),
    "finished": About("supernet", TAUGHT, False, "importance; shape best on search"),
    "cofi": About("full model", "its logits and states of four layers", False, "gates that learn"),
    "first-layers": About("full model", "its logits", False, "the first layers"),
    "student": About("full model", "its logits", False, "every so many layers"),
    "layerdrop": About("pre-trained checkpoint", "nothing else", True, "every so many layers"),
    "powerbert": About("full model", "nothing else", True, "retention that is learnt"),
    "pruned": About("full model", "nothing", False, "importance, over all layers"),
    "repaired": About(
        "full model", "its states, in closed form", False, "losses after repair, over all layers"
    ),
    "picked": About("what the run gives", TAUGHT, False, "OSE: best W near the target"),
    "bort": About(
        "what the run gives",
        f"the checkpoint at masked positions, then {TAUGHT}",
        False,
        "OSE: best W near the target",
    ),
}
"""In the order in which they are made; `alone` is what the others are compared with."""

OF_EXTRACTION = ("picked", "bort")
"""Two ways to train what an extraction picks, by one method."""


class Comparison:
    """One run, and where the networks that are made of it lie."""

    def __init__(
        self,
        run: Run,
        work: Path,
        *,
        steps: int,
        learning_rate: float,
        extraction: Path | None,
    ) -> None:
        """Read the run and its splits."""
        self.extraction = extraction
        self.run, self.work, self.task = run, work, run.task
        self.steps, self.learning_rate = steps, learning_rate
        self.context = run.context
        tokenizer = AutoTokenizer.from_pretrained(run.folder.teacher)
        self.encoded = {
            split: encode(self.task.splits[split], tokenizer, max_length=self.task.max_length)
            for split in ("train", "search", "report")
        }
        self.networks = {n.id: n for n in self.context.subnets().values()}
        self.workload = Workload.of(self.context.shape, self.encoded["train"].lengths)

    def score(self, model: PreTrainedModel, split: str = "report") -> Evaluation:
        """Score a dense network."""
        return evaluate(model.eval(), self.encoded[split], task=self.task, split=split)

    def best_near(self, speedup: float) -> Network:
        """The sub-network that is best on search among those of the cost nearest to a target."""

        def distance(network: Network) -> float:
            assert network.config is not None
            return abs(math.log(self.speedup(network.config) / speedup))

        cut = [network for network in self.networks.values() if not network.is_full]
        near = min(map(distance, cut)) + math.log1p(NEAR)
        return max(
            (network for network in cut if distance(network) <= near),
            key=lambda network: self.score(self.context.workshop.build(network), "search").value,
        )

    def speedup(self, config: SubnetConfig) -> float:
        """How many times fewer multiply-adds a sub-network has."""
        return self.workload.speedup(self.context.shape, config)

    def options(self, method: str, speedup: float) -> Any:
        """What a method is asked."""
        common = {"learning_rate": self.learning_rate, "seed": self.run.request.training.seed}
        asked: dict[str, Any] = {"target_speedup": speedup}
        if method in ("alone", "finished"):
            asked = {"network": self.best_near(speedup).id}
        if method in OF_EXTRACTION:
            asked["extraction"] = str(self.extraction)
            pretraining = round(PRETRAINING_SHARE * self.steps) if method == "bort" else 0
            return METHODS["bort"].options(
                **asked, **common, steps=self.steps - pretraining, pretraining_steps=pretraining
            )
        if method == "pruned":
            return METHODS[method].options(**asked)
        if method == "repaired":
            return METHODS[method].options(**asked, seed=common["seed"])
        if method == "powerbert":
            batch = METHODS[method].options().batch_size
            epochs = max(
                2, round(self.steps / steps_per_epoch(len(self.task.train), batch_size=batch))
            )
            search = max(1, round(0.4 * epochs))
            return METHODS[method].options(
                **asked, **common, search_epochs=search, retrain_epochs=epochs - search
            )
        return METHODS[method].options(**asked, **common, steps=self.steps)

    def made(self, method: str, speedup: float) -> tuple[dict[str, Any], Evaluation]:
        """A method's network, made unless it is there: its row, and its outcomes on report."""
        entry = METHODS["bort" if method in OF_EXTRACTION else method]
        known = Known(
            self.context.shape,
            self.networks,
            lengths=lambda: self.encoded["train"].lengths,
        )
        options = entry.resolve(self.options(method, speedup), known)
        asked = dict(options.to_dict())
        folder = self.work / identifier(stored_identity(entry.name, asked))
        making = Making(
            teacher=self.run.folder.teacher,
            cut=lambda config: self.context.workshop.build(self.context.cut(config)),
            task=self.task,
            folder=folder,
            progress=_said(method, speedup),
            unlabelled=self.context.unlabelled,
            variants=self.context.variants,
            checkpoint=lambda: self.context.checkpoint,
        )
        entry.make(making, options)
        shape, config = architecture_of(AutoConfig.from_pretrained(making.network))
        about, stages = ABOUT[method], read_records(folder / "training.jsonl")
        return {
            "method": method,
            "label": options.label,
            "target_speedup": speedup,
            "speedup_macs": round(self.workload.speedup(shape, config), 3),
            "key": asked.get("network") or config.key,
            "steps": sum(stage.get("steps", 0) for stage in stages),
            "seconds": sum(stage["seconds"] for stage in stages),
            "learning_rate": asked.get("learning_rate"),
            "start": about.start,
            "taught_by": about.taught_by,
            "labels": about.labels,
            "chosen_by": about.chosen_by,
            "asked": asked,
        }, self.score(load_stored(making.network))

    def inherited(self) -> Iterable[tuple[dict[str, Any], Evaluation]]:
        """The supernet's own sub-networks, as they are cut."""
        for network in self.networks.values():
            config = network.config
            assert config is not None
            yield (
                {
                    "method": "supernet",
                    "label": network.label,
                    "speedup_macs": round(self.speedup(config), 3),
                    "key": config.key,
                },
                self.score(self.context.workshop.build(network)),
            )


def _said(method: str, speedup: float) -> Callable[[TrainingProgress], None]:
    def say(state: TrainingProgress) -> None:
        if state.step % 50 == 0 or state.step == state.total_steps:
            place = f"{state.stage} {state.step} of {state.total_steps}, loss {state.loss:.3f}"
            print(f"{method} {speedup:g}x: {place}", file=sys.stderr)

    return say


def main() -> None:
    """Make every network, score it and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path, help="a run folder with a trained supernet")
    parser.add_argument("--speedups", type=float, nargs="+", default=(4.0, 8.0))
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument(
        "--learning-rate", type=float, help="the fine-tuning's where none is given"
    )
    parser.add_argument("--methods", nargs="+", choices=tuple(ABOUT), default=tuple(ABOUT))
    parser.add_argument(
        "--extraction", type=Path, help="a folder of paretobert ose over the run, for bort"
    )
    parser.add_argument("--work", type=Path, help="where networks are made; RUN-baselines")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    environment, run = Environment.capture(), Run.open(arguments.run)
    rate = arguments.learning_rate or run.fine_tuning_rate
    work = arguments.work or arguments.run.with_name(f"{arguments.run.name}-baselines")
    comparison = Comparison(
        run,
        work,
        steps=arguments.steps,
        learning_rate=rate,
        extraction=arguments.extraction,
    )
    left_out = OF_EXTRACTION if arguments.extraction is None else ()
    methods = [each for each in ABOUT if each in arguments.methods and each not in left_out]
    found = list(comparison.inherited())
    scores = {f"supernet {row['key']}": entry for row, entry in found}
    full = scores[f"supernet {SubnetConfig.full(comparison.context.shape).key}"]
    rows = [
        row | {"report": score_record(entry), "against_full": compare(entry, full).to_dict()}
        for row, entry in found
    ]
    for speedup in arguments.speedups:
        alone = None
        for method in ("alone", *(each for each in methods if each != "alone")):
            row, entry = comparison.made(method, speedup)
            alone = entry if alone is None else alone
            scores[f"{method} {speedup:g}x"] = entry
            rows.append(
                row
                | {
                    "report": score_record(entry),
                    "against_full": compare(entry, full).to_dict(),
                    "against_alone": compare(entry, alone).to_dict(),
                }
            )
            print(method, row["speedup_macs"], row["steps"], round(entry.value, 4))
            write_json(
                arguments.out,
                {
                    "command": f"python {' '.join(sys.argv)}",
                    "task": run.task.summary(),
                    "training": run.request.training.to_dict(),
                    "stages": read_records(run.folder.root / "training.jsonl"),
                    "environment": environment.to_dict(),
                    "networks": rows,
                    "outcomes": pack_split(scores),
                },
            )


if __name__ == "__main__":
    main()
