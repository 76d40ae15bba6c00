"""Time a training step of stages 1 and 2 against a naive one, on the same examples in one run.

Both steps train on batches of 32 from the head of a task's training epoch with the same losses:
the naive one all sub-networks of the grid, ours those of the recipe, all or a sandwich. The naive
step follows the structure of the published implementation: every batch padded to 64 tokens, fp32,
weights sliced under plain autograd, the embeddings computed anew for every sub-network, stock
dropout and an unfused optimizer. Ours pads to the longest text of a batch and runs matrix products
in bf16 where the processor has them, so the ratio holds for texts of one length and one processor.
Steps of the two kinds alternate, each first equally often: the second is a few percent faster. The
processor's time is kept too, which other programs change least. Where our own time goes is
profiled (`step_profile`).

    python benchmarks/supernet_step.py --data ../shared/data/sst2-sentence --threads 1 \
        --recipe sandwich --out benchmarks/supernet_step/sentences-sandwich-1.json
"""

import argparse
import statistics
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from collect import relative
from step_profile import profile
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel

from paretobert.dynabert.gradients import distillation_gradients
from paretobert.dynabert.learners import same_width_teacher, step_configs
from paretobert.dynabert.options import TrainingOptions
from paretobert.dynabert.supernet import Supernet
from paretobert.encoders.checkpoints import find_checkpoint
from paretobert.encoders.dropout import PackedDropout
from paretobert.encoders.elastic import AccumulatingEmbedding, ElasticLinear
from paretobert.encoders.families import shape_of
from paretobert.networks.spaces import Grid
from paretobert.networks.subnet import SubnetConfig
from paretobert.profiling.environment import Environment
from paretobert.storage import write_json
from paretobert.tasks.batches import Batch, EncodedSplit, encode, padded, training_batches
from paretobert.tasks.heads import CLASSIFICATION
from paretobert.tasks.loading import TaskRequest, load_task
from paretobert.training import distillation
from paretobert.training.precision import matmul_dtype

PADDED_LENGTH = 64
PROFILED_STEPS = 6


class SlicedLinear(ElasticLinear):
    """The naive elastic layer: slices under plain autograd, in the active sizes of its twin."""

    def forward(self, input: Tensor) -> Tensor:
        """Map [..., I] to [..., O]."""
        weight = self.weight[: self.active_out, : self.active_in]
        return functional.linear(input, weight, self.bias[: self.active_out])


def naive_gradients(
    supernet: Supernet,
    teacher: Supernet,
    batch: Batch,
    teacher_configs: Mapping[SubnetConfig, SubnetConfig],
    weights: distillation.LossWeights,
) -> None:
    """Forward, loss and backward of one sub-network after the other."""
    targets = {}
    for config, teacher_config in teacher_configs.items():
        if teacher_config not in targets:
            with torch.no_grad(), teacher.active(teacher_config):
                target_embeddings = teacher.embed(batch)
                targets[teacher_config] = teacher.encode(target_embeddings, batch)
        target = targets[teacher_config]
        with supernet.active(config):
            embeddings = supernet.embed(batch)
            output = supernet.encode(embeddings, batch)
        distillation.distillation_loss(
            logits=(output.logits, target.logits),
            embeddings=(embeddings, target_embeddings),
            hidden=[
                (state, target.hidden[i], batch["attention_mask"])
                for i, state in output.hidden.items()
            ],
            mask=batch["attention_mask"],
            weights=weights,
            head=CLASSIFICATION,
        ).backward()


def load(folder: Path, *, naive: bool) -> Supernet:
    """Load a model for two classes as a supernet of either kind."""
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2)
    return elastic(model, naive=naive)


def elastic(model: PreTrainedModel, *, naive: bool) -> Supernet:
    """Make a model elastic, for the naive step with stock dropout and plain slices."""
    supernet = Supernet(model, Grid(shape_of(model.config)))
    if naive:
        for module in model.modules():
            if type(module) is ElasticLinear:
                module.__class__ = SlicedLinear
            elif isinstance(module, PackedDropout):
                module.__class__ = nn.Dropout
            elif isinstance(module, AccumulatingEmbedding):
                module.__class__ = nn.Embedding
    return supernet


def padded_to(batch: Batch, length: int) -> Batch:
    """Pad or cut a batch to a fixed length; padding ids are masked out, so 0 serves."""
    pads = length - batch["input_ids"].shape[1]
    return {
        name: tensor if name == "labels" else functional.pad(tensor, (0, pads))
        for name, tensor in batch.items()
    }


def optimizer_of(supernet: Supernet, *, fused: bool) -> torch.optim.AdamW:
    """AdamW with the published learning rate."""
    return torch.optim.AdamW(supernet.model.parameters(), lr=2e-5, fused=fused)


