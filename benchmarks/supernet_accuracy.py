"""Train stages 1 and 2 with our step and with the naive one, and compare what they reach.

Both start from one fine-tuned and rewired model, see the same batches and learning rates and train
all sub-networks in every step; `supernet_step.py` says how the steps differ. Each of the twelve
sub-networks is then scored on the task's report split and compared in pairs.

    paretobert train runs/demo --model minilm --task stdlib-docs ...
    python benchmarks/supernet_accuracy.py runs/demo
"""

import argparse
import copy
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from supernet_step import PADDED_LENGTH, elastic, naive_gradients, padded_to
from torch import nn
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel

from paretobert.dynabert.importance import importance
from paretobert.dynabert.rewiring import rewire
from paretobert.dynabert.supernet import Supernet
from paretobert.dynabert.training import distillation_gradients, same_width_teacher
from paretobert.encoders.extraction import extract
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
from paretobert.tasks.evaluation import evaluate
from paretobert.tasks.heads import CLASSIFICATION
from paretobert.tasks.metrics import compare
from paretobert.training.distillation import DEPTH_STAGE, WIDTH_STAGE
from paretobert.training.loop import linear_decay
from paretobert.training.precision import matmul_dtype

BATCH_SIZE = 32


def train_stage(
    supernet: Supernet, encoded: EncodedSplit, gradients: Callable[[Batch], object], rate: float
) -> None:
    """One epoch of steps."""
    supernet.model.train()
    optimizer = torch.optim.AdamW(supernet.model.parameters(), lr=rate, weight_decay=0.01)
    batches = training_batches(encoded, batch_size=BATCH_SIZE, seed=0, epoch=0)
    for step, indices in enumerate(batches):
        optimizer.zero_grad(set_to_none=False)
        gradients(padded(encoded, indices))
        nn.utils.clip_grad_norm_(supernet.model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = rate * linear_decay(step, len(batches), warmup_share=0.0)
        optimizer.step()


def trained(
    rewired: PreTrainedModel,
    teacher: PreTrainedModel,
    encoded: EncodedSplit,
    *,
    naive: bool,
    rate: float,
) -> Supernet:
    """Stage 1, then stage 2, one epoch each."""
    torch.manual_seed(0)
    supernet = elastic(copy.deepcopy(rewired), naive=naive)
    fixed = elastic(copy.deepcopy(teacher).eval(), naive=naive)
    dtype = matmul_dtype("auto", torch.device("cpu"))
    widths = supernet.space.at_full_depth().landmarks
    full = SubnetConfig.full(supernet.shape)
    stages = (
        ({config: full for config in widths}, WIDTH_STAGE),
        (
            {c: same_width_teacher(c, supernet.shape) for c in fixed.space.landmarks},
            DEPTH_STAGE,
        ),
    )
    for configs, weights in stages:

        def gradients(
            batch: Batch, fixed: Supernet = fixed, configs: Any = configs, weights: Any = weights
        ) -> None:
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

        train_stage(supernet, encoded, gradients, rate)
        fixed = elastic(copy.deepcopy(supernet.model).eval(), naive=naive)
    return supernet


def main() -> None:
    """Train both ways, score and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path, help="a run folder with a fine-tuned teacher")
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/supernet_accuracy.json"))
    arguments = parser.parse_args()
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
    outcomes, seconds = {}, {}
    for kind in ("ours", "naive"):
        started = time.perf_counter()
        supernet = trained(
            rewired, teacher, train, naive=kind == "naive", rate=arguments.learning_rate
        )
        seconds[kind] = round(time.perf_counter() - started, 1)
        outcomes[kind] = [
            evaluate(extract(supernet.model, config), report, task=task, split="report")
            for config in supernet.space.landmarks
        ]
    pairs = [compare(*pair) for pair in zip(outcomes["ours"], outcomes["naive"], strict=True)]
    record = {
        "command": f"python {' '.join(sys.argv)}",
        "task": task.summary() | {"source": task.name},
        "environment": environment.to_dict(),
        "seconds": seconds,
        "mean_accuracy": {
            kind: round(statistics.mean(e.value for e in scored), 4)
            for kind, scored in outcomes.items()
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
    print(record["seconds"], record["mean_accuracy"])


if __name__ == "__main__":
    main()
