"""CoFi's two stages: pruning by gates that learn, then training on of what is left.

    fine-tuned model -prune-> dense network of the target's cost -distil-> network

**The Lagrangian** (section 3.1, after Wang et al. 2020). To the task's loss comes
m1 (c - t) + m2 (c - t)^2, with c the expected cost, t the cost of a line from everything to the
target, and m1 and m2 learnt by ascent. Published rates are for 10^5 steps and one size of losses.
Here all that gates and multipliers can travel is given, and rates follow from the number of steps;
multipliers are in units of the task's own gradient, the sum of the sizes of its slopes by the
gates relative to that of the cost's, so that they mean the same for every task.

**The states** (section 3.2). Of four evenly spaced layers of the teacher, each learns from
the student's kept layer that is nearest to it, through one linear map that starts as the
identity; the pruned network learns from the states themselves.
"""

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import AutoTokenizer, PreTrainedModel

from ..encoders.extraction import architecture_of
from ..encoders.families import family_of, shape_of
from ..encoders.running import EncoderOutput
from ..networks.subnet import SubnetConfig
from ..profiling.workload import Workload
from ..tasks.batches import Batch, EncodedTexts, encode_texts
from ..tasks.heads import Head
from ..training.classifier import load_stored
from ..training.distillation import hidden_loss, logit_loss
from ..training.loop import made, run_stage, weight_groups
from ..training.method import Making
from ..training.pace import steps_per_epoch
from ..training.precision import autocast, matmul_dtype
from ..training.student import Start, run_dense, taught_texts, train_student
from .cofi import CofiOptions
from .gated import GatedModel
from .student import spaced_layers

NUM_TAUGHT = 4
"""Layers of the teacher that teach their states."""

GATE_TRAVEL = 24.0
MULTIPLIER_TRAVELS = (6.0, 40.0)
"""Peak learning rates times the number of steps: about twice as far as they can move."""

ON_TARGET = 0.5
"""Share of the pruning after which the target is to be reached; published is a tenth to a half."""


class _Pruning(nn.Module):
    """What learns while gates prune: the gated model, the states' map and the multipliers."""

    def __init__(self, gated: GatedModel) -> None:
        super().__init__()
        self.gated = gated
        size = gated.shape.hidden_size
        self.map = nn.Linear(size, size, bias=False)
        nn.init.eye_(self.map.weight)
        self.multipliers = nn.ParameterList(nn.Parameter(torch.zeros(())) for _ in range(2))


