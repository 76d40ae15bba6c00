"""From raw run times to medians, paired ratios and intervals (numpy, no torch).

A *visit* times one network some times in a row. A *round* visits every network once, the sentinel
(the full model) three times: first, in the middle and last. Its visits share the machine's mood,
so a network is compared with the sentinel of its own round. A *process* is a few rounds of a
freshly started process: memory layout and the kernels chosen differ between processes and never
inside one, so the process is the unit of repetition and every interval is over processes.

The value of a process is the median over its rounds, taken on the logarithm; over processes,
Student's t interval (Student 1908), of at least 94 % coverage. `docs/statistics.md` says why.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from ..intervals import FEWEST_PROCESSES, Interval
from .environment import Environment
from .protocol import LatencyProtocol

LEVEL = 0.985
"""Two-sided level that Student's t is asked for, so that the interval covers at least .94."""

_STUDENT = {
    4: 4.087974788125326,
    5: 3.633841230662073,
    6: 3.3722869317071185,
    7: 3.2031520453702225,
    8: 3.0851224189791724,
    9: 2.998203427920089,
    10: 2.931585397888895,
    11: 2.878928883141048,
}

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
class Process:
    """The rounds of one freshly started process.

    Attributes:
        index: Its number, from 0.
        rounds: Its finished rounds.
        foreign_share: Share of all processors' time that other programs used meanwhile; None where
            the system does not tell.
        energies_j: Joules of one batch of each network; empty where the machine has no counter,
            and for all processes but the first.
    """

    index: int
    rounds: tuple[Round, ...]
    foreign_share: float | None = None
    energies_j: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that there are rounds and that all are of the same networks."""
        networks = {frozenset(visit.network for visit in entry.visits) for entry in self.rounds}
        if len(networks) != 1:
            raise ValueError(f"process {self.index} needs rounds that all visit the same networks")

    @property
    def networks(self) -> frozenset[str]:
        """Names of the networks that every round visits."""
        return frozenset(visit.network for visit in self.rounds[0].visits)

    def time_s(self, network: str) -> float:
        """Seconds of a run: the median over rounds."""
        return float(np.median([entry.median_s(network) for entry in self.rounds]))

    def ratio(self, ours: str, theirs: str) -> float:
        """Time of one network relative to another: the median over rounds of paired ratios."""
        return float(
            np.median([entry.median_s(ours) / entry.median_s(theirs) for entry in self.rounds])
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return {
            "index": self.index,
            "rounds": [entry.to_dict() for entry in self.rounds],
            "foreign_share": self.foreign_share,
            "energies_j": dict(self.energies_j),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        return cls(**{**record, "rounds": tuple(map(Round.from_dict, record["rounds"]))})


def estimate(per_process: ArrayLike) -> Interval:
    """Geometric mean over processes with Student's t interval on the logarithm.

    Args:
        per_process: One positive value per process, [P].
    """
    values = np.asarray(per_process, dtype=float)
    logarithms, count = np.log(values), len(values)
    mean = float(logarithms.mean())
    if count < FEWEST_PROCESSES:
        low, high = float(values.min()), float(values.max())
        return Interval(min(max(math.exp(mean), low), high), low, high, count, "processes")
    error = float(logarithms.std(ddof=1)) / math.sqrt(count)
    half = student_quantile(count - 1) * error
    low, high = math.exp(mean - half), math.exp(mean + half)
    return Interval(math.exp(mean), low, high, count, "processes")


def student_quantile(freedom: int) -> float:
    """The quantile of Student's t that an interval at `LEVEL` reaches to on either side.

    Those of the numbers of processes that sessions have are at hand: SciPy takes a quarter of a
    second to import, which is much of the time that a query takes.
    """
    if freedom in _STUDENT:
        return _STUDENT[freedom]
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + LEVEL) / 2))


def paired_ratio(ours: Sequence[float], theirs: Sequence[float]) -> Interval:
    """Ratio of two networks, paired by process: below 1 when ours is faster.

    Args:
        ours: One value per process, [P].
        theirs: The same processes' of the other network, [P].

    Raises:
        ValueError: When the two do not have the same processes.
    """
    if len(ours) != len(theirs):
        raise ValueError(f"paired processes differ in number: {len(ours)} and {len(theirs)}")
    return estimate(np.asarray(ours) / np.asarray(theirs))


def product(ratio: Interval, reference: Interval) -> Interval:
    """A ratio to a reference times the reference, with an interval of its own.

    The two errors are added in squares on the logarithm, which is on the safe side.

    Args:
        ratio: Relative to the reference.
        reference: The reference, of the same processes.
    """
    below = math.hypot(
        math.log(ratio.value / ratio.low), math.log(reference.value / reference.low)
    )
    above = math.hypot(
        math.log(ratio.high / ratio.value), math.log(reference.high / reference.value)
    )
    value = ratio.value * reference.value
    count = min(ratio.n, reference.n)
    return Interval(value, value * math.exp(-below), value * math.exp(above), count, "processes")


def tail_quantile(times_s: Sequence[float], quantile: float) -> float | None:
    """A tail quantile of all runs, None when there are fewer than `QUANTILE_RUNS` asks for."""
    if len(times_s) < QUANTILE_RUNS[quantile]:
        return None
    return float(np.quantile(times_s, quantile))


@dataclass(frozen=True, slots=True)
class NoiseReport:
    """What the noise guards did: nothing is discarded silently.

    Attributes:
        num_processes: Processes that were started.
        num_rounds: Rounds that count.
        num_visits: Visits that count.
        num_discarded_visits: Visits that were repeated, or belonged to a given-up attempt.
        num_noisy_visits: Visits that count although they stayed above the invalid spread.
        num_redos: Attempts at a round that were given up because the sentinel drifted.
        num_drifted_rounds: Rounds that count although the sentinel drifted in every attempt.
        foreign_share: Mean share of all processors' time that other programs used meanwhile; None
            where the system does not tell.
    """

    num_processes: int
    num_rounds: int
    num_visits: int
    num_discarded_visits: int
    num_noisy_visits: int
    num_redos: int
    num_drifted_rounds: int
    foreign_share: float | None = None

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
        session: The session that it was measured in.
    """

    network: str
    session: "Session"

    @property
    def times_s(self) -> tuple[float, ...]:
        """Seconds of every run that counts, in order of time."""
        visits = chain.from_iterable(
            entry.visits_of(self.network) for entry in self.session.rounds
        )
        return tuple(chain.from_iterable(visit.times_s for visit in visits))

    @property
    def process_ratios(self) -> tuple[float, ...]:
        """Time relative to the sentinel, one value per process."""
        sentinel = self.session.sentinel
        return tuple(entry.ratio(self.network, sentinel) for entry in self.session.processes)

    @property
    def ratio(self) -> Interval:
        """Time relative to the sentinel: the headline."""
        return estimate(self.process_ratios)

    @property
    def time_s(self) -> Interval:
        """Seconds of a run: the ratio times the session's one reference time."""
        return product(self.ratio, self.session.reference_s)

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
        """Whether there are enough processes and the interval is as narrow as was aimed at."""
        ratio = self.ratio
        enough = not ratio.is_range and ratio.n >= self.session.protocol.min_processes
        return enough and ratio.half_width <= self.session.targets[self.network]

    def ratio_to(self, other: "Measurement") -> Interval:
        """Time relative to another network of the same session, paired by round."""
        return estimate(
            [entry.ratio(self.network, other.network) for entry in self.session.processes]
        )


