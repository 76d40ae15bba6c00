"""What networks cost as they are deployed, and tables of it (no torch)."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from ..intervals import Interval
from ..networks.network import Network
from .conditions import Conditions
from .counts import FLOPS_PER_MAC, count_macs, count_parameters
from .environment import Environment
from .protocol import LatencyProtocol
from .quietness import disturbances
from .statistics import Measurement, NoiseReport, paired_ratio, product

_MS_PER_S = 1000.0


@dataclass(frozen=True, slots=True)
class LatencySummary:
    """A measured latency: the ratio to the full model, and one reference time of that.

    The time in milliseconds is the ratio times the reference, so that networks of one session are
    ordered by their ratios, which no disturbance of a single visit moves much. Times are per
    batch; where the sequences differ in length, the mean over the protocol's batches.

    Attributes:
        ratio: Time relative to the full model of the same rounds.
        full_ms: Time of the full model in the same session.
        resolved: False when measuring ended before the ratio's interval was narrow enough.
        process_ratios: Time relative to the full model, one value per process.
        session: Name of the session; only figures of one session may be compared.
        num_runs: Timed runs that count.
        p90_ms: 90 % of the runs took at most so long; None below 44 runs, and where a run is
            several batches.
        p99_ms: 99 % of the runs took at most so long; None below 459 runs, likewise.
    """

    ratio: Interval
    full_ms: Interval
    resolved: bool
    process_ratios: tuple[float, ...]
    session: str
    num_runs: int
    p90_ms: float | None = None
    p99_ms: float | None = None

    def __post_init__(self) -> None:
        """Check that times and ratios are positive and intervals in order."""
        for name, entry in (("ratio", self.ratio), ("full model's time", self.full_ms)):
            if not 0 < entry.low <= entry.value <= entry.high:
                raise ValueError(
                    f"the interval of the {name} is [{entry.low}, {entry.high}] around "
                    f"{entry.value}"
                )

    @classmethod
    def from_measurement(cls, measurement: Measurement) -> Self:
        """Summarise the raw times."""
        session = measurement.session
        num_batches = len(session.protocol.batch_lengths)
        tails = (measurement.p90_s, measurement.p99_s) if num_batches == 1 else (None, None)
        return cls(
            ratio=measurement.ratio,
            full_ms=session.reference_s.scaled(_MS_PER_S / num_batches),
            resolved=measurement.resolved,
            process_ratios=measurement.process_ratios,
            session=session.name,
            num_runs=len(measurement.times_s),
            p90_ms=_milliseconds(tails[0]),
            p99_ms=_milliseconds(tails[1]),
        )

    @property
    def time_ms(self) -> Interval:
        """Milliseconds of a batch."""
        return product(self.ratio, self.full_ms)

    @property
    def is_reference(self) -> bool:
        """Whether this is the full model's own."""
        return set(self.process_ratios) == {1.0}

    @property
    def reference(self) -> Self:
        """The full model's own, of the same session."""
        return replace(
            self,
            ratio=replace(self.ratio, value=1.0, low=1.0, high=1.0),
            process_ratios=(1.0,) * len(self.process_ratios),
            p90_ms=None,
            p99_ms=None,
        )

    @property
    def speedup(self) -> float:
        """How many times faster than the full model."""
        return 1 / self.ratio.value

    def ratio_to(self, other: "LatencySummary") -> Interval:
        """Time relative to another network of the same session, paired by process.

        The full model's time cancels.

        Raises:
            ValueError: When the two are of different sessions.
        """
        if self.session != other.session:
            raise ValueError("latencies of two sessions cannot be compared")
        return paired_ratio(self.process_ratios, other.process_ratios)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return asdict(self) | {
            "ratio": self.ratio.to_dict(),
            "full_ms": self.full_ms.to_dict(),
            "process_ratios": list(self.process_ratios),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        return cls(
            **{
                **record,
                "ratio": Interval.from_dict(record["ratio"]),
                "full_ms": Interval.from_dict(record["full_ms"]),
                "process_ratios": tuple(record["process_ratios"]),
            }
        )


@dataclass(frozen=True, slots=True)
class Profile:
    """What one network costs as it is deployed; what is not known is None.

    Attributes:
        network: The network.
        num_params: Parameters, embeddings and head included.
        num_macs: Multiply-adds of one example of `seq_len` tokens.
        seq_len: Tokens that `num_macs` refers to.
        latency: Measured latency.
        size_bytes: Bytes on disk.
        peak_memory_bytes: Most memory in use while a fresh process loads and runs the network:
            resident on a CPU, allocated on a GPU.
        energy_j: Joules of one batch.
        sequences: Sequences of one batch, the mean where batches differ.
        values: What is known, by the names of `search.quantities`.
        judged: What limits are held against: of what has an interval, the end that is worse.
    """

    network: Network
    num_params: int | None
    num_macs: int | None
    seq_len: int
    latency: LatencySummary | None = None
    size_bytes: int | None = None
    peak_memory_bytes: int | None = None
    energy_j: float | None = None
    sequences: float = 1.0
    values: Mapping[str, float] = field(init=False, repr=False, compare=False)
    judged: Mapping[str, float] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check that what is known is positive, and gather it: queries look it up often."""
        for name in ("num_params", "num_macs", "seq_len", "size_bytes", "peak_memory_bytes"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise ValueError(f"{name} must be a positive integer")
        values = self._values()
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "judged", values | self._worse_ends())

    @classmethod
    def counted(
        cls,
        network: Network,
        *,
        seq_len: int,
        latency: LatencySummary | None = None,
        size_bytes: int | None = None,
        peak_memory_bytes: int | None = None,
        energy_j: float | None = None,
        sequences: float = 1.0,
    ) -> Self:
        """What a network costs, its counts in closed form.

        Args:
            network: One that is not printed.
            seq_len: Tokens of the example that operations are counted for.
            latency: What was measured, as in the fields of that name; so the others.
            size_bytes: See `latency`.
            peak_memory_bytes: See `latency`.
            energy_j: See `latency`.
            sequences: Sequences of one batch.
        """
        shape, config = network.shape, network.config
        assert shape is not None
        assert config is not None
        return cls(
            network=network,
            num_params=count_parameters(shape, config),
            num_macs=count_macs(shape, config, seq_len=seq_len),
            seq_len=seq_len,
            latency=latency,
            size_bytes=size_bytes,
            peak_memory_bytes=peak_memory_bytes,
            energy_j=energy_j,
            sequences=sequences,
        )

    @property
    def num_flops(self) -> int | None:
        """Floating-point operations of one example: two per multiply-add."""
        return None if self.num_macs is None else FLOPS_PER_MAC * self.num_macs

    @property
    def throughput_per_s(self) -> float | None:
        """Sequences per second, one batch after the other."""
        return self.values.get("throughput_per_s")

    def _values(self) -> dict[str, float]:
        latency = self.latency
        time_ms = None if latency is None else latency.time_ms.value
        return _known(
            latency_ms=time_ms,
            p99_ms=None if latency is None else latency.p99_ms,
            throughput_per_s=None if time_ms is None else self._per_s(time_ms),
            speedup=None if latency is None else latency.speedup,
            peak_memory_bytes=self.peak_memory_bytes,
            size_bytes=self.size_bytes,
            num_params=self.num_params,
            num_flops=self.num_flops,
            energy_j=self.energy_j,
        )

    def _worse_ends(self) -> dict[str, float]:
        latency = self.latency
        if latency is None:
            return {}
        longest_ms = latency.time_ms.high
        return {
            "latency_ms": longest_ms,
            "throughput_per_s": self._per_s(longest_ms),
            "speedup": 1 / latency.ratio.high,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return {
            "network": self.network.to_dict(),
            "num_params": self.num_params,
            "num_macs": self.num_macs,
            "seq_len": self.seq_len,
            "latency": None if self.latency is None else self.latency.to_dict(),
            "size_bytes": self.size_bytes,
            "peak_memory_bytes": self.peak_memory_bytes,
            "energy_j": self.energy_j,
            "sequences": self.sequences,
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        latency = record["latency"]
        return cls(
            **{
                **record,
                "network": Network.from_dict(record["network"]),
                "latency": None if latency is None else LatencySummary.from_dict(latency),
            }
        )

    def _per_s(self, time_ms: float) -> float:
        return self.sequences * _MS_PER_S / time_ms


@dataclass(frozen=True, slots=True)
class CostTable:
    """The costs of networks that were measured together, one way, on one machine.

    Attributes:
        protocol: How latencies were measured.
        environment: Where they were measured.
        profiles: One per network, the full model first.
        noise: What the noise guards did; None where nothing was measured.
    """

    protocol: LatencyProtocol
    environment: Environment
    profiles: tuple[Profile, ...]
    noise: NoiseReport | None = None
    _by_id: dict[str, Profile] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check that every network has one profile."""
        by_id = {profile.network.id: profile for profile in self.profiles}
        if not self.profiles or len(by_id) != len(self.profiles):
            raise ValueError("a table has one profile for each of at least one network")
        object.__setattr__(self, "_by_id", by_id)

    def __repr__(self) -> str:
        """The table on one line."""
        return f"<CostTable {self.protocol.title}: {len(self)} networks>"

    def __getitem__(self, network: str) -> Profile:
        """The profile of a network by its id; a KeyError names one that the table lacks."""
        if network not in self._by_id:
            raise KeyError(f"the table has no network {network}")
        return self._by_id[network]

    def __contains__(self, network: str) -> bool:
        """Whether the table has a profile of the network of that id."""
        return network in self._by_id

    def __iter__(self) -> Iterator[Profile]:
        """The profiles in order."""
        return iter(self.profiles)

    def __len__(self) -> int:
        """The number of networks."""
        return len(self.profiles)

    @property
    def full(self) -> Profile:
        """The profile of the full model, which every measured table has."""
        return next(profile for profile in self.profiles if profile.network.is_full)

    @property
    def disturbances(self) -> tuple[str, ...]:
        """What forbids to take the latencies at their word; none on a quiet machine."""
        return disturbances(
            self.noise, [entry.latency.resolved for entry in self if entry.latency is not None]
        )

    @property
    def conditions(self) -> Conditions:
        """What the latencies depend on besides the network."""
        return Conditions(self.protocol, self.environment)


def _known(**values: float | None) -> dict[str, float]:
    return {name: value for name, value in values.items() if value is not None}


def _milliseconds(time_s: float | None) -> float | None:
    return None if time_s is None else time_s * _MS_PER_S