def train_cofi(making: Making, options: CofiOptions) -> None:
    """Prune and train on, or go on where this was interrupted; see `cofi.make`.

    Writes `folder/pruned` and `folder/network`, dense networks with their tokenizers.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = matmul_dtype(options.precision, device)
    tokenizer = AutoTokenizer.from_pretrained(making.teacher, local_files_only=True)
    texts = taught_texts(making, tokenizer, device=device, dtype=dtype)
    epochs = options.whole_epochs(len(texts))
    per_epoch = steps_per_epoch(len(texts), batch_size=options.batch_size)
    total = epochs * per_epoch if options.steps is None else options.steps
    steps = min(max(1, round(options.prune_share * total)), total - 1)
    state_file = making.folder / "prune.safetensors"
    pruned = made(
        making.folder / "pruned",
        lambda: (
            _pruned(making, options, texts, steps=steps, state_file=state_file, device=device),
            tokenizer,
        ),
    )
    state_file.unlink(missing_ok=True)

    def start(teacher: nn.Module, tokenizer: object) -> Start:
        student = load_stored(pruned)
        return Start(student, architecture_of(student.config)[1])

    def loss(student: EncoderOutput, teacher: EncoderOutput, mask: Tensor) -> Tensor:
        states = list(student.hidden.values())
        return _loss(student, teacher, states, mask, options=options, head=making.task.head)

    train_student(
        making, replace(options, steps=total - steps), stage="distil", start=start, loss=loss
    )


def _pruned(
    making: Making,
    options: CofiOptions,
    texts: EncodedTexts,
    *,
    steps: int,
    state_file: Path,
    device: torch.device,
) -> PreTrainedModel:
    """The first stage: the dense network that is left of the teacher."""
    dtype = matmul_dtype(options.precision, device)
    teacher = load_stored(making.teacher)
    nn.Module.to(teacher.eval(), device)
    tokenizer = AutoTokenizer.from_pretrained(making.teacher, local_files_only=True)
    family, shape = family_of(teacher), shape_of(teacher.config)
    everything = SubnetConfig.full(shape)
    lengths = encode_texts(making.task.train, tokenizer, max_length=making.task.max_length).lengths
    workload = Workload.of(shape, lengths)
    learning = _Pruning(GatedModel(copy.deepcopy(teacher))).to(device)
    gated, target = learning.gated, 1 / options.target_speedup

    def gradients(batch: Batch, step: int) -> float:
        mask = batch["attention_mask"]
        with torch.no_grad(), autocast(device, dtype):
            taught = run_dense(teacher, family, batch, everything)
        gated.draw()
        with autocast(device, dtype):
            output = gated.run(batch)
        states = [learning.map(output.hidden[i]) for i in gated.open_layers()]
        value = _loss(output, taught, states, mask, options=options, head=making.task.head)
        value.backward()
        planned = 1 + (target - 1) * min(1.0, step / (ON_TARGET * steps))
        penalise(gated, list(learning.multipliers), gated.expected_cost(workload), planned=planned)
        return value.item()

    weights = weight_groups(
        nn.ModuleList([gated.model, learning.map]),
        learning_rate=options.learning_rate,
        weight_decay=options.weight_decay,
    )
    run_stage(
        "prune",
        learning,
        texts,
        gradients,
        groups=[
            *weights,
            {"params": gated.log_alphas(), "weight_decay": 0.0, "lr": GATE_TRAVEL / steps},
            *(
                {"params": [multiplier], "weight_decay": 0.0, "lr": travel / steps}
                for multiplier, travel in zip(
                    learning.multipliers, MULTIPLIER_TRAVELS, strict=True
                )
            ),
        ],
        epochs=options.whole_epochs(len(texts)),
        max_steps=steps,
        pace=options,
        device=device,
        dtype=dtype,
        state_file=state_file,
        log=making.folder / "training.jsonl",
        progress=making.progress,
    )
    return gated.dense(workload, macs=int(target * workload.full))


def penalise(
    gated: GatedModel, multipliers: Sequence[nn.Parameter], cost: Tensor, *, planned: float
) -> None:
    """Add the gradients of m1 (c - t) + m2 (c - t)^2: the gates descend, the multipliers ascend.

    Args:
        gated: Its gates hold the task's gradients.
        multipliers: m1 and m2, in units of these gradients.
        cost: c, a function of the gates.
        planned: t.
    """
    gates = gated.log_alphas()
    slopes = torch.autograd.grad(cost, gates)
    excess = cost.item() - planned
    task = sum(gate.grad.abs().sum().item() for gate in gates if gate.grad is not None)
    size = sum(slope.abs().sum().item() for slope in slopes)
    first, second = (multiplier.item() for multiplier in multipliers)
    weight = task / max(size, 1e-12) * (first + 2 * second * excess)
    for gate, slope in zip(gates, slopes, strict=True):
        gate.grad = slope * weight if gate.grad is None else gate.grad + slope * weight
    for multiplier, rise in zip(multipliers, (excess, excess**2), strict=True):
        multiplier.grad = torch.full_like(multiplier, -rise)


def nearest_loss(
    states: Sequence[Tensor], teacher: EncoderOutput, mask: Tensor, taught: Sequence[int]
) -> Tensor:
    """The distance of each teacher's layer that teaches to the nearest of some states, summed.

    Args:
        states: The student's, each [B, T, E].
        teacher: What the teacher computed.
        mask: [B, T], 1 at tokens and 0 at padding.
        taught: The teacher's layers.
    """
    nearest = [
        torch.stack([hidden_loss(state, teacher.hidden[i], mask) for state in states]).min()
        for i in taught
    ]
    return torch.stack(nearest).sum()


def _loss(
    student: EncoderOutput,
    teacher: EncoderOutput,
    states: Sequence[Tensor],
    mask: Tensor,
    *,
    options: CofiOptions,
    head: Head,
) -> Tensor:
    """CoFi's distillation loss, with the student's states that may match."""
    logits = logit_loss(student.logits, teacher.logits, head=head, temperature=options.temperature)
    if not states:
        return options.logits_share * logits
    num_layers = len(teacher.hidden)
    taught = spaced_layers(num_layers, min(NUM_TAUGHT, num_layers))
    distances = nearest_loss(states, teacher, mask, taught)
    return options.logits_share * logits + (1 - options.logits_share) * distances
