"""From raw run times to medians, paired ratios and intervals (numpy, no torch).

A *visit* times one network some times in a row. A *round* visits every network once, the sentinel
(the full model) three times: first, in the middle and last. A round counts as a whole: its visits
share the machine's mood, so a network is compared with the sentinel of its own round, and the
95 % intervals come from resampling rounds, never single runs.

Left out: any model of the noise. Medians of medians and the percentile bootstrap need none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field
from itertools import chain
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from .environment import Environment
from .protocol import LatencyProtocol

NUM_RESAMPLES = 2000
"""Bootstrap resamples of the rounds."""

QUANTILE_RUNS = {0.90: 44, 0.99: 459}
"""Fewest runs from which a tail quantile is reported.

With so many runs the slowest lies beyond the quantile with a probability of 99 %:
1 - 0.90**44 = 0.990 and 1 - 0.99**459 = 0.990.
"""


@dataclass(frozen=True, slots=True)
class Visit:
    """Timed runs of one network in a row.

    Attributes:
        network: Name of the network.
        times_s: Seconds of each run, in order.
    """

    network: str
    times_s: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check that there are times and that they are positive."""
        if not self.times_s or not min(self.times_s) > 0:
            raise ValueError(f"a visit needs positive times, not {self.times_s}")

    @property
    def median_s(self) -> float:
        """Median seconds of a run."""
        return float(np.median(self.times_s))

    @property
    def spread(self) -> float:
        """Interquartile range of the runs relative to their median."""
        low, high = np.quantile(self.times_s, (0.25, 0.75))
        return float(high - low) / self.median_s

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return {"network": self.network, "times_s": list(self.times_s)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        return cls(record["network"], tuple(record["times_s"]))


@dataclass(frozen=True, slots=True)
class Round:
    """One finished round.

    Attributes:
        index: Its number, from 0.
        visits: The visits that count, in the order of the round.
        discarded: Visits that do not count: noisy ones that were repeated, and all of an attempt
            that was given up because the sentinel drifted.
        num_redos: Attempts given up.
    """

    index: int
    visits: tuple[Visit, ...]
    discarded: tuple[Visit, ...] = ()
    num_redos: int = 0

    def visits_of(self, network: str) -> tuple[Visit, ...]:
        """The counting visits of one network; the sentinel has three."""
        return tuple(visit for visit in self.visits if visit.network == network)

    def median_s(self, network: str) -> float:
        """Seconds of a run in this round: the median over the network's visit medians."""
        return float(np.median([visit.median_s for visit in self.visits_of(network)]))

    def drift(self, sentinel: str) -> float:
        """Relative difference of the slowest and the fastest visit of the sentinel."""
        medians = [visit.median_s for visit in self.visits_of(sentinel)]
        return max(medians) / min(medians) - 1

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return {
            "index": self.index,
            "visits": [visit.to_dict() for visit in self.visits],
            "discarded": [visit.to_dict() for visit in self.discarded],
            "num_redos": self.num_redos,
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        return cls(
            index=record["index"],
            visits=tuple(map(Visit.from_dict, record["visits"])),
            discarded=tuple(map(Visit.from_dict, record["discarded"])),
            num_redos=record["num_redos"],
        )


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half of the interval relative to the value."""
        return (self.high - self.low) / 2 / self.value

    @property
    def excludes_one(self) -> bool:
        """Whether a ratio differs from 1: the one criterion for "faster" or "slower"."""
        return self.high < 1 or self.low > 1


def estimate(per_round: ArrayLike, *, seed: int) -> Estimate:
    """Median over rounds with a bootstrap interval over rounds.

    Args:
        per_round: One value per round, [R].
        seed: Of the resampling.
    """
    values = np.asarray(per_round, dtype=float)
    picks = np.random.default_rng(seed).integers(len(values), size=(NUM_RESAMPLES, len(values)))
    low, high = np.quantile(np.median(values[picks], axis=1), (0.025, 0.975))
    return Estimate(float(np.median(values)), float(low), float(high))


def paired_ratio(ours: Sequence[float], theirs: Sequence[float], *, seed: int) -> Estimate:
    """Ratio of two networks, paired by round: below 1 when ours is faster.

    Args:
        ours: One value per round, [R].
        theirs: The same rounds of the other network, [R].
        seed: Of the resampling.

    Raises:
        ValueError: When the two do not have the same rounds.
    """
    if len(ours) != len(theirs):
        raise ValueError(f"paired rounds differ in number: {len(ours)} and {len(theirs)}")
    return estimate(np.asarray(ours) / np.asarray(theirs), seed=seed)


def tail_quantile(times_s: Sequence[float], quantile: float) -> float | None:
    """A tail quantile of all runs, None when there are fewer than `QUANTILE_RUNS` asks for."""
    if len(times_s) < QUANTILE_RUNS[quantile]:
        return None
    return float(np.quantile(times_s, quantile))


@dataclass(frozen=True, slots=True)
class NoiseReport:
    """What the noise guards did: nothing is discarded silently.

    Attributes:
        num_rounds: Rounds that count.
        num_visits: Visits that count.
        num_discarded_visits: Visits that were repeated, or belonged to a given-up attempt.
        num_noisy_visits: Visits that count although they stayed above the invalid spread.
        num_redos: Attempts at a round that were given up because the sentinel drifted.
        num_drifted_rounds: Rounds that count although the sentinel drifted in every attempt.
    """

    num_rounds: int
    num_visits: int
    num_discarded_visits: int
    num_noisy_visits: int
    num_redos: int
    num_drifted_rounds: int

    @classmethod
    def total(cls, reports: Sequence[Self]) -> Self:
        """The sums over several sessions."""
        return cls(*(sum(counts) for counts in zip(*map(astuple, reports), strict=True)))

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        return cls(**record)


@dataclass(frozen=True, slots=True)
class Measurement:
    """The raw times of one network beside those of the sentinel; statistics are properties.

    Attributes:
        network: Name of the network.
        sentinel: Name of the network that ratios refer to.
        rounds: The finished rounds, shared with the other networks of the session.
        protocol: How it was measured.
        environment: Where it was measured.
        target_half_width: Relative half-width of the ratio's interval that was aimed at.
    """

    network: str
    sentinel: str
    rounds: tuple[Round, ...] = field(repr=False)
    protocol: LatencyProtocol
    environment: Environment
    target_half_width: float

    @property
    def times_s(self) -> tuple[float, ...]:
        """Seconds of every run that counts, in order of time."""
        visits = chain.from_iterable(entry.visits_of(self.network) for entry in self.rounds)
        return tuple(chain.from_iterable(visit.times_s for visit in visits))

    @property
    def round_medians_s(self) -> tuple[float, ...]:
        """Seconds of a run, one value per round."""
        return tuple(entry.median_s(self.network) for entry in self.rounds)

    @property
    def round_ratios(self) -> tuple[float, ...]:
        """Time relative to the sentinel of the same round, one value per round."""
        return tuple(
            entry.median_s(self.network) / entry.median_s(self.sentinel) for entry in self.rounds
        )

    @property
    def time_s(self) -> Estimate:
        """Seconds of a run."""
        return estimate(self.round_medians_s, seed=self.protocol.seed)

    @property
    def ratio(self) -> Estimate:
        """Time relative to the sentinel: the headline."""
        return estimate(self.round_ratios, seed=self.protocol.seed)

    @property
    def p90_s(self) -> float | None:
        """90 % of the runs took at most so many seconds; None below 44 runs."""
        return tail_quantile(self.times_s, 0.90)

    @property
    def p99_s(self) -> float | None:
        """99 % of the runs took at most so many seconds; None below 459 runs."""
        return tail_quantile(self.times_s, 0.99)

    @property
    def resolved(self) -> bool:
        """Whether there are enough rounds and the interval is as narrow as was aimed at."""
        enough = len(self.rounds) >= self.protocol.min_rounds
        return enough and self.ratio.half_width <= self.target_half_width

    def ratio_to(self, other: "Measurement") -> Estimate:
        """Time relative to another network of the same session, paired by round."""
        return paired_ratio(self.round_medians_s, other.round_medians_s, seed=self.protocol.seed)

    def ties_with(self, other: "Measurement") -> bool:
        """Whether neither is faster: the interval of their paired ratio holds 1."""
        return not self.ratio_to(other).excludes_one


@dataclass(frozen=True, slots=True)
class Session:
    """All rounds of one measuring session.

    Attributes:
        sentinel: Name of the network that ratios refer to.
        targets: Relative half-width aimed at, by network.
        rounds: The finished rounds.
        protocol: How it was measured.
        environment: Where it was measured.
    """

    sentinel: str
    targets: dict[str, float]
    rounds: tuple[Round, ...] = field(repr=False)
    protocol: LatencyProtocol
    environment: Environment

    def __getitem__(self, network: str) -> Measurement:
        """The measurement of one network."""
        return Measurement(
            network,
            self.sentinel,
            self.rounds,
            self.protocol,
            self.environment,
            self.targets[network],
        )

    @property
    def networks(self) -> tuple[str, ...]:
        """Names of the networks, the sentinel among them."""
        return tuple(self.targets)

    @property
    def resolved(self) -> bool:
        """Whether every network's interval is narrow enough."""
        return all(self[network].resolved for network in self.networks)

    @property
    def noise(self) -> NoiseReport:
        """What the noise guards did."""
        visits = list(chain.from_iterable(entry.visits for entry in self.rounds))
        return NoiseReport(
            num_rounds=len(self.rounds),
            num_visits=len(visits),
            num_discarded_visits=sum(len(entry.discarded) for entry in self.rounds),
            num_noisy_visits=sum(visit.spread > self.protocol.invalid_spread for visit in visits),
            num_redos=sum(entry.num_redos for entry in self.rounds),
            num_drifted_rounds=sum(
                entry.drift(self.sentinel) > self.protocol.drift_tolerance for entry in self.rounds
            ),
        )
