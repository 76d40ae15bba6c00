"""What the networks of a run cost, measured on this machine."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from ...deploy.deployment import EAGER_FP32
from ...errors import InputError
from ...networks.network import Network
from ...profiling.protocol import LatencyProtocol
from ...profiling.table import CostTable
from ...search.front import ParetoFront
from ..context import Context
from ..costs import candidates, cost_table, measured
from ..feasible import check_measurable
from ..observations import SessionRecord, Subject
from ..scores import score_missing
from ..sessions import conditions_here, measure_session

if TYPE_CHECKING:
    from ...profiling.measuring import MeasuringProgress


def profile(
    context: Context,
    protocol: LatencyProtocol,
    *,
    anew: bool = False,
    deploying: Callable[[int, int], None] | None = None,
    progress: "Callable[[MeasuringProgress], None] | None" = None,
    scoring: Callable[[int, int], None] | None = None,
) -> CostTable:
    """Count, write and measure every network of the run, together with the full model.

    What is measured stays; a network that was added since is measured beside the full model. With
    a larger time budget the same session goes on. Once the run is searched, what was scored is
    scored as it is deployed here, where that changes the numbers.

    Args:
        context: The run.
        protocol: How to measure.
        anew: Whether to begin a new session, leaving what was measured aside.
        deploying: Is called with the number of written networks and of all.
        progress: Is called after every visit to a network.
        scoring: Is called with the number of scored networks and of all.

    Raises:
        InputError: When there is no supernet yet, or the device or the runtime is absent.
    """
    record = None if anew else profiled(context, protocol)
    if record is None:
        check_measurable(context, protocol)
        with context.timed("profile"):
            record = measure_session(
                context,
                [(network, protocol.deployment) for network in _subjects(context, protocol)],
                protocol,
                purpose="profile",
                anew=anew,
                front=_known_front(context, protocol),
                deploying=deploying,
                progress=progress,
            )
    table = cost_table(context, record)
    missing = [network for key, network in context.networks().items() if key not in table]
    if missing:
        measure_added(context, missing, protocol, deploying=deploying, progress=progress)
        table = cost_table(context, record)
    searched = context.ledger.evaluations(split="search", deployment=EAGER_FP32)
    score_missing(
        context,
        [network for key, network in context.networks().items() if key in searched],
        split="search",
        deployment=protocol.deployment,
        progress=scoring,
    )
    return table


def measure_added(
    context: Context,
    networks: list[Network],
    protocol: LatencyProtocol,
    *,
    deploying: Callable[[int, int], None] | None = None,
    progress: "Callable[[MeasuringProgress], None] | None" = None,
) -> SessionRecord:
    """Measure networks that a table lacks, beside the full model."""
    return measure_session(
        context,
        [(network, protocol.deployment) for network in networks],
        protocol,
        purpose="addition",
        deploying=deploying,
        progress=progress,
    )


def profiled(context: Context, protocol: LatencyProtocol) -> SessionRecord | None:
    """The session that measured here by a protocol, as far as its time budget allows."""
    wanted = conditions_here(protocol).id
    for record in measured(context):
        is_wanted = record.conditions.id == wanted and record.purpose == "profile"
        if is_wanted and record.suffices(protocol.time_budget_s):
            return record
    return None


def task_lengths(context: Context, protocol: LatencyProtocol) -> LatencyProtocol:
    """The same protocol for sequences as long as the task's own.

    Raises:
        InputError: When there is no supernet, and so no tokenizer, yet.
    """
    return protocol.with_lengths(context.workshop.lengths(context.full, protocol))


def _subjects(context: Context, protocol: LatencyProtocol) -> list[Network]:
    """The networks of the session that goes on, else all that the run has."""
    wanted = conditions_here(protocol).id
    networks = context.networks()
    for record in context.ledger.sessions(purpose="profile", conditions_id=wanted):
        known = [subject.network for subject in record.subjects]
        if all(identifier in networks for identifier in known):
            return [networks[identifier] for identifier in known]
    return list(networks.values())


def _known_front(context: Context, protocol: LatencyProtocol) -> list[Subject]:
    """The front's networks by what is known so far; none before the first search."""
    sessions = [r for r in measured(context) if r.conditions.protocol == context.request.protocol]
    if not sessions:
        return []
    try:
        scored = list(candidates(context, sessions[:1]))
    except InputError:
        return []
    front = ParetoFront.of(scored, context.request.search.objectives)
    return [Subject(entry.network.id, protocol.deployment) for entry in front.members]
