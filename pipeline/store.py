"""The database of a ledger: whose it is, its transactions, and what is said of it (no torch).

Every write is one transaction, so that processes may write at the same time and a kill loses at
most the write it falls into. What a database or a damaged row raises becomes one sentence.
"""

import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Self, TypeVar

from sqlalchemy import Connection, Engine, Table, func, select
from sqlalchemy.exc import SQLAlchemyError

from ..errors import InputError
from .database import file_engine, url_engine
from .schema import METADATA, RUNS, SCHEMA

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
_MAKING_TABLES = 0x706265727470
"""PostgreSQL's lock for it: two that make the same table at once would fail."""
_T = TypeVar("_T")


class Store:
    """The tables of a run in a database; `Store.open` opens or makes them.

    Attributes:
        run: The run's own name; every row has it.
    """

    def __init__(self, engine: Engine, *, place: str, run: str) -> None:
        """Use `Store.open`."""
        self._engine = engine
        self._place = place
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
        engine = file_engine(place) if isinstance(place, Path) else url_engine(place)
        name = str(place) if isinstance(place, Path) else engine.url.render_as_string()
        store = cls(engine, place=name, run=run)
        store._claim(is_file=isinstance(place, Path))
        return store

    def upsert(
        self,
        connection: Connection,
        table: Table,
        values: Mapping[str, Any],
        *,
        keys: Sequence[str],
        kept: Sequence[str] = (),
    ) -> None:
        """Insert a row, or replace the one with the same keys but for the columns to be kept."""
        dialect = import_module(f"sqlalchemy.dialects.{self._engine.dialect.name}")
        statement = dialect.insert(table).values(run=self.run, **values)
        new = {name: statement.excluded[name] for name in values if name not in (*keys, *kept)}
        where = ["run", *keys]
        connection.execute(
            statement.on_conflict_do_update(index_elements=where, set_=new)
            if new
            else statement.on_conflict_do_nothing(index_elements=where)
        )

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction that writes."""
        with (
            self._said(),
            self._engine.connect().execution_options(writes=True) as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that reads."""
        with self._said(), self._undamaged(), self._engine.connect() as connection:
            yield connection

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
        self._engine.dispose()

    def _claim(self, *, is_file: bool) -> None:
        """Make the tables where they are missing, and refuse those of others."""
        with self._said():
            with self.reading() as connection:
                known = self._engine.dialect.has_table(connection, RUNS.name)
                rows = connection.execute(select(RUNS)).all() if known else []
            if is_file and rows and self.run not in {row.run for row in rows}:
                raise InputError(
                    f"{self._place} is the ledger of another run: put back this run's own, or "
                    "delete it to begin anew."
                )
            for row in rows:
                if row.run == self.run and row.schema != SCHEMA:
                    raise InputError(
                        f"{self._place} has schema {row.schema}, this version reads {SCHEMA}: "
                        "start a new run."
                    )
            if self.run in {row.run for row in rows}:
                return
        with self.writing() as connection:
            if self._engine.dialect.name == "postgresql":
                connection.execute(select(func.pg_advisory_xact_lock(_MAKING_TABLES)))
            METADATA.create_all(connection)
            self.upsert(connection, RUNS, {"schema": SCHEMA}, keys=())

    @contextmanager
    def _said(self) -> Iterator[None]:
        """Turn what a database says into one sentence."""
        try:
            yield
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
            raise InputError(
                f"The ledger {self._place} cannot be used ({reason.rstrip('.')}): put back a copy "
                "of it, or delete it to have networks scored and measured again."
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
            f"The ledger {self._place} is damaged ({type(error).__name__}: {error}): put back "
            "a copy of it, or delete it to have networks scored and measured again."
        )
