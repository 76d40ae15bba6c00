"""Learning to predict the latency of any sub-network of a run from a few that are measured."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from ...errors import InputError
from ...networks.subnet import SubnetConfig
from ...profiling.protocol import LatencyProtocol
from ..context import Context
from ..costs import cost_table
from ..feasible import check_measurable
from ..sessions import conditions_here, measure_session

if TYPE_CHECKING:
    from ...profiling.measuring import MeasuringProgress
    from ...profiling.predictor import PredictedLatency, Predictor


def build_predictor(
    context: Context,
    protocol: LatencyProtocol,
    *,
    deploying: Callable[[int, int], None] | None = None,
    progress: "Callable[[MeasuringProgress], None] | None" = None,
) -> "Predictor":
    """Measure a few sub-networks whose layers differ, and learn to predict any other.

    The measurements go on where they were interrupted.

    Args:
        context: The run.
        protocol: How to measure.
        deploying: Is called with the number of written sub-networks and of all.
        progress: Is called after every visit to a network.

    Returns:
        The predictor with its figures on held-out networks, already written, however good.

    Raises:
        InputError: When there is no supernet yet, or the device or the runtime is absent.
    """
    check_measurable(context, protocol)
    from ...profiling.design import design, held_out
    from ...profiling.predictor import Predictor

    shape = context.shape
    least = min(context.space.tokens)
    fitted = design(shape, seed=protocol.seed, least_tokens=least)
    judged = held_out(shape, seed=protocol.seed, without=fitted, least_tokens=least)
    networks = [context.cut(config) for config in (*fitted, *judged)]
    with context.timed("predictor"):
        record = measure_session(
            context,
            [(network, protocol.deployment) for network in networks],
            protocol,
            purpose="predictor",
            weigh=False,
            deploying=deploying,
            progress=progress,
        )
        predictor = Predictor.of_table(cost_table(context, record), held_out=judged)
        predictor.save(context.folder.predictor(record.conditions.id))
    return predictor


def predict(context: Context, subnet: str, protocol: LatencyProtocol) -> "PredictedLatency":
    """Predict the latency of any sub-network of the model, whatever its layers.

    Args:
        context: The run.
        subnet: Its key.
        protocol: The conditions.

    Raises:
        InputError: When there is no predictor for this machine and protocol, it is not good
            enough, or the key is no sub-network of the model.
    """
    predictor = known_predictor(context, conditions_here(protocol).id)
    if predictor is None:
        raise InputError(
            f"{context.folder.root} has no latency predictor for this protocol on this machine: "
            f"{context.command('profile')} --build-predictor."
        )
    return predictor.predict(SubnetConfig.from_key(subnet))


def known_predictor(context: Context, conditions_id: str) -> "Predictor | None":
    """The predictor that was built under some conditions; None where there is none."""
    path = context.folder.predictor(conditions_id)
    if not path.exists():
        return None
    from ...profiling.predictor import Predictor

    return Predictor.load(path)
