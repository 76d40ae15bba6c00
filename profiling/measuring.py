"""Measuring in fresh processes until every interval is narrow enough (no torch).

One process is one draw of memory layout, kernels and neighbours, so a session is several of them:
at least `protocol.min_processes`, then more until every interval is as narrow as asked, the time
budget ends, or there are as many as the interval's coverage was shown for. How a process is
started is an argument; `profiling.fresh` has the real one.
"""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from .environment import Environment
from .protocol import MOST_PROCESSES, LatencyProtocol
from .statistics import Process, Session

FEWEST_TO_COMPARE = 2
"""Processes that are measured whatever the time budget says: one has no range."""


class Starter(Protocol):
    """What starts a fresh process and waits for its rounds."""

    def __call__(
        self, index: int, *, on_visit: Callable[[int, int], None] | None = None
    ) -> Process:
        """Measure in the process of this number.

        Args:
            index: Its number, from 0.
            on_visit: See `latency.measure_rounds`.
        """
        ...


@dataclass(frozen=True, slots=True)
class MeasuringProgress:
    """How far measuring has come.

    Attributes:
        num_processes: Finished processes.
        min_processes: Processes that are needed at least.
        num_visits: Visits that the present process has made.
        visits_per_process: Visits that a process makes.
        elapsed_s: Seconds since measuring began.
        time_budget_s: Seconds it may take.
    """

    num_processes: int
    min_processes: int
    num_visits: int
    visits_per_process: int
    elapsed_s: float
    time_budget_s: float


def measure(
    start: Starter,
    protocol: LatencyProtocol,
    *,
    networks: Collection[str],
    sentinel: str,
    name: str,
    front: Collection[str] = (),
    finished: Sequence[Process] = (),
    enough: Callable[[Session], bool] = lambda session: session.resolved,
    on_process: Callable[[Process], None] | None = None,
    progress: Callable[[MeasuringProgress], None] | None = None,
    now_s: Callable[[], float] = time.monotonic,
) -> Session:
    """Measure networks against a sentinel in fresh processes.

    Args:
        start: Starts one.
        protocol: How to measure.
        networks: Names of the networks that a process visits, the sentinel among them.
        sentinel: Name of the network that ratios refer to, usually the full model.
        name: The session's name.
        front: Names of the networks that are to reach `protocol.front_half_width`.
        finished: Processes of the same networks and protocol that are measured already.
        enough: Whether a session of at least two processes may end; by default when every
            interval is narrow enough.
        on_process: Is given every finished process, to keep it.
        progress: Is told after every visit how far it has come.
        now_s: Reads the time, in seconds.

    Returns:
        All processes, those of `finished` first; `session[name]` is a network's measurement.

    Raises:
        ValueError: When the sentinel or the front are not among the networks.
    """
    unknown = {sentinel, *front} - set(networks)
    if unknown:
        raise ValueError(f"not among the networks: {', '.join(sorted(unknown))}")
    targets = {
        network: protocol.front_half_width if network in front else protocol.half_width
        for network in networks
    }
    environment = Environment.capture(device=protocol.device, runtime=protocol.runtime)
    session = Session(sentinel, targets, tuple(finished), protocol, environment, name)
    start_s, last_s = now_s(), 0.0
    while len(session.processes) < MOST_PROCESSES:
        number, begun_s = len(session.processes), now_s()
        in_time = begun_s - start_s + last_s <= protocol.time_budget_s
        if number >= FEWEST_TO_COMPARE and (enough(session) or not in_time):
            break

        def visited(done: int, of: int, number: int = number) -> None:
            if progress is not None:
                progress(
                    MeasuringProgress(
                        num_processes=number,
                        min_processes=protocol.min_processes,
                        num_visits=done,
                        visits_per_process=of,
                        elapsed_s=now_s() - start_s,
                        time_budget_s=protocol.time_budget_s,
                    )
                )

        entry = start(number, on_visit=visited)
        last_s = now_s() - begun_s
        session = replace(session, processes=(*session.processes, entry))
        if on_process is not None:
            on_process(entry)
    return replace(session, environment=environment.finished(device=protocol.device))
