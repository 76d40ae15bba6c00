"""The costs of a model's sub-networks, and the file that holds them (no torch).

A table is a JSON Lines file: a header (schema version, the full model's shape, protocol,
environment, the keys of the space that it covers, what the noise guards did), then one line per
sub-network. It is written as a whole, so a table is complete or it is not there.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from ..errors import InputError
from ..networks.shape import EncoderShape
from ..networks.subnet import SubnetConfig
from ..storage import read_records, write_text
from .conditions import Conditions, parsed
from .environment import Environment
from .protocol import LatencyProtocol
from .quietness import disturbances
from .statistics import Estimate, Measurement, NoiseReport, paired_ratio, product

SCHEMA = 3
"""Version of the file's layout: 3 measures in several fresh processes."""

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

    ratio: Estimate
    full_ms: Estimate
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
        reference = session.reference_s
        ms_per_s = _MS_PER_S / num_batches
        tails = (measurement.p90_s, measurement.p99_s) if num_batches == 1 else (None, None)
        return cls(
            ratio=measurement.ratio,
            full_ms=Estimate(
                reference.value * ms_per_s,
                reference.low * ms_per_s,
                reference.high * ms_per_s,
                reference.num_processes,
            ),
            resolved=measurement.resolved,
            process_ratios=measurement.process_ratios,
            session=session.name,
            num_runs=len(measurement.times_s),
            p90_ms=_milliseconds(tails[0]),
            p99_ms=_milliseconds(tails[1]),
        )

    @property
    def time_ms(self) -> Estimate:
        """Milliseconds of a batch."""
        return product(self.ratio, self.full_ms)

    @property
    def is_reference(self) -> bool:
        """Whether this is the full model's own."""
        return set(self.process_ratios) == {1.0}

    @property
    def speedup(self) -> float:
        """How many times faster than the full model."""
        return 1 / self.ratio.value

    def ratio_to(self, other: "LatencySummary") -> Estimate:
        """Time relative to another network of the same session, paired by process.

        The full model's time cancels.

        Raises:
            ValueError: When the two are of different sessions.
        """
        if self.session != other.session:
            raise ValueError("latencies of two sessions cannot be compared")
        return paired_ratio(self.process_ratios, other.process_ratios)

    def ties_with(self, other: "LatencySummary") -> bool:
        """Whether neither is faster: the interval of their paired ratio holds 1."""
        return not self.ratio_to(other).excludes_one

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return asdict(self) | {"process_ratios": list(self.process_ratios)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        return cls(
            **{
                **record,
                "ratio": Estimate(**record["ratio"]),
                "full_ms": Estimate(**record["full_ms"]),
                "process_ratios": tuple(record["process_ratios"]),
            }
        )


@dataclass(frozen=True, slots=True)
class Profile:
    """What one sub-network costs.

    Attributes:
        config: The sub-network.
        num_params: Parameters, embeddings and head included.
        num_macs: Multiply-adds of one example of `seq_len` tokens.
        seq_len: Tokens that `num_macs` refers to.
        latency: Measured latency, None where only counts are known.
        size_bytes: Bytes on disk of the network as deployed, None where it was not written.
        peak_memory_bytes: Most memory in use while a fresh process loads and runs the network:
            resident on a CPU, allocated on a GPU. None where it was not measured.
        energy_j: Joules of one batch, None where the machine has no counter.
    """

    config: SubnetConfig
    num_params: int
    num_macs: int
    seq_len: int
    latency: LatencySummary | None = None
    size_bytes: int | None = None
    peak_memory_bytes: int | None = None
    energy_j: float | None = None

    def __post_init__(self) -> None:
        """Check that the counts are positive."""
        for name in ("num_params", "num_macs", "seq_len", "size_bytes", "peak_memory_bytes"):
            value = getattr(self, name)
            if name in ("size_bytes", "peak_memory_bytes") and value is None:
                continue
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a positive integer")

    @property
    def flops(self) -> int:
        """Floating-point operations of one example: two per multiply-add."""
        return 2 * self.num_macs

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types, with the key for human readers."""
        return {
            "key": self.config.key,
            "config": self.config.to_dict(),
            "num_params": self.num_params,
            "num_macs": self.num_macs,
            "seq_len": self.seq_len,
            "latency": None if self.latency is None else self.latency.to_dict(),
            "size_bytes": self.size_bytes,
            "peak_memory_bytes": self.peak_memory_bytes,
            "energy_j": self.energy_j,
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        latency = record["latency"]
        return cls(
            size_bytes=record["size_bytes"],
            peak_memory_bytes=record["peak_memory_bytes"],
            energy_j=record["energy_j"],
            config=SubnetConfig.from_dict(record["config"]),
            num_params=record["num_params"],
            num_macs=record["num_macs"],
            seq_len=record["seq_len"],
            latency=None if latency is None else LatencySummary.from_dict(latency),
        )


@dataclass(frozen=True, slots=True)
class LookupTable:
    """The costs of many sub-networks of one model, measured one way on one machine.

    Attributes:
        shape: Sizes of the full model.
        protocol: How latencies were measured.
        environment: Where they were measured.
        profiles: One per sub-network, in the order asked for.
        noise: What the noise guards did; None where nothing was measured.
    """

    shape: EncoderShape
    protocol: LatencyProtocol
    environment: Environment
    profiles: tuple[Profile, ...]
    noise: NoiseReport | None = None
    _by_config: dict[SubnetConfig, Profile] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check that every sub-network is the shape's and has one profile."""
        by_config = {profile.config: profile for profile in self.profiles}
        if not self.profiles or len(by_config) != len(self.profiles):
            raise ValueError("a table has one profile for each of at least one sub-network")
        for config in by_config:
            config.validate_for(self.shape)
        object.__setattr__(self, "_by_config", by_config)

    def __getitem__(self, config: SubnetConfig) -> Profile:
        """The profile of a sub-network; a KeyError names one that the table lacks."""
        if config not in self._by_config:
            raise KeyError(f"the table has no sub-network {config.key}")
        return self._by_config[config]

    def __contains__(self, config: SubnetConfig) -> bool:
        """Whether the table has a profile of the sub-network."""
        return config in self._by_config

    def __iter__(self) -> Iterator[Profile]:
        """The profiles in order."""
        return iter(self.profiles)

    def __len__(self) -> int:
        """The number of sub-networks."""
        return len(self.profiles)

    def throughput(self, config: SubnetConfig) -> float | None:
        """Sequences per second of a sub-network at the protocol's batch size, if measured."""
        latency = self[config].latency
        if latency is None:
            return None
        batches = self.protocol.batch_lengths
        per_batch = sum(map(len, batches)) / len(batches)
        return per_batch * _MS_PER_S / latency.time_ms.value

    @property
    def full(self) -> Profile:
        """The profile of the full model, which every measured table has."""
        return self[SubnetConfig.full(self.shape)]

    @property
    def disturbances(self) -> tuple[str, ...]:
        """What forbids to take the latencies at their word; none on a quiet machine."""
        if self.noise is None:
            return ()
        return disturbances(
            self.noise, [entry.latency.resolved for entry in self if entry.latency is not None]
        )

    @property
    def conditions(self) -> Conditions:
        """What the latencies depend on besides the sub-network."""
        return Conditions(self.shape, self.protocol, self.environment)

    def save(self, path: Path) -> None:
        """Write the table, atomically."""
        header = {
            "schema": SCHEMA,
            **self.conditions.to_dict(),
            "space": [profile.config.key for profile in self.profiles],
            "noise": None if self.noise is None else self.noise.to_dict(),
        }
        records = [header, *(profile.to_dict() for profile in self.profiles)]
        write_text(path, "".join(json.dumps(record) + "\n" for record in records))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a table.

        Raises:
            InputError: When the file is missing, is no cost table, is damaged or of another
                version; the message names the file and the field.
        """
        if not path.is_file():
            raise InputError(f"{path} does not exist: profile the sub-networks first.")
        header, *records = read_records(path) or [{}]
        if "schema" not in header:
            raise InputError(f"{path} is not a cost table: its first line has no field 'schema'.")
        if header["schema"] != SCHEMA:
            raise InputError(
                f"{path} has the field schema {header['schema']!r}, this version reads {SCHEMA}: "
                "profile again."
            )
        conditions = Conditions.read(path, header)
        profiles = tuple(
            parsed(path, f"line {number}", record, Profile.from_dict)
            for number, record in enumerate(records, start=2)
        )
        keys = [profile.config.key for profile in profiles]
        if header.get("space") != keys:
            raise InputError(
                f"{path} is damaged in 'space': it names other sub-networks than its "
                f"{len(keys)} lines hold; delete it and profile again."
            )
        noise = header.get("noise")
        report = None if noise is None else parsed(path, "noise", noise, NoiseReport.from_dict)
        return parsed(
            path,
            "space",
            profiles,
            lambda found: cls(
                conditions.shape, conditions.protocol, conditions.environment, found, report
            ),
        )


def _milliseconds(time_s: float | None) -> float | None:
    return None if time_s is None else time_s * _MS_PER_S
