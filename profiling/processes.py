"""The log of finished processes: raw times on disk, so that a broken profile goes on (no torch).

A JSON Lines file: a header with the session's name, the conditions and the networks' names, then
one line per process, synced when the process ends. A line torn by a kill is dropped on reading.
"""

from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..storage import append_record, read_records
from .conditions import Conditions, parsed
from .statistics import Process


@dataclass(frozen=True, slots=True)
class ProcessLog:
    """The processes of one session: one set of networks, measured under the same conditions.

    Attributes:
        path: The file.
        session: The session's name, which a file that is there has of its own.
        conditions: What the networks are measured under.
        networks: Names of the networks that every process visits.
    """

    path: Path
    session: str
    conditions: Conditions
    networks: tuple[str, ...]

    def read(self) -> tuple[str, tuple[Process, ...]]:
        """The session's name and its processes so far; none where there is no file.

        Raises:
            InputError: When the file is damaged or of other networks or conditions; the message
                names the file and the field.
        """
        records = read_records(self.path)
        if not records:
            return self.session, ()
        header, *lines = records
        difference = Conditions.read(self.path, header).difference(self.conditions)
        if difference is None and header.get("networks") != list(self.networks):
            difference = f"networks: {header.get('networks')} and {list(self.networks)}"
        if difference is not None:
            raise InputError(
                f"{self.path} holds another measurement, which differs in {difference}: "
                "use another folder, or delete the file to measure anew."
            )
        processes = tuple(
            parsed(self.path, f"line {number}", line, Process.from_dict)
            for number, line in enumerate(lines, start=2)
        )
        for number, entry in enumerate(processes, start=2):
            if entry.networks != set(self.networks):
                raise InputError(
                    f"{self.path} is damaged in 'line {number}': the process lacks a network; "
                    "delete it and profile again."
                )
        return parsed(self.path, "session", header.get("session"), _name), processes

    def append(self, entry: Process) -> None:
        """Add a finished process, and the header before the first."""
        if not read_records(self.path):
            header = {
                "session": self.session,
                **self.conditions.to_dict(),
                "networks": list(self.networks),
            }
            append_record(self.path, header)
        append_record(self.path, entry.to_dict())


def _name(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no name")
    return value
