from collections.abc import Callable, Mapping
from itertools import chain, repeat

from paretobert.profiling.latency import HostClock, Run, measure_rounds
from paretobert.profiling.protocol import LatencyProtocol
from paretobert.profiling.statistics import Process


class FakeTime:
    """A time that only moves when a network runs."""

    def __init__(self) -> None:
        self.ns = 1

    def clock(self) -> HostClock:
        return HostClock(lambda: self.ns)

    def now_s(self) -> float:
        return self.ns / 1e9

    def network(self, *first_s: float, then_s: float | None = None) -> Callable[[], None]:
        """A run that takes the times given, in order, and then `then_s` or the last again."""
        last_s = first_s[-1] if then_s is None else then_s
        times = chain(first_s, repeat(last_s))

        def run() -> None:
            self.ns += round(next(times) * 1e9)

        return run


class FakeProcesses:
    """Starts processes of a fake time: `measure` needs no real ones."""

    def __init__(
        self,
        fake: FakeTime,
        networks: Callable[[int], Mapping[str, Run]],
        protocol: LatencyProtocol,
        *,
        sentinel: str = "full",
    ) -> None:
        self.fake = fake
        self.networks = networks
        self.protocol = protocol
        self.sentinel = sentinel
        self.started: list[int] = []

    def __call__(
        self, index: int, *, on_visit: Callable[[int, int], None] | None = None
    ) -> Process:
        self.started.append(index)
        found = measure_rounds(
            self.networks(index),
            self.protocol,
            sentinel=self.sentinel,
            process=index,
            on_visit=on_visit,
            clock=self.fake.clock(),
        )
        return Process(index, found, 0.0)
