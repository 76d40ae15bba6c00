"""Make the twelve sub-networks with a recipe of ours and by naive steps: what is reached, when?

Both start from one fine-tuned model. The naive step trains all sub-networks, for an epoch of each
stage. A recipe that trains sees the same batches and learning rates, with those of its
sub-networks, for as many epochs as are asked for; without stage 1 all learn from the full model.
`supernet_step.py` says how the steps differ (but for the optimizer, fused here in both). The
recipe closed-form repairs each of the twelve by itself, with weights of its own. Along stage 2 all
twelve are scored on the search split: the processor time of making them until their mean accuracy
first reaches some values is compared, scoring left out. At the end each is scored on the report
split and compared in pairs.

    paretobert train runs/demo --model minilm --task stdlib-docs ...
    python benchmarks/supernet_accuracy.py runs/demo --out FILE
    python benchmarks/supernet_accuracy.py runs/sst2s --recipe sandwich --width-epochs 0 \
        --depth-epochs 2 --out FILE
    python benchmarks/supernet_accuracy.py runs/sst2s --recipe closed-form --out FILE
"""

import argparse
import copy
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from collect import command
from supernet_step import PADDED_LENGTH, elastic, naive_gradients, padded_to
from torch import nn
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from paretobert.dynabert.gradients import distillation_gradients
from paretobert.dynabert.importance import importance
from paretobert.dynabert.learners import same_width_teacher, step_configs
from paretobert.dynabert.options import RECIPES, Recipe, TrainingOptions
from paretobert.dynabert.reconstruction import collect, repair
from paretobert.dynabert.removal import removals
from paretobert.dynabert.repairs import RepairOptions, repair_texts
from paretobert.dynabert.rewiring import rewire
from paretobert.dynabert.supernet import Supernet
from paretobert.encoders.extraction import extract
from paretobert.encoders.families import shape_of
from paretobert.networks.space import Space
from paretobert.networks.subnet import SubnetConfig
from paretobert.pipeline.run import Run
from paretobert.profiling.environment import Environment
from paretobert.storage import write_json
from paretobert.tasks.batches import (
    Batch,
    EncodedSplit,
    encode,
    evaluation_batches,
    padded,
    training_batches,
)
from paretobert.tasks.comparison import compare
from paretobert.tasks.evaluation import evaluate
from paretobert.tasks.heads import CLASSIFICATION
from paretobert.tasks.scores import Evaluation
from paretobert.tasks.task import Task
from paretobert.training.distillation import DEPTH_STAGE, WIDTH_STAGE, LossWeights
from paretobert.training.loop import linear_decay
from paretobert.training.precision import matmul_dtype

BATCH_SIZE = 32
SCORINGS = 8


