"""The database of a ledger: whose it is, its transactions, and what is said of it (no torch).

Every write is one transaction, so that processes may write at the same time and a kill loses at
most the write it falls into. What a database or a damaged row raises becomes one sentence.
"""

import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

from ..errors import InputError
from .database import Database, Execute, Refusal, database_at
from .schema import SCHEMA, TABLES

_DAMAGE = (
    AttributeError,
    InputError,
    KeyError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What reading a damaged row raises."""
_T = TypeVar("_T")


class Store:
    """The tables of a run in a database; `Store.open` opens or makes them.

    Attributes:
        run: The run's own name; every row has it.
    """

    def __init__(self, database: Database, *, run: str) -> None:
        """Use `Store.open`."""
        self._database = database
        self.run = run

    @classmethod
    def open(cls, place: Path | str, *, run: str) -> Self:
        """Open a ledger, or make it where there is none.

        Args:
            place: An SQLite file, or the URL of a database.
            run: The run's own name, from `run.json`; a file of another run is refused.

        Raises:
            InputError: When the file is damaged, of another run or of another version, or the
                database cannot be reached.
        """
        store = cls(database_at(place), run=run)
        store._claim()
        return store

    @contextmanager
    def writing(self) -> Iterator[Execute]:
        """A transaction that writes."""
        with self._said(), self._database.transaction(writes=True) as execute:
            yield execute

    @contextmanager
    def reading(self) -> Iterator[Execute]:
        """A transaction that reads."""
        with self._said(), self._undamaged(), self._database.transaction(writes=False) as execute:
            yield execute

    def upsert(
        self,
        execute: Execute,
        table: str,
        values: Mapping[str, Any],
        *,
        keys: Sequence[str],
        kept: Sequence[str] = (),
    ) -> None:
        """Insert a row, or replace the one with the same keys but for the columns to be kept.

        Args:
            execute: Of the transaction.
            table: Its name.
            values: By column, without the run's name.
            keys: The columns, beside the run's name, that tell rows apart.
            kept: The columns that a row keeps.
        """
        new = [f"{name} = excluded.{name}" for name in values if name not in (*keys, *kept)]
        execute(
            f"INSERT INTO {table} (run, {', '.join(values)}) "
            f"VALUES (:run, {', '.join(f':{name}' for name in values)}) "
            f"ON CONFLICT ({', '.join(['run', *keys])}) "
            + (f"DO UPDATE SET {', '.join(new)}" if new else "DO NOTHING"),
            run=self.run,
            **values,
        )

    def parsed(self, parse: Callable[[Any], _T], record: Any) -> _T:
        """What a row says.

        Raises:
            InputError: When it is damaged.
        """
        try:
            return parse(record)
        except _DAMAGE as error:
            raise self._damaged(error) from None

    def close(self) -> None:
        """Give back what is open."""
        self._database.close()

    def _claim(self) -> None:
        """Make the tables where they are missing, and refuse those of others."""
        database = self._database
        with self.reading() as execute:
            known = database.has_table(execute, "runs")
            rows = execute("SELECT runs.run, runs.schema FROM runs") if known else []
        schemas = {name: schema for name, schema in rows}
        if not database.is_shared and schemas and self.run not in schemas:
            raise InputError(
                f"{database.name} is the ledger of another run: put back this run's own, or "
                "delete it to begin anew."
            )
        if self.run in schemas:
            if schemas[self.run] != SCHEMA:
                raise InputError(
                    f"{database.name} has schema {schemas[self.run]}, this version reads "
                    f"{SCHEMA}: start a new run."
                )
            return
        with self.writing() as execute:
            database.await_makers(execute)
            for statement in TABLES:
                execute(statement.format(bytes=database.bytes_type))
            self.upsert(execute, "runs", {"schema": SCHEMA}, keys=())

    @contextmanager
    def _said(self) -> Iterator[None]:
        """Turn what a database says into one sentence."""
        try:
            yield
        except Refusal as refusal:
            reason = str(refusal).rstrip(".")
            raise InputError(
                f"The ledger {self._database.name} cannot be used ({reason}): put back a copy of "
                "it, or delete it to have networks scored and measured again."
            ) from None

    @contextmanager
    def _undamaged(self) -> Iterator[None]:
        """Turn what is wrong with a row into one sentence."""
        try:
            yield
        except _DAMAGE as error:
            raise self._damaged(error) from None

    def _damaged(self, error: Exception) -> InputError:
        return InputError(
            f"The ledger {self._database.name} is damaged ({type(error).__name__}: {error}): put "
            "back a copy of it, or delete it to have networks scored and measured again."
        )
