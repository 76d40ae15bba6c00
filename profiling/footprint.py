"""What a deployed network takes besides time: bytes on disk and memory.

Memory is measured by a fresh process for each network, which takes seconds.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from ..deploy.artefact import size_bytes
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


def measure_footprint(name: str, folder: Path, protocol: LatencyProtocol) -> Footprint:
    """Weigh a written network and run it in a fresh process at the protocol's largest batch.

    Args:
        name: The network's name.
        folder: What `deploy.artefact.write` wrote.
        protocol: Its device, threads and lengths are used.
    """
    lengths = protocol.batch_lengths[-1]
    peak = peak_memory_bytes(
        folder,
        threads=protocol.threads,
        device=protocol.device,
        batch_size=len(lengths),
        seq_len=max(lengths),
    )
    return Footprint(name, size_bytes(folder), peak)
