"""The measuring self-test on the networks of a run."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from ...networks.network import Network
from ...networks.subnet import SubnetConfig
from ...profiling.fresh import FreshProcesses, Written
from ...profiling.measuring import MeasuringProgress
from ...profiling.protocol import LatencyProtocol
from ...profiling.selftest import FULL, SelfTest, depth_name, self_test
from ..context import Context
from ..feasible import check_measurable

DEPTHS = (1.0, 0.75, 0.5, 0.25)
"""Depth multipliers at which more layers must not be faster."""


def self_test_run(
    context: Context,
    protocol: LatencyProtocol,
    *,
    progress: Callable[[MeasuringProgress], None] | None = None,
) -> SelfTest:
    """Deploy the full model and its shallower sub-networks of full width, and test with them.

    Args:
        context: The run.
        protocol: How to measure.
        progress: Is told after every visit how far measuring has come.

    Raises:
        InputError: When there is no supernet yet, or the device, the runtime or a package is
            absent.
    """
    check_measurable(context, protocol)
    shape = context.shape
    subnets: dict[int, Network] = {}
    for depth in DEPTHS:
        config = SubnetConfig.from_multipliers(shape, 1.0, depth)
        subnets[config.num_layers] = context.cut(config)
    with tempfile.TemporaryDirectory() as scratch:
        written = {layers: Written(Path(scratch) / depth_name(layers)) for layers in subnets}
        for layers, network in subnets.items():
            context.workshop.write(network, protocol.deployment, written[layers].folder)
        fresh = FreshProcesses(
            {
                **dict.fromkeys(FULL, written[shape.num_layers]),
                **{depth_name(layers): subject for layers, subject in written.items()},
            },
            protocol,
            sentinel=FULL[0],
        )
        return self_test(fresh, tuple(subnets), protocol, progress=progress)
