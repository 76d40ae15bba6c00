"""Where a training step's time goes, by kind of operation, and how near the peak it comes.

Operators are timed one by one as they are dispatched, forward and backward, by the processor time
of all threads. What they do not account for is Python, autograd and dispatch, timing included. The
peak is the best rate of products of square matrices, in the same process.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

KINDS = {
    "matrix products": ("mm", "addmm"),
    "attention's products": ("bmm",),
    "softmax": ("_softmax", "_softmax_backward_data"),
    "activation": ("gelu", "gelu_backward"),
    "normalisation": ("native_layer_norm", "native_layer_norm_backward"),
    "random numbers": ("random_", "ge", "bernoulli_"),
    "optimizer": ("_fused_adamw_", "_foreach_norm", "_foreach_mul_", "_foreach_zero_"),
    "copies and casts": ("_to_copy", "clone", "copy_", "cat", "repeat"),
    "arithmetic": ("add", "add_", "mul", "mul_", "sub", "sum", "dot", "index_add_"),
}
"""Operators of aten by what they are for; all others are "other operators"."""

_KIND = {name: kind for kind, names in KINDS.items() for name in names}
_SIZES = (512, 1024, 2048)


class _Timed(TorchDispatchMode):
    """Adds up the time of operators by kind, and the operations of matrix products."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: Counter[str] = Counter()
        self.flops = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        started = time.process_time()
        result = func(*args, **(kwargs or {}))
        taken = time.process_time() - started
        name = func._schema.name.removeprefix("aten::")
        self.seconds[_KIND.get(name, "other operators")] += taken
        if name in ("mm", "addmm", "bmm"):
            left, right = args[-2:]
            self.flops += 2 * left.numel() * right.shape[-1]
        return result


def profile(steps: Sequence[Callable[[], object]], *, dtype: torch.dtype) -> dict[str, Any]:
    """Time steps as they are, then operator by operator.

    Args:
        steps: Each does the same work whenever it is called.
        dtype: Of their matrix products.
    """
    started = time.process_time()
    for step in steps:
        step()
    plain_s = time.process_time() - started
    started = time.process_time()
    with _Timed() as timed:
        for step in steps:
            step()
    whole_s = time.process_time() - started
    seconds = timed.seconds
    seconds["Python and dispatch"] = whole_s - sum(seconds.values())
    peaks = {kind: peak_flops(kind) for kind in {dtype, torch.bfloat16, torch.float32}}
    products_s = seconds["matrix products"] + seconds["attention's products"]
    return {
        "steps": len(steps),
        "cpu_s": round(plain_s / len(steps), 4),
        "timed_cpu_s": round(whole_s / len(steps), 4),
        "share_of_timed": {kind: round(s / whole_s, 4) for kind, s in seconds.most_common()},
        "gflop": round(timed.flops / len(steps) / 1e9, 1),
        "peak_gflops": {
            str(kind).removeprefix("torch."): round(peaks[kind] / 1e9)
            for kind in (torch.bfloat16, torch.float32)
        },
        "products_share_of_peak": round(timed.flops / products_s / peaks[dtype], 3),
        "step_share_of_peak": round(timed.flops / plain_s / peaks[dtype], 3),
    }


def peak_flops(dtype: torch.dtype, *, seconds: float = 0.3) -> float:
    """The most operations a second of processor time that a product of matrices reached.

    Sizes end with the first whose one product takes longer than all its time: where a processor
    has no units for the type, larger ones take minutes and are no faster.
    """
    best = 0.0
    for size in _SIZES:
        left, right = (torch.randn(size, size).to(dtype) for _ in range(2))
        ends = time.process_time() + seconds
        taken = 0.0
        while time.process_time() < ends:
            started = time.process_time()
            torch.mm(left, right)
            taken = time.process_time() - started
            best = max(best, 2 * size**3 / taken)
        if taken > seconds:
            break
    return best
