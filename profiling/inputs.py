"""What a measured network is fed: random tokens under true attention masks (numpy, no torch).

Tokenisation takes no part in any timing.
"""

from collections.abc import Sequence

import numpy as np

from ..deploy.runner import Inputs
from .protocol import LatencyProtocol

NUM_QUANTILES = 16
"""Fewest lengths that stand for a task's histogram."""


def random_batches(
    protocol: LatencyProtocol, *, vocab_size: int, padding_id: int | None
) -> tuple[Inputs, ...]:
    """Draw the batches of one run.

    Args:
        protocol: Its lengths and its seed decide them.
        vocab_size: Tokens are drawn from the whole vocabulary, the padding token aside.
        padding_id: Stands behind the shorter sequences of a batch; None for networks without one.

    Returns:
        Batches of `input_ids` and `attention_mask`, each as long as its longest sequence.
    """
    generator = np.random.default_rng(protocol.seed)
    batches = []
    for lengths in protocol.batch_lengths:
        size = (len(lengths), max(lengths))
        ids = generator.integers(vocab_size - 1, size=size, dtype=np.int64)
        if padding_id is not None:
            ids += ids >= padding_id
        mask = (np.arange(size[1]) < np.array(lengths)[:, None]).astype(np.int64)
        ids[mask == 0] = padding_id or 0
        batches.append({"input_ids": ids, "attention_mask": mask})
    return tuple(batches)


def widened(batch: Inputs, width: int, *, padding_id: int | None) -> Inputs:
    """The batch padded on to a width of so many tokens."""
    pads = {"input_ids": padding_id or 0}
    return {
        name: np.pad(
            entry,
            ((0, 0), (0, width - entry.shape[1])),
            constant_values=pads.get(name, 0),
        )
        for name, entry in batch.items()
    }


def histogram_lengths(lengths: Sequence[int], *, batch_size: int) -> tuple[int, ...]:
    """Lengths that stand for a histogram: the quantiles in the middle of equal shares.

    Args:
        lengths: The true lengths of a task's examples, in tokens.
        batch_size: Sequences of a batch; two batches at least are filled.

    Returns:
        `max(NUM_QUANTILES, 2 * batch_size)` lengths, shortest first.
    """
    number = max(NUM_QUANTILES, 2 * batch_size)
    shares = (np.arange(number) + 0.5) / number
    return tuple(int(length) for length in np.quantile(lengths, shares, method="nearest"))
