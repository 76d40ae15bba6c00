"""What `paretobert measure` found out on another machine, as the one file that is carried back.

The file holds how and where exported networks were measured, what each is (its network, its
deployment, the fingerprint of its files), their latencies, sizes and memory, and the raw times of
every process, from which the latencies follow. A file is written whole and checked whole.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ..deploy.deployment import Deployment
from ..errors import InputError
from ..networks.network import Network
from ..storage import read_json, write_json
from .conditions import Conditions, parsed
from .environment import Environment
from .protocol import LatencyProtocol
from .statistics import NoiseReport, Process, Session
from .table import LatencySummary

SCHEMA = 1
"""The version of the file."""

SESSION_NAME = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class CarriedNetwork:
    """One exported network as it was measured.

    Attributes:
        network: The network.
        deployment: Runtime and precision.
        run: The run that it was exported from.
        fingerprint: Of its files, see `deploy.artefact.fingerprint`.
        latency: Its latency, relative to the file's reference.
        size_bytes: Bytes of its files.
        peak_memory_bytes: Most memory in use while a fresh process loads and runs it.
    """

    network: Network
    deployment: Deployment
    run: str
    fingerprint: str
    latency: LatencySummary
    size_bytes: int
    peak_memory_bytes: int

    def __post_init__(self) -> None:
        """Check names and sizes."""
        for name in ("run", "fingerprint"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value:
                raise ValueError(f"{name} must be a word, not {value!r}")
        for name in ("size_bytes", "peak_memory_bytes"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} must be a positive whole number, not {value!r}")

    @property
    def key(self) -> str:
        """Network and deployment as one word, its name in the raw times."""
        return f"{self.network.id}/{self.deployment.slug}"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return {
            "network": self.network.to_dict(),
            "deployment": self.deployment.to_dict(),
            "run": self.run,
            "fingerprint": self.fingerprint,
            "latency": self.latency.to_dict(),
            "size_bytes": self.size_bytes,
            "peak_memory_bytes": self.peak_memory_bytes,
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        return cls(
            **{
                **record,
                "network": Network.from_dict(record["network"]),
                "deployment": Deployment.from_dict(record["deployment"]),
                "latency": LatencySummary.from_dict(record["latency"]),
            }
        )


@dataclass(frozen=True, slots=True)
class Carried:
    """Exported networks, measured together on one machine.

    Attributes:
        session: Name of the session.
        protocol: How they were measured; its runtime and precision are the reference's.
        environment: Where.
        reference: Key of the network that ratios refer to.
        networks: What was measured.
        noise: What the noise guards did.
        processes: The raw times.
    """

    session: str
    protocol: LatencyProtocol
    environment: Environment
    reference: str
    networks: tuple[CarriedNetwork, ...]
    noise: NoiseReport
    processes: tuple[Process, ...]

    def __post_init__(self) -> None:
        """Check that the parts are of one measurement, and that latencies follow from times."""
        keys = [entry.key for entry in self.networks]
        if not isinstance(self.session, str) or not SESSION_NAME.fullmatch(self.session):
            raise ValueError(f"{self.session!r} is no session's name")
        if len(set(keys)) != len(keys):
            raise ValueError("a network is there twice")
        if self.reference not in keys:
            raise ValueError(f"the reference {self.reference!r} is not among the networks")
        if self[self.reference].deployment != self.protocol.deployment:
            raise ValueError("the protocol is not that of the reference's runtime and precision")
        if not self.processes:
            raise ValueError("there are no processes")
        for process in self.processes:
            if process.networks != set(keys):
                raise ValueError(f"process {process.index} measured other networks")
        for entry in self.networks:
            _refuse_other_times(entry, self.relative_to(self.reference))

    def __getitem__(self, key: str) -> CarriedNetwork:
        """A network by its key."""
        return next(entry for entry in self.networks if entry.key == key)

    def relative_to(self, sentinel: str) -> Session:
        """The raw times with ratios to one of the networks, by its key."""
        return Session(
            sentinel=sentinel,
            targets=dict.fromkeys((e.key for e in self.networks), self.protocol.half_width),
            processes=self.processes,
            protocol=self.protocol,
            environment=self.environment,
            name=self.session,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return {
            "schema": SCHEMA,
            "session": self.session,
            "machine": self.environment.machine,
            "protocol": self.protocol.to_dict(),
            "environment": self.environment.to_dict(),
            "reference": self.reference,
            "networks": [entry.to_dict() for entry in self.networks],
            "noise": self.noise.to_dict(),
            "processes": [entry.to_dict() for entry in self.processes],
        }


def write_carried(path: Path, carried: Carried) -> None:
    """Write the file, atomically."""
    write_json(path, carried.to_dict())


def read_carried(path: Path) -> Carried:
    """Read a file that `paretobert measure` wrote.

    Raises:
        InputError: When it is missing, is no such file, is damaged or of another version; the
            message names the file and the part.
    """
    record = read_json(path)
    if not isinstance(record, dict) or "schema" not in record or "processes" not in record:
        raise InputError(f"{path} is no file that `paretobert measure` wrote.")
    if record["schema"] != SCHEMA:
        raise InputError(
            f"{path} has schema {record['schema']!r}, this version reads {SCHEMA}: measure again "
            "with the same version of paretobert."
        )
    conditions = Conditions.read(path, record)
    networks = parsed(path, "networks", record.get("networks"), _networks)
    noise = parsed(path, "noise", record.get("noise"), NoiseReport.from_dict)
    processes = parsed(path, "processes", record["processes"], _processes)
    return parsed(
        path,
        "latency",
        record,
        lambda whole: Carried(
            session=whole["session"],
            protocol=conditions.protocol,
            environment=conditions.environment,
            reference=whole["reference"],
            networks=networks,
            noise=noise,
            processes=processes,
        ),
    )


def _networks(records: Sequence[Mapping[str, Any]]) -> tuple[CarriedNetwork, ...]:
    return tuple(CarriedNetwork.from_dict(record) for record in records)


def _processes(records: Sequence[Mapping[str, Any]]) -> tuple[Process, ...]:
    return tuple(Process.from_dict(record) for record in records)


def _refuse_other_times(entry: CarriedNetwork, session: Session) -> None:
    """Raise if a latency is not what the raw times say."""
    if entry.latency.session != session.name:
        raise ValueError(f"the latency of {entry.key} is of another session")
    found = LatencySummary.from_measurement(session[entry.key])
    for name in ("value", "low", "high"):
        stated, follows = (getattr(each.time_ms, name) for each in (entry.latency, found))
        if not math.isclose(stated, follows, rel_tol=1e-6):
            raise ValueError(f"the latency of {entry.key} does not follow from its raw times")
