"""What a latency depends on besides the network: the protocol and the machine (no torch).

Latencies of different conditions are never put together: a table, a second timing and a predictor
each belong to one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from ..errors import InputError
from ..networks.network import identifier
from .environment import Environment
from .protocol import LatencyProtocol

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Conditions:
    """The way of measuring, and the machine with its versions."""

    protocol: LatencyProtocol
    environment: Environment

    @property
    def id(self) -> str:
        """A short hash; equal where latencies may be compared."""
        return identifier(
            {"protocol": self.protocol.measured, "machine": self.environment.measured}
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the parts as JSON types."""
        return {"protocol": self.protocol.to_dict(), "environment": self.environment.to_dict()}

    @classmethod
    def read(cls, path: Path, header: Mapping[str, Any]) -> Self:
        """Read the parts from a record of `path`.

        Raises:
            InputError: When a part is missing or damaged; the message names file and part.
        """
        return cls(
            parsed(path, "protocol", header.get("protocol"), LatencyProtocol.from_dict),
            parsed(path, "environment", header.get("environment"), Environment.from_dict),
        )


def parsed(path: Path, name: str, record: Any, parse: Callable[[Any], _T]) -> _T:
    """Parse one part of a file; whatever is wrong with it becomes one sentence.

    Args:
        path: The file, for the message.
        name: The part, for the message.
        record: What the file holds.
        parse: Makes the part of it.

    Raises:
        InputError: When `parse` fails; the message names file and part.
    """
    try:
        return parse(record)
    except KeyError as error:
        reason = f"the field {error} is missing"
    except (AttributeError, TypeError, ValueError, InputError) as error:
        reason = str(error).rstrip(".")
    raise InputError(f"{path} is damaged in {name!r}: {reason}; delete it to have it made again.")
