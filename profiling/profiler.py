"""Measuring networks as they are deployed: written, weighed, timed together in fresh processes.

Only what lies on disk is timed and weighed, so that it is what a user would ship. Who writes a
network and who keeps what is found are arguments: profiles, second timings, self-tests and the
design of a predictor are this one function.
"""

import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .footprint import Footprint, weighing
from .fresh import FreshProcesses, Written
from .measuring import MeasuringProgress, Starter, measure
from .protocol import MAX_SECONDS, LatencyProtocol
from .statistics import Process, Session

DECIDING = 2.0
"""Times the protocol's time budget that measuring may take on top, where intervals do not yet
decide what they are for."""

Writer = Callable[[Path], None]
"""Writes one network as it is deployed into a new folder (`deploy.artefact.write`)."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What measuring found.

    Attributes:
        session: The times, of earlier processes too.
        footprints: Bytes on disk and in memory by name; those that were known are among them.
        spent: Whether it was measured to the end to decide something.
    """

    session: Session
    footprints: Mapping[str, Footprint]
    spent: bool


def measure_deployed(
    writers: Mapping[str, Writer],
    protocol: LatencyProtocol,
    *,
    sentinel: str,
    session: str,
    finished: Sequence[Process] = (),
    front: Collection[str] = (),
    footprints: Mapping[str, Footprint] | None = None,
    undecided: Callable[[Session], bool] = lambda found: False,
    on_process: Callable[[Process], None] | None = None,
    on_footprint: Callable[[Footprint], None] | None = None,
    deploying: Callable[[int, int], None] | None = None,
    progress: Callable[[MeasuringProgress], None] | None = None,
    starter: Callable[[FreshProcesses], Starter] = lambda fresh: fresh,
) -> Measured:
    """Write networks, weigh them and time them together.

    Where the intervals leave undecided what they are for, measuring goes on to its end and is then
    judged once: looking after every process would choose a lucky one.

    Args:
        writers: By name, what writes each network.
        protocol: How to measure.
        sentinel: Name of the network that ratios refer to, usually the full model.
        session: The session's name.
        finished: Processes of the same networks and protocol that are measured already.
        front: Names of the networks that are to reach `protocol.front_half_width`.
        footprints: Those that are known; None where none is wanted. It takes a process each.
        undecided: Whether a session that could end leaves something undecided.
        on_process: Is given every finished process, to keep it.
        on_footprint: Is given every new footprint, to keep it.
        deploying: Is told how many networks are written and weighed, and of how many.
        progress: Is told after every visit how far measuring has come.
        starter: Gives what measures in place of fresh processes.

    Raises:
        InputError: When the device, the runtime or a package is absent, or logits are not finite.
    """
    protocol.deployment.require(protocol.device)
    known = dict(footprints or {})
    with tempfile.TemporaryDirectory() as scratch, weighing(protocol) as weigh:
        subjects = {}
        for number, (name, write) in enumerate(writers.items(), start=1):
            subjects[name] = Written(Path(scratch) / str(number))
            write(subjects[name].folder)
            if footprints is not None and name not in known:
                known[name] = weigh(name, subjects[name].folder)
                if on_footprint is not None:
                    on_footprint(known[name])
            if deploying is not None:
                deploying(number, len(writers))
        start = starter(FreshProcesses(subjects, protocol, sentinel=sentinel))
        found = measure(
            start,
            protocol,
            networks=subjects,
            sentinel=sentinel,
            name=session,
            front=front,
            finished=finished,
            on_process=on_process,
            progress=progress,
        )
        spent = undecided(found)
        if spent:
            found = measure(
                start,
                replace(
                    protocol, time_budget_s=min(MAX_SECONDS, DECIDING * protocol.time_budget_s)
                ),
                networks=subjects,
                sentinel=sentinel,
                name=session,
                front=front,
                finished=found.processes,
                enough=lambda so_far: False,
                on_process=on_process,
                progress=progress,
            )
    return Measured(found, known, spent)
