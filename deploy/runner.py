"""What every runtime gives: a loaded network that can be bound to inputs and asked for logits."""

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Inputs = Mapping[str, NDArray[np.int64]]
"""`input_ids`, `attention_mask` and, where a network reads them, `token_type_ids`; all [B, T]."""

FP32_TOLERANCE = 1e-4
"""Largest difference of a logit in float32, times the largest logit where that exceeds 1."""


class ExportError(RuntimeError):
    """Written files do not compute what the network computes; nothing was left behind."""


class Runner(Protocol):
    """A network as its runtime has loaded it."""

    def bind(self, batch: Inputs) -> Callable[[], object]:
        """Prepare the inputs; the call that is returned runs the network and nothing else.

        Args:
            batch: int64 [B, T] each; an absent `token_type_ids` stands for zeros.
        """
        ...

    def logits(self, batch: Inputs) -> NDArray[np.float32]:
        """The logits [B, C] of a batch, as for `bind`."""
        ...


def completed(batch: Inputs, names: list[str]) -> dict[str, NDArray[np.int64]]:
    """The entries that a graph takes, in its order, with zeros where the batch has none."""
    zeros = np.zeros_like(batch["input_ids"])
    return {name: np.ascontiguousarray(batch.get(name, zeros)) for name in names}


def allowed_difference(expected: NDArray[np.float32]) -> float:
    """How far float32 logits may be from the expected ones."""
    return FP32_TOLERANCE * max(1.0, float(np.abs(expected).max()))
