"""The gradients of one step, added over its sub-networks, by each of the losses.

The embeddings are not sliced, so that a step computes them, and their dropout mask, once for all
of its sub-networks.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from ..encoders.running import EncoderOutput
from ..networks.subnet import SubnetConfig
from ..tasks.batches import Batch
from ..tasks.heads import Head
from ..training.distillation import (
    LossWeights,
    joint_loss,
    logit_loss,
    prediction_loss,
)
from ..training.precision import autocast
from .supernet import Supernet


def label_gradients(
    supernet: Supernet,
    batch: Batch,
    configs: Sequence[SubnetConfig],
    *,
    head: Head,
    dtype: torch.dtype,
) -> float:
    """Add the gradients of the loss on true labels, for each of `configs`.

    Args:
        supernet: What learns.
        batch: Inputs with `labels`.
        configs: Sub-networks.
        head: Gives the loss.
        dtype: Of matrix products.

    Returns:
        The loss, averaged over the sub-networks.
    """

    def loss(output: EncoderOutput) -> Tensor:
        return prediction_loss(output.logits, batch["labels"], head=head)

    return _added(supernet, batch, configs, loss, dtype=dtype)


def in_place_gradients(
    supernet: Supernet,
    batch: Batch,
    configs: Sequence[SubnetConfig],
    *,
    head: Head,
    dtype: torch.dtype,
) -> float:
    """Add the gradients of in-place distillation (Yu & Huang 2019, section 3.3).

    The largest sub-network learns from the labels, the others from its logits of the same step.

    Args:
        supernet: What learns.
        batch: Inputs with `labels`.
        configs: Sub-networks, the largest first.
        head: Gives the losses.
        dtype: Of matrix products.

    Returns:
        The loss, averaged over the sub-networks.
    """
    largest: Tensor | None = None

    def loss(output: EncoderOutput) -> Tensor:
        nonlocal largest
        if largest is None:
            largest = output.logits.detach()
            return prediction_loss(output.logits, batch["labels"], head=head)
        return logit_loss(output.logits, largest, head=head)

    return _added(supernet, batch, configs, loss, dtype=dtype)


def distillation_gradients(
    supernet: Supernet,
    teacher: Supernet,
    batch: Batch,
    teacher_configs: Mapping[SubnetConfig, SubnetConfig],
    *,
    weights: LossWeights,
    head: Head,
    dtype: torch.dtype,
) -> float:
    """Add the gradients of the distillation loss, for each of the sub-networks.

    The output of each kept layer is matched with the teacher's output of the same layer, at the
    word-vectors that the student has left there.

    Args:
        supernet: The student.
        teacher: The fixed teacher, in evaluation mode.
        batch: Inputs; labels are not used.
        teacher_configs: Sub-networks of the student, each with the teacher's sub-network of full
            depth that it learns from. A teacher's forward pass serves all of its students.
        weights: Of logits and hidden states.
        head: Says how logits are compared.
        dtype: Of matrix products.

    Returns:
        The loss, averaged over the sub-networks.
    """
    mask, total = batch["attention_mask"], 0.0
    targets: dict[SubnetConfig, EncoderOutput] = {}
    with _shared_embeddings(supernet, batch, dtype=dtype) as embeddings:
        with torch.no_grad(), autocast(embeddings.device, dtype):
            target_embeddings = teacher.embed(batch)
        for configs in _equally_wide(teacher_configs):
            outputs = _encoded(supernet, embeddings, batch, configs, dtype=dtype)
            students = defaultdict(list)
            for config, output in zip(configs, outputs, strict=True):
                students[teacher_configs[config]].append(output)
            with torch.no_grad():
                targets = {
                    config: targets[config]
                    if config in targets
                    else _encoded(teacher, target_embeddings, batch, [config], dtype=dtype)[0]
                    for config in students
                }
            loss = torch.stack(
                [
                    joint_loss(taught, targets[config], mask, weights=weights, head=head)
                    for config, taught in students.items()
                ]
            ).sum()
            loss.backward()
            total += loss.item()
    return total / len(teacher_configs)


def _added(
    supernet: Supernet,
    batch: Batch,
    configs: Sequence[SubnetConfig],
    loss: Callable[[EncoderOutput], Tensor],
    *,
    dtype: torch.dtype,
) -> float:
    """Add the gradients of what each sub-network loses, in order; the loss, averaged over them."""
    total = 0.0
    with _shared_embeddings(supernet, batch, dtype=dtype) as embeddings:
        for equal in _equally_wide(configs):
            outputs = _encoded(supernet, embeddings, batch, equal, dtype=dtype)
            together = torch.stack(list(map(loss, outputs))).sum()
            together.backward()
            total += together.item()
    return total / len(configs)


@contextmanager
def _shared_embeddings(
    supernet: Supernet, batch: Batch, *, dtype: torch.dtype
) -> Iterator[Tensor]:
    """Embeddings that many sub-networks read; their summed gradient goes back at the end."""
    embeddings = supernet.embed(batch)
    leaf = embeddings.detach().requires_grad_()
    yield leaf
    embeddings.backward(leaf.grad)


def _equally_wide(configs: Iterable[SubnetConfig]) -> list[list[SubnetConfig]]:
    """Sub-networks that are run together, in order; one that eliminates word-vectors is alone."""
    groups = defaultdict(list)
    for config in configs:
        eliminating = None if config.tokens is None else config
        groups[config.heads[0], config.neurons[0], eliminating].append(config)
    return list(groups.values())


def _encoded(
    supernet: Supernet,
    embeddings: Tensor,
    batch: Batch,
    configs: Sequence[SubnetConfig],
    *,
    dtype: torch.dtype,
) -> list[EncoderOutput]:
    """What sub-networks compute that are run together."""
    with autocast(embeddings.device, dtype):
        if configs[0].tokens is None:
            return supernet.encode_together(embeddings, batch, configs)
        with supernet.active(configs[0]):
            return [supernet.encode(embeddings, batch)]