@dataclass(frozen=True, slots=True)
class Session:
    """All processes of one measuring session.

    Attributes:
        sentinel: Name of the network that ratios refer to.
        targets: Relative half-width aimed at, by network.
        processes: The finished processes.
        protocol: How it was measured.
        environment: Where it was measured.
        name: Tells this session's figures from those of others.
    """

    sentinel: str
    targets: dict[str, float]
    processes: tuple[Process, ...] = field(repr=False)
    protocol: LatencyProtocol
    environment: Environment
    name: str

    def __getitem__(self, network: str) -> Measurement:
        """The measurement of one network."""
        return Measurement(network, self)

    @property
    def networks(self) -> tuple[str, ...]:
        """Names of the networks, the sentinel among them."""
        return tuple(self.targets)

    @property
    def rounds(self) -> tuple[Round, ...]:
        """The rounds of all processes, in order of time."""
        return tuple(chain.from_iterable(entry.rounds for entry in self.processes))

    @property
    def reference_s(self) -> Interval:
        """Seconds of a run of the sentinel."""
        return estimate([entry.time_s(self.sentinel) for entry in self.processes])

    @property
    def resolved(self) -> bool:
        """Whether every network's interval is narrow enough."""
        return bool(self.processes) and all(self[name].resolved for name in self.networks)

    @property
    def energies_j(self) -> Mapping[str, float]:
        """Joules of one batch of each network, where the machine has a counter."""
        return self.processes[0].energies_j if self.processes else {}

    @property
    def noise(self) -> NoiseReport:
        """What the noise guards did."""
        rounds = self.rounds
        visits = list(chain.from_iterable(entry.visits for entry in rounds))
        shares = [
            entry.foreign_share for entry in self.processes if entry.foreign_share is not None
        ]
        return NoiseReport(
            num_processes=len(self.processes),
            num_rounds=len(rounds),
            num_visits=len(visits),
            num_discarded_visits=sum(len(entry.discarded) for entry in rounds),
            num_noisy_visits=sum(visit.spread > self.protocol.invalid_spread for visit in visits),
            num_redos=sum(entry.num_redos for entry in rounds),
            num_drifted_rounds=sum(
                entry.drift(self.sentinel) > self.protocol.drift_tolerance for entry in rounds
            ),
            foreign_share=float(np.mean(shares)) if shares else None,
        )