@dataclass(slots=True)
class Clock:
    """The time of training alone.

    Attributes:
        cpu_s: Processor time of all threads.
        wall_s: Wall time.
    """

    cpu_s: float = 0.0
    wall_s: float = 0.0

    @property
    def seconds(self) -> dict[str, float]:
        """Both, as they are written."""
        return {"cpu_s": round(self.cpu_s, 1), "wall_s": round(self.wall_s, 1)}

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count what the block takes."""
        cpu, wall = time.process_time(), time.perf_counter()
        yield
        self.cpu_s += time.process_time() - cpu
        self.wall_s += time.perf_counter() - wall


def train_stage(
    supernet: Supernet,
    encoded: EncodedSplit,
    gradients: Callable[[Batch, int], object],
    *,
    rate: float,
    epochs: int,
    clock: Clock,
    after_step: Callable[[int, int], None],
) -> None:
    """Some epochs of steps; `after_step` is given the steps done and all of them."""
    supernet.model.train()
    optimizer = torch.optim.AdamW(
        supernet.model.parameters(), lr=rate, weight_decay=0.01, fused=True
    )
    batches = [
        batch
        for epoch in range(epochs)
        for batch in training_batches(encoded, batch_size=BATCH_SIZE, seed=0, epoch=epoch)
    ]
    for step, indices in enumerate(batches):
        with clock.running():
            optimizer.zero_grad(set_to_none=False)
            gradients(padded(encoded, indices), step)
            nn.utils.clip_grad_norm_(supernet.model.parameters(), 1.0)
            for group in optimizer.param_groups:
                group["lr"] = rate * linear_decay(step, len(batches), warmup_share=0.0)
            optimizer.step()
        after_step(step + 1, len(batches))


def trained(
    rewired: PreTrainedModel,
    teacher: PreTrainedModel,
    encoded: EncodedSplit,
    *,
    recipe: Recipe | None,
    epochs: Mapping[str, int],
    rate: float,
    score: Callable[[Supernet], float],
) -> tuple[Supernet, list[dict[str, float]]]:
    """Stage 1, then stage 2, by a recipe of ours or, without one, naively.

    Args:
        rewired: What both start from.
        teacher: The full model.
        encoded: What is learnt from.
        recipe: Which sub-networks learn in a step; None for all, naively.
        epochs: Of each stage, by its name.
        rate: The learning rate, which decays to 0 in each stage.
        score: The mean accuracy of a supernet.

    Returns:
        The supernet and, for each time that it was scored, steps, times and the mean accuracy.
    """
    torch.manual_seed(0)
    naive = recipe is None
    supernet = elastic(copy.deepcopy(rewired), naive=naive)
    fixed = elastic(copy.deepcopy(teacher).eval(), naive=naive)
    dtype = matmul_dtype("auto", torch.device("cpu"))
    options = TrainingOptions(recipe=recipe or "paper", width_epochs=epochs["width"])
    full = SubnetConfig.full(supernet.shape)
    clock, curve = Clock(), []
    for stage, space, weights in (
        ("width", supernet.space.at_full_depth(), WIDTH_STAGE),
        ("depth", supernet.space, DEPTH_STAGE),
    ):

        def gradients(
            batch: Batch,
            step: int,
            fixed: Supernet = fixed,
            stage: str = stage,
            space: Space = space,
            weights: LossWeights = weights,
        ) -> None:
            same_width = stage == "depth" and options.same_width_teachers
            configs = {
                c: same_width_teacher(c, supernet.shape) if same_width else full
                for c in step_configs(space, options=options, stage=stage, step=step)
            }
            if naive:
                long = padded_to(batch, PADDED_LENGTH)
                naive_gradients(supernet, fixed, long, configs, weights)
            else:
                distillation_gradients(
                    supernet,
                    fixed,
                    batch,
                    configs,
                    weights=weights,
                    head=CLASSIFICATION,
                    dtype=dtype,
                )

        def after_step(done: int, total: int, stage: str = stage) -> None:
            marks = {-(-total * part // SCORINGS) for part in range(1, SCORINGS + 1)}
            if stage == "depth" and done in marks:
                curve.append(
                    {"step": done, **clock.seconds, "mean_accuracy": round(score(supernet), 4)}
                )
                supernet.model.train()
                print(curve[-1], flush=True)

        train_stage(
            supernet,
            encoded,
            gradients,
            rate=rate,
            epochs=epochs[stage],
            clock=clock,
            after_step=after_step,
        )
        fixed = elastic(copy.deepcopy(supernet.model).eval(), naive=naive)
    return supernet, curve


def repaired(
    teacher: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    task: Task,
    *,
    score: Callable[[PreTrainedModel, str], Evaluation],
) -> tuple[list[Evaluation], list[dict[str, float]]]:
    """The twelve, each repaired in closed form by itself.

    Args:
        teacher: The full model.
        tokenizer: Its tokenizer.
        task: Its training texts are repaired with.
        score: Scores a network on a split.

    Returns:
        Their scores on the report split, and times and mean accuracy on search when all are made.
    """
    clock, options = Clock(), RepairOptions()
    found: dict[str, list[Evaluation]] = {"search": [], "report": []}
    with clock.running():
        model = copy.deepcopy(teacher).eval()
        texts = repair_texts(task.train, tokenizer, options, max_length=PADDED_LENGTH)
        reference = collect(model, texts, seed=options.seed)
        rewire(model, removals(model, reference).importance)
    for config in TrainingOptions().space_of(shape_of(model.config)).landmarks:
        with clock.running():
            network = repair(model, config, reference).model
        for split, scores in found.items():
            scores.append(score(network, split))
    mean = round(statistics.mean(entry.value for entry in found["search"]), 4)
    return found["report"], [{"step": 0, **clock.seconds, "mean_accuracy": mean}]


def times_to_reach(curves: Mapping[str, list[dict[str, float]]]) -> list[dict[str, float]]:
    """The processor time of both until a mean accuracy, for those that the naive one ends with.

    The values are the naive step's last one and those .005, .01 and .02 below it; one that our
    step never reaches has no ratio.
    """
    last = curves["naive"][-1]["mean_accuracy"]
    rows = []
    for below in (0.0, 0.005, 0.01, 0.02):
        row = {"mean_accuracy": round(last - below, 4)}
        for kind, curve in curves.items():
            reached = [p["cpu_s"] for p in curve if p["mean_accuracy"] >= last - below]
            row |= {f"{kind}_cpu_s": reached[0]} if reached else {}
        if "ours_cpu_s" in row:
            row["ratio"] = round(row["naive_cpu_s"] / row["ours_cpu_s"], 2)
        rows.append(row)
    return rows


def scored(supernet: Supernet, split: EncodedSplit, name: str, task: Task) -> list[Evaluation]:
    """Every landmark on a split, extracted."""
    return [
        evaluate(extract(supernet.model, config), split, task=task, split=name)
        for config in supernet.space.landmarks
    ]


def main() -> None:
    """Train both ways, score and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path, help="a run folder with a fine-tuned teacher")
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--recipe", choices=RECIPES, default="paper")
    parser.add_argument("--width-epochs", type=int, default=1, help="of our stage 1")
    parser.add_argument("--depth-epochs", type=int, default=1, help="of our stage 2")
    parser.add_argument("--examples", type=int, help="of the training split, instead of all")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    environment = Environment.capture()
    task, folder = Run.open(arguments.run).task, arguments.run / "teacher"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    train, search, report = (
        encode(split, tokenizer, max_length=PADDED_LENGTH)
        for split in (task.train, task.search, task.report)
    )
    teacher = AutoModelForSequenceClassification.from_pretrained(folder)
    rewired = copy.deepcopy(teacher)
    batches = evaluation_batches(search, batch_size=BATCH_SIZE)
    searched = (padded(search, indices) for indices in batches)
    rewire(rewired, importance(rewired, searched, head=task.head))
    outcomes, curves = {}, {}
    train = train.first(arguments.examples or len(train))
    epochs = {"naive": {"width": 1, "depth": 1}}
    recipes: dict[str, Recipe | None] = {"naive": None}
    if arguments.recipe == "closed-form":
        splits = {"search": search, "report": report}
        outcomes["ours"], curves["ours"] = repaired(
            teacher,
            tokenizer,
            task,
            score=lambda network, name: evaluate(network, splits[name], task=task, split=name),
        )
        print(curves["ours"], flush=True)
    else:
        recipes = {"ours": arguments.recipe, "naive": None}
        epochs["ours"] = {"width": arguments.width_epochs, "depth": arguments.depth_epochs}
    for kind, recipe in recipes.items():
        supernet, curves[kind] = trained(
            rewired,
            teacher,
            train,
            recipe=recipe,
            epochs=epochs[kind],
            rate=arguments.learning_rate,
            score=lambda supernet: statistics.mean(
                e.value for e in scored(supernet, search, "search", task)
            ),
        )
        outcomes[kind] = scored(supernet, report, "report", task)
    pairs = [compare(*pair) for pair in zip(outcomes["ours"], outcomes["naive"], strict=True)]
    record = {
        "command": command(),
        "task": task.summary() | {"source": task.name},
        "environment": environment.finished(device="cpu").to_dict(),
        "threads": torch.get_num_threads(),
        "recipe": arguments.recipe,
        "epochs": epochs,
        "examples": len(train),
        "curves": curves,
        "times_to_reach": times_to_reach(curves),
        "mean_accuracy": {
            kind: round(statistics.mean(e.value for e in found), 4)
            for kind, found in outcomes.items()
        },
        "sub_networks": [
            {
                "key": config.key,
                "ours": ours.value,
                "naive": naive.value,
                "difference": pair.to_dict(),
            }
            for config, ours, naive, pair in zip(
                supernet.space.landmarks,
                outcomes["ours"],
                outcomes["naive"],
                pairs,
                strict=True,
            )
        ],
    }
    write_json(arguments.out, record)
    print(record["times_to_reach"], record["mean_accuracy"])


if __name__ == "__main__":
    main()
