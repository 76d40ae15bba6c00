"""A sub-network as it is deployed: extracted, checked and written by its runtime.

Only what lies on disk is timed, weighed and scored, so that it is what a user would ship.
"""

from collections.abc import Sequence
from pathlib import Path

from transformers import PreTrainedModel

from ..deploy.artefact import write
from ..deploy.deployment import Deployment
from ..deploy.runner import Inputs
from ..encoders.extraction import extract
from ..networks.shape import EncoderShape
from ..networks.subnet import SubnetConfig
from .counts import count_macs, count_parameters
from .crosscheck import count_macs_by_fvcore

CHECK_LENGTH = 16
"""Tokens of the example on which a dense copy's multiply-adds are counted."""


def write_subnet(
    model: PreTrainedModel,
    config: SubnetConfig,
    deployment: Deployment,
    folder: Path,
    *,
    calibration: Sequence[Inputs] = (),
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
