"""The rounds of one process: randomised and complete, with the full model as sentinel.

A visit throws its first runs away, then times runs one by one until there are enough of them. A
round visits every network once in fresh random order and the sentinel first, in the middle and
last. Noisy visits are repeated, a round in which the sentinel drifts is measured again while there
is time, all of it counted. How many processes there are is `profiling.measuring`'s business.

A network is a call without arguments: its runtime has bound it to its inputs before. The clock is
an argument: tests drive the whole procedure with one that they turn themselves.
"""

import gc
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from typing import Protocol

import numpy as np

from .protocol import LatencyProtocol
from .statistics import Round, Visit

logger = logging.getLogger(__name__)

Run = Callable[[], object]
"""One timed run: a call without arguments, of a network that is bound to its inputs."""


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
        self._device = device

    def now_s(self) -> float:
        """Seconds since some fixed moment."""
        return time.perf_counter()

    def time_runs(self, run: Run, num_runs: int) -> tuple[float, ...]:
        """Seconds of each of `num_runs` successive calls of `run`."""
        import torch

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


def measure_rounds(
    networks: Mapping[str, Run],
    protocol: LatencyProtocol,
    *,
    sentinel: str,
    process: int,
    on_visit: Callable[[int, int], None] | None = None,
    clock: Clock | None = None,
) -> tuple[Round, ...]:
    """Measure networks against a sentinel in this process, in `protocol.rounds` rounds.

    Args:
        networks: By name: calls that run a network once. The sentinel is one of them.
        protocol: How to measure.
        sentinel: Name of the network that ratios refer to, usually the full model.
        process: The process's number, which decides the visiting order with the seed.
        on_visit: Is told after every visit how many are done, and of how many; visits that are
            repeated count anew.
        clock: Times the runs; by default the device's own.

    Raises:
        ValueError: When the sentinel is not among the networks.
    """
    if sentinel not in networks:
        raise ValueError(f"the sentinel {sentinel} is not among the networks")
    with quiet(protocol):
        meter = _Meter(networks, protocol, sentinel, process, clock or _clock(protocol), on_visit)
        for name in networks:
            meter.warm_up(name)
        return tuple(meter.round(index) for index in range(protocol.rounds))


class _Meter:
    """Makes visits and rounds."""

    def __init__(
        self,
        runs: Mapping[str, Run],
        protocol: LatencyProtocol,
        sentinel: str,
        process: int,
        clock: Clock,
        on_visit: Callable[[int, int], None] | None,
    ) -> None:
        self._runs = runs
        self._protocol = protocol
        self._sentinel = sentinel
        self._process = process
        self._clock = clock
        self._on_visit = on_visit
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
        seed = (self._protocol.seed, self._process, index, num_attempts)
        order = self._order(np.random.default_rng(seed))
        visits: list[Visit] = []
        discarded: list[Visit] = []
        for name in order:
            visit = self._visit(name)
            if visit.spread > self._protocol.repeat_spread:
                visit, noisier = _steadier(visit, self._visit(name))
                discarded.append(noisier)
            visits.append(visit)
            if self._on_visit is not None:
                self._on_visit(
                    index * len(order) + len(visits), self._protocol.rounds * len(order)
                )
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


def _steadier(one: Visit, two: Visit) -> tuple[Visit, Visit]:
    """The visit with the smaller spread, then the other."""
    return (one, two) if one.spread <= two.spread else (two, one)


def _clock(protocol: LatencyProtocol) -> Clock:
    return CudaClock(protocol.device) if protocol.device.startswith("cuda") else HostClock()


@contextmanager
def quiet(protocol: LatencyProtocol) -> Iterator[None]:
    """The protocol's threads, no gradients, no garbage collection; restored afterwards."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        with _pinned(protocol), _torch_settings(protocol):
            yield
    finally:
        if collecting:
            gc.enable()


@contextmanager
def _torch_settings(protocol: LatencyProtocol) -> Iterator[None]:
    """Torch's threads and inference mode, where torch runs anything; restored afterwards."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    num_threads = torch.get_num_threads()
    torch.set_num_threads(protocol.threads)
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(num_threads)


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
