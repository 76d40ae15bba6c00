"""A written network bound to the protocol's inputs: what one timed run is (torch only if used)."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..deploy.artefact import load, read_record
from ..errors import InputError
from .inputs import random_batches, widened
from .protocol import LatencyProtocol


def bound_run(
    folder: Path,
    protocol: LatencyProtocol,
    *,
    padded_to: int | None = None,
) -> Callable[[], object]:
    """Load a written network and bind it to the protocol's batches.

    Args:
        folder: What `deploy.artefact.write` wrote; not needed any more afterwards.
        protocol: Its device, threads and lengths are used.
        padded_to: Tokens that every batch is padded to; None for the longest of each batch.

    Returns:
        A call that runs the network once over all batches.

    Raises:
        InputError: When the network's logits are not finite.
    """
    runner = load(folder, threads=protocol.threads, device=protocol.device)
    record = read_record(folder)
    padding_id = record["padding_id"]
    batches = random_batches(protocol, vocab_size=record["vocab_size"], padding_id=padding_id)
    if padded_to is not None:
        batches = tuple(widened(batch, padded_to, padding_id=padding_id) for batch in batches)
    if not np.isfinite(runner.logits(batches[0])).all():
        raise InputError(
            f"The network {folder.name} gives logits that are not finite: its checkpoint is "
            "damaged, train it again."
        )
    calls = [runner.bind(batch) for batch in batches]
    if len(calls) == 1:
        return calls[0]
    return lambda: [call() for call in calls]
