"""Measuring latency in randomised, complete rounds with the full model as sentinel.

A visit throws its first runs away, then times runs one by one until there are enough of them. A
round visits every network once in fresh random order and the sentinel first, in the middle and
last. Noisy visits are repeated, a round in which the sentinel drifts is measured again, all of it
counted. Rounds go on until every interval is narrow enough or the time budget ends.

A network is a call without arguments: its runtime has bound it to its inputs before. The clock is
an argument: tests drive the whole procedure with one that they turn themselves.
"""

import gc
import logging
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from typing import Protocol

import numpy as np
import torch

from .environment import Environment
from .protocol import LatencyProtocol
from .statistics import Round, Session, Visit

logger = logging.getLogger(__name__)

Run = Callable[[], object]
"""One timed run: a call without arguments, of a network that is bound to its inputs."""

FEWEST_ROUNDS = 3
"""Rounds that are finished whatever the time budget says: fewer have no interval."""


class Clock(Protocol):
    """What times runs."""

    def now_s(self) -> float:
        """Seconds since some fixed moment."""
        ...

    def time_runs(self, run: Run, num_runs: int) -> tuple[float, ...]:
        """Seconds of each of `num_runs` successive calls of `run`."""
        ...


class HostClock:
    """Times runs that are over when the call returns, as on a CPU.

    Args:
        read_ns: Reads the time in nanoseconds.
    """

    def __init__(self, read_ns: Callable[[], int] = time.perf_counter_ns) -> None:
        """Keep the source of time."""
        self._read_ns = read_ns

    def now_s(self) -> float:
        """Seconds since some fixed moment."""
        return self._read_ns() / 1e9

    def time_runs(self, run: Run, num_runs: int) -> tuple[float, ...]:
        """Seconds of each of `num_runs` successive calls of `run`."""
        times_ns = []
        for _ in range(num_runs):
            start_ns = self._read_ns()
            run()
            times_ns.append(self._read_ns() - start_ns)
        return tuple(time_ns / 1e9 for time_ns in times_ns)


class CudaClock:
    """Times runs on a CUDA device by events around each, with one synchronisation at the end.

    Args:
        device: The device that the runs use.
    """

    def __init__(self, device: str) -> None:
        """Keep the device."""
        self._device = torch.device(device)

    def now_s(self) -> float:
        """Seconds since some fixed moment."""
        return time.perf_counter()

    def time_runs(self, run: Run, num_runs: int) -> tuple[float, ...]:
        """Seconds of each of `num_runs` successive calls of `run`."""
        with torch.cuda.device(self._device):
            events = [torch.cuda.Event(enable_timing=True) for _ in range(num_runs + 1)]
            events[0].record()
            for event in events[1:]:
                run()
                event.record()
            torch.cuda.synchronize()
            return tuple(
                start.elapsed_time(end) / 1e3
                for start, end in zip(events, events[1:], strict=False)
            )


@dataclass(frozen=True, slots=True)
class Progress:
    """How far measuring has come.

    Attributes:
        num_rounds: Finished rounds.
        min_rounds: Rounds that are needed at least.
        num_visits: Visits of the present attempt at the next round.
        visits_per_round: Visits that make a round.
        elapsed_s: Seconds since measuring began.
        time_budget_s: Seconds it may take.
    """

    num_rounds: int
    min_rounds: int
    num_visits: int
    visits_per_round: int
    elapsed_s: float
    time_budget_s: float


def measure(
    networks: Mapping[str, Run],
    protocol: LatencyProtocol,
    *,
    sentinel: str,
    front: Collection[str] = (),
    finished: Sequence[Round] = (),
    on_round: Callable[[Round], None] | None = None,
    progress: Callable[[Progress], None] | None = None,
    clock: Clock | None = None,
) -> Session:
    """Measure networks against a sentinel.

    Args:
        networks: By name: calls that run a network once. The sentinel is one of them.
        protocol: How to measure.
        sentinel: Name of the network that ratios refer to, usually the full model.
        front: Names of the networks that are to reach `protocol.front_half_width`.
        finished: Rounds of the same networks and protocol that an earlier process finished.
        on_round: Is given every finished round, to keep it.
        progress: Is told after every visit how far it has come.
        clock: Times the runs; by default the device's own.

    Returns:
        All rounds, those of `finished` first; `session[name]` is a network's measurement.

    Raises:
        ValueError: When the sentinel or the front are not among the networks.
    """
    unknown = {sentinel, *front} - set(networks)
    if unknown:
        raise ValueError(f"not among the networks: {', '.join(sorted(unknown))}")
    targets = {
        name: protocol.front_half_width if name in front else protocol.half_width
        for name in networks
    }
    environment = Environment.capture(device=protocol.device, runtime=protocol.runtime)
    session = Session(sentinel, targets, tuple(finished), protocol, environment)
    if session.resolved:
        return session
    with quiet(protocol):
        meter = _Meter(networks, protocol, sentinel, clock or _clock(protocol), progress)
        for name in networks:
            meter.warm_up(name)
        while not session.resolved and meter.may_begin_round(len(session.rounds)):
            entry = meter.round(len(session.rounds))
            session = replace(session, rounds=(*session.rounds, entry))
            if on_round is not None:
                on_round(entry)
    return replace(session, environment=environment.finished(device=protocol.device))