def compare(
    folder: Path, encoded: EncodedSplit, stage: str, *, options: TrainingOptions, num_steps: int
) -> dict[str, Any]:
    """Alternate steps of both kinds on the same batches and compare their medians."""
    ours, naive = load(folder, naive=False), load(folder, naive=True)
    teacher, naive_teacher = load(folder, naive=False), load(folder, naive=True)
    for supernet in (ours, naive):
        supernet.model.train()
    for supernet in (teacher, naive_teacher):
        supernet.model.eval()
    full = SubnetConfig.full(ours.shape)
    space = ours.space.at_full_depth() if stage == "width" else ours.space
    if stage == "width":
        configs = {c: full for c in space.landmarks}
        weights = distillation.WIDTH_STAGE
    else:
        configs = {c: same_width_teacher(c, ours.shape) for c in space.landmarks}
        weights = distillation.DEPTH_STAGE
    dtype = matmul_dtype("auto", torch.device("cpu"))
    fused, unfused = optimizer_of(ours, fused=True), optimizer_of(naive, fused=False)
    batches = training_batches(encoded, batch_size=32, seed=0, epoch=0)[: num_steps + 1]
    chosen = [
        {c: configs[c] for c in step_configs(space, options=options, stage=stage, step=step)}
        for step in range(len(batches))
    ]

    def our_step(step: int) -> None:
        fused.zero_grad(set_to_none=False)
        distillation_gradients(
            ours,
            teacher,
            padded(encoded, batches[step]),
            chosen[step],
            weights=weights,
            head=CLASSIFICATION,
            dtype=dtype,
        )
        nn.utils.clip_grad_norm_(ours.model.parameters(), 1.0)
        fused.step()

    def naive_step(step: int) -> None:
        unfused.zero_grad()
        batch = padded_to(padded(encoded, batches[step]), PADDED_LENGTH)
        naive_gradients(naive, naive_teacher, batch, configs, weights)
        nn.utils.clip_grad_norm_(naive.model.parameters(), 1.0)
        unfused.step()

    times: dict[str, list[float]] = {"ours": [], "naive": []}
    busy: dict[str, list[float]] = {"ours": [], "naive": []}
    kinds = [("ours", our_step), ("naive", naive_step)]
    for step in range(len(batches)):
        for kind, run in kinds if step % 2 else reversed(kinds):
            started, started_busy = time.perf_counter(), time.process_time()
            run(step)
            busy[kind].append(time.process_time() - started_busy)
            times[kind].append(time.perf_counter() - started)
    ours_s, naive_s = (statistics.median(times[kind][1:]) for kind in ("ours", "naive"))
    ours_cpu_s, naive_cpu_s = (statistics.median(busy[kind][1:]) for kind in ("ours", "naive"))
    profiled = range(1, min(len(batches), PROFILED_STEPS + 1))
    return {
        "stage": stage,
        "subnetworks": len(chosen[0]),
        "naive_subnetworks": len(configs),
        "steps": num_steps,
        "tokens_per_example": round(
            statistics.mean(encoded.lengths[i] for batch in batches for i in batch), 2
        ),
        "ours_s": round(ours_s, 4),
        "naive_s": round(naive_s, 4),
        "ratio_of_medians": round(naive_s / ours_s, 2),
        "ratio_of_totals": round(sum(times["naive"][1:]) / sum(times["ours"][1:]), 2),
        "ours_cpu_s": round(ours_cpu_s, 4),
        "naive_cpu_s": round(naive_cpu_s, 4),
        "ratio_of_cpu_medians": round(naive_cpu_s / ours_cpu_s, 2),
        "ratio_of_cpu_totals": round(sum(busy["naive"][1:]) / sum(busy["ours"][1:]), 2),
        "ratio_of_cpu_steps": [
            round(naive / ours, 2)
            for ours, naive in zip(busy["ours"][1:], busy["naive"][1:], strict=True)
        ],
        "profile": profile([partial(our_step, step) for step in profiled], dtype=dtype),
    }


def main() -> None:
    """Compare both stages and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--data", type=Path, required=True, help="a folder in SST-2's format")
    parser.add_argument("--recipe", choices=("paper", "sandwich"), default="paper")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    options = TrainingOptions(recipe=arguments.recipe)
    environment = Environment.capture()
    folder = find_checkpoint(arguments.model).folder
    task = load_task(TaskRequest(name="SST-2", data=arguments.data))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    encoded = encode(task.train, tokenizer, max_length=PADDED_LENGTH)
    rows = [
        compare(folder, encoded, stage, options=options, num_steps=arguments.steps)
        for stage in ("width", "depth")
    ]
    record = {
        "command": f"python {' '.join(sys.argv)}",
        "recipe": options.recipe,
        "threads": torch.get_num_threads(),
        "dtype": str(matmul_dtype("auto", torch.device("cpu"))),
        "task": relative(task.summary() | {"source": task.source}),
        "environment": environment.finished(device="cpu").to_dict(),
        "stages": rows,
    }
    write_json(arguments.out, record)
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()
