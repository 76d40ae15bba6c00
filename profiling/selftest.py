"""Whether this machine can be measured on at all: two questions whose answers are known.

A/A: one network under two names must tie; what is left of their difference is the noise floor.
Monotonicity: of two networks that differ in depth alone, the deeper one is never faster outside
the interval.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ..intervals import Interval
from .measuring import MeasuringProgress, Starter, measure
from .protocol import LatencyProtocol
from .statistics import NoiseReport

FULL = ("sentinel", "a", "b")
"""Names under which the full model is measured."""


def depth_name(layers: int) -> str:
    """The name under which the sub-network of so many layers is measured."""
    return f"{layers} layers"


@dataclass(frozen=True, slots=True)
class SelfTest:
    """What the self-test found.

    Attributes:
        same: Time of a network relative to itself under another name.
        steps: For each depth but the smallest, the number of layers and the time relative to the
            next smaller depth.
        noise: What the noise guards did.
        protocol: How it was measured.
    """

    same: Interval
    steps: tuple[tuple[int, Interval], ...]
    noise: NoiseReport
    protocol: LatencyProtocol

    @property
    def noise_floor(self) -> float:
        """The largest relative difference that the interval of the A/A ratio allows for."""
        return max(self.same.high - 1, 1 - self.same.low)

    @property
    def tied(self) -> bool | None:
        """Whether the network ties with itself; None where too few processes decide nothing."""
        return self.same.holds(1)

    @property
    def faster_though_deeper(self) -> tuple[int, ...]:
        """Depths, in layers, that were measured faster than the next smaller one."""
        return tuple(
            layers for layers, ratio in self.steps if ratio.holds(1) is False and ratio.high < 1
        )

    @property
    def passed(self) -> bool:
        """Whether both answers are the known ones."""
        return self.tied is True and not self.faster_though_deeper

    def to_dict(self) -> dict[str, Any]:
        """Return the findings as JSON types."""
        return {
            "passed": self.passed,
            "noise_floor": self.noise_floor,
            "same": self.same.to_dict(),
            "steps": [{"layers": layers, **ratio.to_dict()} for layers, ratio in self.steps],
            "noise": self.noise.to_dict(),
            "protocol": self.protocol.to_dict(),
        }

    def sentences(self) -> list[str]:
        """The findings for a reader, one sentence per line."""
        lines = [
            f"A/A: the full model against itself: {self.same.verdict(1, 'a tie', 'NO tie')}: "
            f"ratio {self.same.text('.4f')}, {self.same.meaning}.",
            f"Noise floor: {self.noise_floor:.2%} ({self.protocol.title}).",
        ]
        for layers, ratio in self.steps:
            outside = "FASTER" if ratio.value < 1 else "slower"
            lines.append(
                f"{layers} layers against the next smaller depth: {ratio.text('.4f')}, "
                f"{ratio.verdict(1, 'a tie', outside)}."
            )
        discarded = f"{self.noise.num_discarded_visits} of its visits were discarded"
        lines.append(
            f"{self.noise.num_rounds} rounds in {self.noise.num_processes} processes; {discarded}."
        )
        return lines


def self_test(
    start: Starter,
    depths: Collection[int],
    protocol: LatencyProtocol,
    *,
    progress: Callable[[MeasuringProgress], None] | None = None,
) -> SelfTest:
    """Measure the full model three times, and networks that differ in depth alone.

    Args:
        start: Starts processes that measure the networks of `FULL` and of `depth_name`.
        depths: Numbers of layers of the sub-networks of full width.
        protocol: How to measure.
        progress: Is told after every visit how far measuring has come.
    """
    names = (*FULL, *map(depth_name, depths))
    session = measure(
        start,
        protocol,
        networks=names,
        sentinel="sentinel",
        name="self-test",
        front=names,
        progress=progress,
    )
    return SelfTest(
        same=session["a"].ratio_to(session["b"]),
        steps=tuple(
            (deeper, session[depth_name(deeper)].ratio_to(session[depth_name(shallower)]))
            for shallower, deeper in pairwise(sorted(depths))
        ),
        noise=session.noise,
        protocol=protocol,
    )
