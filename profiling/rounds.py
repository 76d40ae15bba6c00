"""The log of finished rounds: raw times on disk, so that a broken profile goes on (no torch).

A JSON Lines file: a header with the conditions and the networks' names, then one line per round,
each synced when the round ends. A line torn by a kill is dropped on reading.
"""

from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..storage import append_record, read_records
from .conditions import Conditions, parsed
from .statistics import Round


@dataclass(frozen=True, slots=True)
class RoundLog:
    """The rounds of one set of networks, measured under the same conditions.

    Attributes:
        path: The file.
        conditions: What the rounds are measured under.
        networks: Names of the networks of every round.
    """

    path: Path
    conditions: Conditions
    networks: tuple[str, ...]

    def read(self) -> tuple[Round, ...]:
        """The rounds that an earlier process finished; none where there is no file.

        Raises:
            InputError: When the file is damaged or of other networks or conditions; the message
                names the file and the field.
        """
        records = read_records(self.path)
        if not records:
            return ()
        header, *lines = records
        difference = Conditions.read(self.path, header).difference(self.conditions)
        if difference is None and header.get("networks") != list(self.networks):
            difference = f"networks: {header.get('networks')} and {list(self.networks)}"
        if difference is not None:
            raise InputError(
                f"{self.path} holds rounds of another measurement, which differs in {difference}: "
                "use another folder, or delete the file to measure anew."
            )
        rounds = tuple(
            parsed(self.path, f"line {number}", line, Round.from_dict)
            for number, line in enumerate(lines, start=2)
        )
        for number, entry in enumerate(rounds, start=2):
            if {visit.network for visit in entry.visits} != set(self.networks):
                raise InputError(
                    f"{self.path} is damaged in 'line {number}': the round lacks a network; "
                    "delete it and profile again."
                )
        return rounds

    def append(self, entry: Round) -> None:
        """Add a finished round, and the header before the first."""
        if not read_records(self.path):
            header = self.conditions.to_dict() | {"networks": list(self.networks)}
            append_record(self.path, header)
        append_record(self.path, entry.to_dict())
