"""The measuring self-test on the networks of a run."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from ..networks.shape import EncoderShape
from ..networks.subnet import SubnetConfig
from ..profiling.fresh import FreshProcesses, Written
from ..profiling.measuring import MeasuringProgress
from ..profiling.protocol import LatencyProtocol
from ..profiling.selftest import FULL, SelfTest, depth_name, self_test
from .scoring import SubnetScorer

DEPTHS = (1.0, 0.75, 0.5, 0.25)
"""Depth multipliers at which more layers must not be faster."""


def run_self_test(
    scorer: SubnetScorer,
    protocol: LatencyProtocol,
    *,
    progress: Callable[[MeasuringProgress], None] | None = None,
) -> SelfTest:
    """Deploy the full model and its shallower sub-networks of full width, and test with them.

    Args:
        scorer: The run's sub-networks.
        protocol: How to measure.
        progress: Is told after every visit how far measuring has come.

    Raises:
        InputError: When the device, the runtime or a package is absent.
    """
    protocol.deployment.require(protocol.device)
    config = scorer.model.config
    shape = EncoderShape.from_config(config)
    subnets = {
        subnet.num_layers: subnet
        for subnet in (SubnetConfig.from_multipliers(shape, 1.0, depth) for depth in DEPTHS)
    }
    with tempfile.TemporaryDirectory() as scratch:
        written = {layers: Written(Path(scratch) / depth_name(layers)) for layers in subnets}
        for layers, subnet in subnets.items():
            scorer.write(subnet, protocol.deployment, written[layers].folder)
        fresh = FreshProcesses(
            {
                **dict.fromkeys(FULL, written[shape.num_layers]),
                **{depth_name(layers): subject for layers, subject in written.items()},
            },
            protocol,
            sentinel=FULL[0],
            vocab_size=config.vocab_size,
            padding_id=config.pad_token_id,
        )
        return self_test(fresh, tuple(subnets), protocol, progress=progress)
