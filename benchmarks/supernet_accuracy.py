"""Train stages 1 and 2 with our step and with the naive one: what do they reach, and when?

Both start from one fine-tuned and rewired model and see the same batches and learning rates;
`supernet_step.py` says how the steps differ (but for the optimizer, fused here in both). The
naive one trains all sub-networks in every step, for an epoch of each stage, ours those of the
recipe, for as many epochs as are asked for; without stage 1 all learn from the full model. With
`--start repaired` ours starts from the same model sorted by necessity and repaired in closed form
for all widths, whose processor time counts as training. Along stage 2 all twelve are scored on the
search split: the processor time of training until their mean accuracy first reaches some values is
compared, scoring left out. At the end each is scored on the report split and compared in pairs.

    paretobert train runs/demo --model minilm --task stdlib-docs ...
    python benchmarks/supernet_accuracy.py runs/demo
    python benchmarks/supernet_accuracy.py runs/sst2s --recipe sandwich --width-epochs 0 \
        --depth-epochs 2 --start repaired --out FILE
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
from paretobert.dynabert.joint_repair import repair_together
from paretobert.dynabert.learners import same_width_teacher, step_configs
from paretobert.dynabert.options import Recipe, TrainingOptions
from paretobert.dynabert.reconstruction import collect
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
    clock: Clock,
    score: Callable[[Supernet], float],
) -> tuple[Supernet, list[dict[str, float]]]:
    """Stage 1, then stage 2, by a recipe of ours or, without one, naively.

    Args:
        rewired: What it starts from.
        teacher: The full model.
        encoded: What is learnt from.
        recipe: Which sub-networks learn in a step; None for all, naively.
        epochs: Of each stage, by its name.
        rate: The learning rate, which decays to 0 in each stage.
        clock: What the start has taken; it goes on.
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
    curve: list[dict[str, float]] = []

    def note(step: int) -> None:
        times = {"cpu_s": round(clock.cpu_s, 1), "wall_s": round(clock.wall_s, 1)}
        curve.append({"step": step, **times, "mean_accuracy": round(score(supernet), 4)})
        print(curve[-1], flush=True)

    if not epochs["width"]:
        note(0)
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
                note(done)
                supernet.model.train()

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
    teacher: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, task: Task
) -> PreTrainedModel:
    """The full model, its units sorted by necessity and its weights repaired for all widths."""
    model, options = copy.deepcopy(teacher).eval(), RepairOptions()
    texts = repair_texts(task.train, tokenizer, options, max_length=PADDED_LENGTH)
    reference = collect(model, texts, seed=options.seed)
    rewire(model, removals(model, reference).importance)
    widths = TrainingOptions().space_of(shape_of(model.config)).at_full_depth()
    repair_together(model, list(widths.landmarks), reference)
    return model


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
    parser.add_argument("--recipe", choices=("paper", "sandwich"), default="paper")
    parser.add_argument("--width-epochs", type=int, default=1, help="of our stage 1")
    parser.add_argument("--depth-epochs", type=int, default=1, help="of our stage 2")
    parser.add_argument("--start", choices=("inherited", "repaired"), default="inherited")
    parser.add_argument("--examples", type=int, help="of the training split, instead of all")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=Path("benchmarks/supernet_accuracy.json"))
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
    clocks, starts = {"ours": Clock(), "naive": Clock()}, {"ours": rewired, "naive": rewired}
    if arguments.start == "repaired":
        with clocks["ours"].running():
            starts["ours"] = repaired(teacher, tokenizer, task)
    train = train.first(arguments.examples or len(train))
    epochs = {
        "ours": {"width": arguments.width_epochs, "depth": arguments.depth_epochs},
        "naive": {"width": 1, "depth": 1},
    }
    for kind, recipe in (("ours", arguments.recipe), ("naive", None)):
        supernet, curves[kind] = trained(
            starts[kind],
            teacher,
            train,
            recipe=recipe,
            epochs=epochs[kind],
            rate=arguments.learning_rate,
            clock=clocks[kind],
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
        "start": arguments.start,
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
