"""Training by several processes, each of which takes a share of every batch.

`accelerate launch` and `torchrun` start the processes and tell each of them its rank by the
environment; `joined` makes them a group, by NCCL with a GPU for each and by gloo on processors.
A batch is that of one process, and so is what is learnt, but for rounding, for dropout, which each
process draws by itself, and for losses that are means over word-vectors, which are averaged by
examples. All processes compute the same update and judge the same weights; the main one alone
writes. Outside of `joined` there is one process, and all of this does nothing.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import nn

from ..errors import InputError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Share:
    """What one process learns from in a step.

    Attributes:
        indices: Examples of the batch.
        weight: Their share of the batch.
    """

    indices: list[int]
    weight: float


@contextmanager
def joined() -> Iterator[None]:
    """Be one of the processes that were started together, in the block.

    Raises:
        InputError: When there are more processes than GPUs on this machine.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    has_gpu, place = torch.cuda.is_available(), int(os.environ.get("LOCAL_RANK", "0"))
    if has_gpu:
        if place >= torch.cuda.device_count():
            raise InputError(
                f"Process {place + 1} of this machine has no GPU of its own: start "
                f"{torch.cuda.device_count()} processes."
            )
        torch.cuda.set_device(place)
    dist.init_process_group("nccl" if has_gpu else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def is_main() -> bool:
    """Whether this process is the one that writes."""
    return not dist.is_initialized() or dist.get_rank() == 0


def in_turn(make: Callable[[], T]) -> T:
    """Make something in the main process, and then in the others, which find what it wrote."""
    if not is_main():
        wait()
        return make()
    made = make()
    wait()
    return made


def draw_apart(step: int) -> None:
    """From a step on, let dropout differ between the processes; the main one draws as alone."""
    if not is_main():
        torch.manual_seed(dist.get_rank() << 32 | step)


def wait() -> None:
    """Wait until every process is here."""
    if dist.is_initialized():
        dist.barrier()


def share_of(indices: Sequence[int]) -> Share:
    """This process's share of a batch; one that gets none learns from an example with weight 0."""
    if not dist.is_initialized():
        return Share(list(indices), 1.0)
    mine = list(indices[dist.get_rank() :: dist.get_world_size()])
    return Share(mine or list(indices[:1]), len(mine) / len(indices))


def average(model: nn.Module, loss: float, *, weight: float) -> float:
    """Replace gradients by their average over the processes, and give that of their losses.

    Args:
        model: With the gradients of this process's share.
        loss: Of this process's share.
        weight: The share.
    """
    if not dist.is_initialized():
        return loss
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    losses = gradients[0].new_tensor([loss])
    summed = weight * torch.cat([*(gradient.flatten() for gradient in gradients), losses])
    dist.all_reduce(summed)
    start = 0
    for gradient in gradients:
        gradient.copy_(summed[start : start + gradient.numel()].view_as(gradient))
        start += gradient.numel()
    return float(summed[-1])
