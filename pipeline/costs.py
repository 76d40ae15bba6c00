"""Which of a run's cost tables is meant (no torch)."""

from pathlib import Path

from ..errors import InputError
from ..profiling.protocol import LatencyProtocol
from ..profiling.table import LookupTable


def read_tables(folder: Path) -> list[LookupTable]:
    """Every cost table of a folder, by name; none where it does not exist."""
    return [LookupTable.load(path) for path in sorted(folder.glob("*.jsonl"))]


def find_table(
    folder: Path,
    own: LatencyProtocol,
    *,
    device: str | None = None,
    runtime: str | None = None,
    precision: str | None = None,
) -> LookupTable:
    """The table of a device, a runtime and a precision; of several, the one most like `own`.

    Args:
        folder: The run's cost tables.
        own: The run's own protocol, which decides whatever is None.
        device: The device.
        runtime: The runtime.
        precision: The precision.

    Raises:
        InputError: When there is none; the message says which command makes it.
    """
    asked = {
        "device": device or own.device,
        "runtime": runtime or own.runtime,
        "precision": precision or own.precision,
    }
    exact = folder / f"{own.slug}.jsonl"
    if exact.exists() and all(getattr(own, name) == value for name, value in asked.items()):
        return LookupTable.load(exact)
    tables = [
        table
        for table in read_tables(folder)
        if all(getattr(table.protocol, name) == value for name, value in asked.items())
    ]
    if not tables:
        options = "".join(f" --{n} {v}" for n, v in asked.items() if v != getattr(own, n))
        raise InputError(
            f"{folder.parent} has no latencies of {asked['runtime']} {asked['precision']} on "
            f"{asked['device']}: paretobert profile {folder.parent}{options}."
        )
    return min(tables, key=lambda table: len(own.differences(table.protocol)))