class _Meter:
    """Makes visits and rounds."""

    def __init__(
        self,
        runs: Mapping[str, Run],
        protocol: LatencyProtocol,
        sentinel: str,
        clock: Clock,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self._runs = runs
        self._protocol = protocol
        self._sentinel = sentinel
        self._clock = clock
        self._progress = progress
        self._start_s = clock.now_s()
        self._attempt_s = 0.0

    def warm_up(self, name: str) -> None:
        """Run until two successive groups agree and the least time has passed."""
        protocol, clock = self._protocol, self._clock
        start_s, previous_s = clock.now_s(), float("inf")
        for num_groups in count(1):
            group = clock.time_runs(self._runs[name], protocol.warmup_group)
            median_s = float(np.median(group))
            steady = abs(median_s / previous_s - 1) < protocol.warmup_tolerance
            elapsed_s = clock.now_s() - start_s
            exhausted = num_groups * protocol.warmup_group >= protocol.warmup_max_runs
            if elapsed_s >= protocol.warmup_min_s and (steady or exhausted):
                return
            if elapsed_s >= protocol.warmup_max_s:
                return
            previous_s = median_s

    def may_begin_round(self, num_rounds: int) -> bool:
        """Whether another round fits the budget; the first few always do."""
        return num_rounds < FEWEST_ROUNDS or self._fits_budget()

    def round(self, index: int) -> Round:
        """Measure one round, again if the sentinel drifts; the steadiest attempt counts."""
        protocol = self._protocol
        attempts: list[Round] = []
        while True:
            attempts.append(self._attempt(index, num_attempts=len(attempts)))
            steady = attempts[-1].drift(self._sentinel) <= protocol.drift_tolerance
            if steady or len(attempts) > protocol.max_redos or not self._fits_budget():
                break
            logger.info("round %d: the sentinel drifted, measuring it again", index)
        kept = min(attempts, key=lambda attempt: attempt.drift(self._sentinel))
        given_up = [
            visit
            for attempt in attempts
            if attempt is not kept
            for visit in (*attempt.visits, *attempt.discarded)
        ]
        return replace(kept, discarded=(*kept.discarded, *given_up), num_redos=len(attempts) - 1)

    def _fits_budget(self) -> bool:
        elapsed_s = self._clock.now_s() - self._start_s
        return elapsed_s + self._attempt_s <= self._protocol.time_budget_s

    def _attempt(self, index: int, *, num_attempts: int) -> Round:
        gc.collect(0)
        start_s = self._clock.now_s()
        order = self._order(np.random.default_rng((self._protocol.seed, index, num_attempts)))
        visits: list[Visit] = []
        discarded: list[Visit] = []
        for name in order:
            visit = self._visit(name)
            if visit.spread > self._protocol.repeat_spread:
                visit, noisier = _steadier(visit, self._visit(name))
                discarded.append(noisier)
            visits.append(visit)
            self._report(index, num_visits=len(visits), visits_per_round=len(order))
        for position, visit in enumerate(visits):
            if visit.spread > self._protocol.invalid_spread:
                visits[position], noisier = _steadier(visit, self._visit(visit.network))
                discarded.append(noisier)
        self._attempt_s = self._clock.now_s() - start_s
        return Round(index, tuple(visits), tuple(discarded))

    def _order(self, generator: np.random.Generator) -> list[str]:
        others = [name for name in self._runs if name != self._sentinel]
        shuffled = [others[position] for position in generator.permutation(len(others))]
        middle = len(shuffled) // 2
        sentinel = [self._sentinel]
        return sentinel + shuffled[:middle] + sentinel + shuffled[middle:] + sentinel

    def _visit(self, name: str) -> Visit:
        """Discard some runs, then time at least so many runs and so many seconds."""
        protocol, run = self._protocol, self._runs[name]
        # One run at least is timed here even when none is to be discarded: it sizes the visit.
        guess_s = float(np.median(self._clock.time_runs(run, max(1, protocol.visit_discards))))
        times_s: tuple[float, ...] = ()
        while len(times_s) < protocol.visit_min_runs or sum(times_s) < protocol.visit_min_s:
            missing_runs = protocol.visit_min_runs - len(times_s)
            missing_s = protocol.visit_min_s - sum(times_s)
            num_runs = max(1, missing_runs, int(np.ceil(missing_s / guess_s)))
            times_s += self._clock.time_runs(run, num_runs)
        return Visit(name, times_s)

    def _report(self, num_rounds: int, *, num_visits: int, visits_per_round: int) -> None:
        if self._progress is not None:
            self._progress(
                Progress(
                    num_rounds=num_rounds,
                    min_rounds=self._protocol.min_rounds,
                    num_visits=num_visits,
                    visits_per_round=visits_per_round,
                    elapsed_s=self._clock.now_s() - self._start_s,
                    time_budget_s=self._protocol.time_budget_s,
                )
            )


def _steadier(one: Visit, two: Visit) -> tuple[Visit, Visit]:
    """The visit with the smaller spread, then the other."""
    return (one, two) if one.spread <= two.spread else (two, one)


def _clock(protocol: LatencyProtocol) -> Clock:
    return CudaClock(protocol.device) if protocol.device.startswith("cuda") else HostClock()


@contextmanager
def quiet(protocol: LatencyProtocol) -> Iterator[None]:
    """The protocol's threads, no gradients, no garbage collection; restored afterwards."""
    num_threads, collecting = torch.get_num_threads(), gc.isenabled()
    torch.set_num_threads(protocol.threads)
    gc.disable()
    try:
        with _pinned(protocol), torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(num_threads)
        if collecting:
            gc.enable()


@contextmanager
def _pinned(protocol: LatencyProtocol) -> Iterator[None]:
    """One thread stays on one core, where the system allows to say so; restored afterwards.

    The last core is taken: the first serves most interrupts. Of several threads only the caller
    could be pinned, so these are left to the system.
    """
    if protocol.threads > 1 or not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
