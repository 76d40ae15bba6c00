"""The measuring self-test on the networks of a run."""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from ..dynabert.shape import EncoderShape
from ..dynabert.subnet import SubnetConfig
from ..profiling.deployed import bound_run
from ..profiling.latency import Progress
from ..profiling.protocol import LatencyProtocol
from ..profiling.selftest import SelfTest, self_test
from .scoring import SubnetScorer

DEPTHS = (1.0, 0.75, 0.5, 0.25)
"""Depth multipliers at which more layers must not be faster."""


def run_self_test(
    scorer: SubnetScorer,
    protocol: LatencyProtocol,
    *,
    progress: Callable[[Progress], None] | None = None,
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
    bind = partial(
        bound_run, protocol=protocol, vocab_size=config.vocab_size, padding_id=config.pad_token_id
    )
    runs = {}
    with tempfile.TemporaryDirectory() as scratch:
        for layers, subnet in subnets.items():
            folder = Path(scratch) / subnet.key
            scorer.write(subnet, protocol.deployment, folder)
            runs[layers] = bind(folder)
    return self_test(runs[shape.num_layers], runs, protocol, progress=progress)
