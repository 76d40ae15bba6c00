"""Measuring networks of a run in one session, kept in the ledger as it goes.

A killed session goes on where it was: its finished processes, sizes and fingerprints are in the
ledger. Second timings of answers are sessions too, so that the same answer is given at once the
next time, without torch.
"""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..deploy.artefact import fingerprint
from ..deploy.deployment import Deployment
from ..networks.network import Network
from ..profiling.conditions import Conditions
from ..profiling.environment import Environment
from ..profiling.footprint import Footprint
from ..profiling.protocol import LatencyProtocol
from ..profiling.statistics import Session
from ..profiling.table import LatencySummary
from .context import Context
from .ledger import Ledger
from .observations import Purpose, SessionRecord, Subject

if TYPE_CHECKING:
    from ..profiling.measuring import MeasuringProgress
    from ..profiling.profiler import Measured

logger = logging.getLogger(__name__)


def conditions_here(protocol: LatencyProtocol) -> Conditions:
    """What is measured by a protocol now and here depends on."""
    environment = Environment.capture(device=protocol.device, runtime=protocol.runtime)
    return Conditions(protocol, environment)


def measure_session(
    context: Context,
    networks: Sequence[tuple[Network, Deployment]],
    protocol: LatencyProtocol,
    *,
    purpose: Purpose,
    anew: bool = False,
    weigh: bool = True,
    front: Collection[Subject] = (),
    undecided: Callable[[Mapping[Subject, LatencySummary]], bool] = lambda latencies: False,
    deploying: Callable[[int, int], None] | None = None,
    progress: "Callable[[MeasuringProgress], None] | None" = None,
) -> SessionRecord:
    """Measure networks together with the full model, or go on where that was interrupted.

    Args:
        context: The run.
        networks: What to measure, each on its deployment. The full model, on the protocol's own,
            is measured in any case and comes first.
        protocol: How to measure.
        purpose: What for. A predictor's networks are written as the supernet has them.
        anew: Whether to begin a session of its own although there is one of the same networks.
        weigh: Whether sizes and memory are wanted too; a process per network.
        front: What is to reach the protocol's narrower half-width.
        undecided: Whether latencies leave undecided what they are for.
        deploying: Is told how many networks are written and weighed, and of how many.
        progress: Is told after every visit how far measuring has come.

    Returns:
        The finished session.

    Raises:
        InputError: When the device, the runtime or a package is absent, or a network's logits are
            not finite.
    """
    protocol.deployment.require(protocol.device)
    for _, deployment in networks:
        deployment.require(protocol.device)
    from ..profiling.profiler import Writer, measure_deployed

    ledger, workshop, conditions = context.ledger, context.workshop, conditions_here(protocol)
    by_subject = {
        Subject(network.id, deployment): network
        for network, deployment in [(context.full, protocol.deployment), *networks]
    }
    for network in by_subject.values():
        ledger.add_network(network)
    names = {subject.key: subject for subject in by_subject}
    record = ledger.session(
        purpose=purpose,
        conditions=conditions,
        subjects=tuple(by_subject),
        sentinel=Subject(context.full.id, protocol.deployment),
        anew=anew,
    )
    finished = ledger.processes(record.id)
    if finished:
        logger.info("%d processes were finished before and are kept", len(finished))

    def writer(subject: Subject) -> Writer:
        def write(folder: Path) -> None:
            if purpose == "predictor":
                workshop.write_unrepaired(by_subject[subject], subject.deployment, folder)
            else:
                workshop.write(by_subject[subject], subject.deployment, folder)
                ledger.add_fingerprint(subject, fingerprint(folder))

        return write

    def keep(found: Footprint) -> None:
        ledger.add_footprint(names[found.network], conditions, found)

    measured = measure_deployed(
        {subject.key: writer(subject) for subject in by_subject},
        protocol,
        sentinel=record.sentinel.key,
        session=record.id,
        finished=finished,
        front={subject.key for subject in front},
        footprints=_known_footprints(context, by_subject, conditions) if weigh else None,
        undecided=lambda found: undecided(_latencies(found, names)),
        on_process=lambda process: ledger.add_process(record.id, process),
        on_footprint=keep,
        deploying=deploying,
        progress=progress,
    )
    return keep_measured(ledger, record, measured, protocol)


def keep_measured(
    ledger: Ledger, record: SessionRecord, measured: "Measured", protocol: LatencyProtocol
) -> SessionRecord:
    """Finish a session in a ledger with what was measured of its subjects.

    Args:
        ledger: Where the session was begun.
        record: The session.
        measured: Latencies by the subjects' keys.
        protocol: How they were measured.
    """
    session, names = measured.session, {subject.key: subject for subject in record.subjects}
    return ledger.finish_session(
        record,
        environment=session.environment,
        noise=session.noise,
        time_budget_s=protocol.time_budget_s,
        spent=measured.spent,
        latencies=_latencies(session, names),
        energies_j={names[key]: value for key, value in session.energies_j.items()},
    )


def _latencies(session: Session, names: Mapping[str, Subject]) -> dict[Subject, LatencySummary]:
    return {
        subject: LatencySummary.from_measurement(session[key]) for key, subject in names.items()
    }


def _known_footprints(
    context: Context, subjects: Collection[Subject], conditions: Conditions
) -> dict[str, Footprint]:
    known: dict[str, Footprint] = {}
    for deployment in {subject.deployment for subject in subjects}:
        found = context.ledger.footprints(deployment=deployment, conditions_id=conditions.id)
        for identifier, footprint in found.items():
            known[Subject(identifier, deployment).key] = footprint
    return known
