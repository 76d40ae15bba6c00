"""What a latency depends on besides the sub-network, and reading it from files (no torch).

Tables and the logs of rounds both begin with it, and both refuse to be put together with
measurements that were made under other conditions, naming the field that differs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self, TypeVar

from ..errors import InputError
from ..networks.shape import EncoderShape
from .environment import Environment
from .protocol import LatencyProtocol

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Conditions:
    """The full model's sizes, the way of measuring and the machine."""

    shape: EncoderShape
    protocol: LatencyProtocol
    environment: Environment

    def difference(self, other: "Conditions") -> str | None:
        """The first field that forbids comparing the two, as "protocol.threads: 1 and 2"."""
        shape_names = tuple(field.name for field in fields(EncoderShape))
        for label, ours, theirs, names in (
            ("shape", self.shape, other.shape, shape_names),
            (
                "protocol",
                self.protocol,
                other.protocol,
                self.protocol.differences(other.protocol),
            ),
            (
                "environment",
                self.environment,
                other.environment,
                self.environment.differences(other.environment),
            ),
        ):
            for name in names:
                one, two = getattr(ours, name), getattr(theirs, name)
                if one != two:
                    return f"{label}.{name}: {one} and {two}"
        return None

    def to_dict(self) -> dict[str, Any]:
        """Return the parts as JSON types."""
        return {
            "shape": self.shape.to_dict(),
            "protocol": self.protocol.to_dict(),
            "environment": self.environment.to_dict(),
        }

    @classmethod
    def read(cls, path: Path, header: Mapping[str, Any]) -> Self:
        """Read the parts from the first line of `path`.

        Raises:
            InputError: When a part is missing or damaged; the message names file and part.
        """
        return cls(
            parsed(path, "shape", header.get("shape"), EncoderShape.from_dict),
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
    raise InputError(f"{path} is damaged in {name!r}: {reason}; delete it and profile again.")
