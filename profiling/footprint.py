"""What a deployed network takes besides time: bytes on disk and memory, kept as it is found out.

Memory is measured by a fresh process for each network, which takes seconds, so every finding is
kept in a JSON Lines file: a header with the conditions, then one line per network. A line torn by
a kill is dropped on reading.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from ..deploy.artefact import size_bytes
from ..errors import InputError
from ..storage import append_record, read_records
from .conditions import Conditions, parsed
from .memory import peak_memory_bytes
from .protocol import LatencyProtocol


@dataclass(frozen=True, slots=True)
class Footprint:
    """The space that a deployed network takes.

    Attributes:
        network: Its name.
        size_bytes: Bytes of its files.
        peak_memory_bytes: Most memory in use while a fresh process loads and runs it.
    """

    network: str
    size_bytes: int
    peak_memory_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        return cls(**record)


def measure_footprint(folder: Path, protocol: LatencyProtocol) -> Footprint:
    """Weigh a written network and run it in a fresh process at the protocol's largest batch."""
    lengths = protocol.batch_lengths[-1]
    peak = peak_memory_bytes(
        folder,
        threads=protocol.threads,
        device=protocol.device,
        batch_size=len(lengths),
        seq_len=max(lengths),
    )
    return Footprint(folder.name, size_bytes(folder), peak)


@dataclass(frozen=True, slots=True)
class FootprintLog:
    """The footprints found out so far under the same conditions.

    Attributes:
        path: The file.
        conditions: What they are measured under.
    """

    path: Path
    conditions: Conditions

    def read(self) -> dict[str, Footprint]:
        """The footprints by network; none where there is no file.

        Raises:
            InputError: When the file is damaged or of other conditions; the message names the
                file and the field.
        """
        records = read_records(self.path)
        if not records:
            return {}
        header, *lines = records
        difference = Conditions.read(self.path, header).difference(self.conditions)
        if difference is not None:
            raise InputError(
                f"{self.path} holds sizes of another measurement, which differs in {difference}: "
                "use another folder, or delete the file to measure anew."
            )
        found = (
            parsed(self.path, f"line {number}", line, Footprint.from_dict)
            for number, line in enumerate(lines, start=2)
        )
        return {footprint.network: footprint for footprint in found}

    def append(self, footprint: Footprint) -> None:
        """Add a network's footprint, and the header before the first."""
        if not read_records(self.path):
            append_record(self.path, self.conditions.to_dict())
        append_record(self.path, footprint.to_dict())
