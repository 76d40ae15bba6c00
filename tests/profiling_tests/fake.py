from collections.abc import Callable
from itertools import chain, repeat

from paretobert.profiling.latency import HostClock


class FakeTime:
    """A time that only moves when a network runs."""

    def __init__(self) -> None:
        self.ns = 1

    def clock(self) -> HostClock:
        return HostClock(lambda: self.ns)

    def network(self, *first_s: float, then_s: float | None = None) -> Callable[[], None]:
        """A run that takes the times given, in order, and then `then_s` or the last again."""
        last_s = first_s[-1] if then_s is None else then_s
        times = chain(first_s, repeat(last_s))

        def run() -> None:
            self.ns += round(next(times) * 1e9)

        return run
