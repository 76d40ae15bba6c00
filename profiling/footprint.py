"""What a deployed network takes besides time: bytes on disk and memory.

Memory is measured in a process of its own for each network: see `memory`.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from ..deploy.artefact import size_bytes
from .memory import peak_memory
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


Weigher = Callable[[str, Path], Footprint]
"""Weighs a network by its name and the folder that `deploy.artefact.write` wrote."""


@contextmanager
def weighing(protocol: LatencyProtocol) -> Iterator[Weigher]:
    """Give what weighs networks of one runtime and runs each at the protocol's largest batch.

    Args:
        protocol: Its device, threads and lengths are used.
    """
    lengths = protocol.batch_lengths[-1]
    with peak_memory(
        threads=protocol.threads,
        device=protocol.device,
        batch_size=len(lengths),
        seq_len=max(lengths),
    ) as peak:
        yield lambda name, folder: Footprint(name, size_bytes(folder), peak(folder))
