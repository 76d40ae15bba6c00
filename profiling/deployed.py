"""A sub-network as it is deployed: extracted, checked, written by its runtime, bound to inputs.

Only what lies on disk is timed, weighed and scored, so that it is what a user would ship.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from transformers import PreTrainedModel

from ..dynabert.extraction import extract
from ..dynabert.shape import EncoderShape
from ..dynabert.subnet import SubnetConfig
from ..errors import InputError
from .counts import count_macs, count_parameters
from .crosscheck import count_macs_by_fvcore
from .inputs import Batch, random_batches
from .protocol import LatencyProtocol
from .runtimes.artefact import load, write
from .runtimes.deployment import Deployment

CHECK_LENGTH = 16
"""Tokens of the example on which a dense copy's multiply-adds are counted."""


def write_subnet(
    model: PreTrainedModel,
    config: SubnetConfig,
    deployment: Deployment,
    folder: Path,
    *,
    calibration: Sequence[Batch] = (),
) -> None:
    """Extract a sub-network, compare its counts with the closed form, and write it.

    Args:
        model: The full classification model, stock or a supernet's; it stays as it is.
        config: The sub-network.
        deployment: Runtime and precision.
        folder: The destination: a new folder.
        calibration: Batches of real text for runtimes that quantise with them.

    Raises:
        InputError: When the sub-network is not one of the model's.
        RuntimeError: When the dense copy has other counts than the closed form.
    """
    dense = extract(model, config)
    shape = EncoderShape.from_config(model.config)
    for name, counted, expected in (
        ("parameters", dense.num_parameters(), count_parameters(shape, config)),
        (
            "multiply-adds",
            count_macs_by_fvcore(dense, seq_len=CHECK_LENGTH),
            count_macs(shape, config, seq_len=CHECK_LENGTH),
        ),
    ):
        if counted != expected:
            raise RuntimeError(
                f"{config.key}: the dense copy has {counted} {name}, the closed form {expected}"
            )
    write(dense, deployment, folder, calibration=calibration)


def bound_run(
    folder: Path, protocol: LatencyProtocol, *, vocab_size: int, padding_id: int | None
) -> Callable[[], object]:
    """Load a written network and bind it to the protocol's batches.

    Args:
        folder: What `write_subnet` wrote; not needed any more afterwards.
        protocol: Its device, threads and lengths are used.
        vocab_size: See `random_batches`.
        padding_id: See `random_batches`.

    Returns:
        A call that runs the network once over all batches.

    Raises:
        InputError: When the network's logits are not finite.
    """
    runner = load(folder, threads=protocol.threads, device=protocol.device)
    batches = random_batches(protocol, vocab_size=vocab_size, padding_id=padding_id)
    if not np.isfinite(runner.logits(batches[0])).all():
        raise InputError(
            f"The network {folder.name} gives logits that are not finite: its checkpoint is "
            "damaged, train it again."
        )
    calls = [runner.bind(batch) for batch in batches]
    if len(calls) == 1:
        return calls[0]
    return lambda: [call() for call in calls]
