"""Where a ledger is kept: an SQLite file, or a database that a URL names (no torch).

Both run the same SQL with named parameters, each statement inside a transaction. A file needs
Python's own `sqlite3`; SQLAlchemy, which takes as long to import as a query takes, is loaded for
URLs only.
"""

import os
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import InputError

if TYPE_CHECKING:
    from sqlalchemy import Engine

BUSY_S = 60.0
"""Seconds that a writer waits for another one."""

_SQLITE_MAGIC = b"SQLite format 3\x00"
_MAKING_TABLES = 0x706265727470
"""PostgreSQL's lock for it: two that make the same table at once would fail."""

Rows = list[tuple[Any, ...]]


class Refusal(Exception):
    """A database cannot do what is asked; the message says why, on one line."""


class Execute(Protocol):
    """Runs a statement inside a transaction."""

    def __call__(self, statement: str, /, **values: Any) -> Rows:
        """The rows that a statement finds.

        Args:
            statement: SQL, its parameters named as in `:run`.
            values: The parameters.
        """
        ...


class Database(Protocol):
    """What a ledger is kept in.

    Attributes:
        name: What a message calls it.
        bytes_type: Its type of bytes.
        is_shared: Whether it may hold the ledgers of several runs.
    """

    name: str
    bytes_type: str
    is_shared: bool

    def transaction(self, *, writes: bool) -> AbstractContextManager[Execute]:
        """A transaction, which is undone when it is left by an error.

        Raises:
            Refusal: When the database cannot be used.
        """
        ...

    def has_table(self, execute: Execute, name: str) -> bool:
        """Whether there is a table of that name."""
        ...

    def await_makers(self, execute: Execute) -> None:
        """Wait, inside a transaction, until no other one makes tables."""
        ...

    def close(self) -> None:
        """Give back what is open."""
        ...


class FileDatabase:
    """An SQLite file."""

    bytes_type = "BLOB"
    is_shared = False

    def __init__(self, path: Path) -> None:
        """Open a file, or make it where there is none.

        Raises:
            InputError: When it is no such file, or cannot be made.
        """
        _refuse_other_file(path)
        if not path.exists():
            _make_file(path)
        writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
        self.name = str(path)
        self._uri = f"{path.resolve().as_uri()}?mode={'rw' if writable else 'ro'}"

    @contextmanager
    def transaction(self, *, writes: bool) -> Iterator[Execute]:
        """See `Database`; each is of a connection of its own, so that threads share none."""
        try:
            with closing(self._connected()) as connection:
                # Two that read could wait for each other for ever once both want to write.
                connection.execute("BEGIN IMMEDIATE" if writes else "BEGIN")

                def execute(statement: str, /, **values: Any) -> Rows:
                    return connection.execute(statement, values).fetchall()

                yield execute
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise Refusal(_first_line(error)) from None

    def has_table(self, execute: Execute, name: str) -> bool:
        """See `Database`."""
        known = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = :name"
        return bool(execute(known, name=name))

    def await_makers(self, execute: Execute) -> None:
        """See `Database`; one writes at a time."""

    def close(self) -> None:
        """See `Database`; nothing stays open."""

    def _connected(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._uri, uri=True, timeout=BUSY_S, isolation_level=None)
        connection.execute("PRAGMA synchronous=FULL")
        return connection


class UrlDatabase:
    """A database that SQLAlchemy reaches."""

    is_shared = True

    def __init__(self, url: str) -> None:
        """Find the driver; nothing is connected yet.

        Raises:
            InputError: When the URL or the driver cannot be used.
        """
        from sqlalchemy import create_engine
        from sqlalchemy.exc import SQLAlchemyError

        try:
            self._engine: Engine = create_engine(url, pool_pre_ping=True)
        except (SQLAlchemyError, ImportError) as error:
            shown, reason = url.rpartition("@")[2], _first_line(error).rstrip(".")
            raise InputError(f"The ledger's database {shown} cannot be used: {reason}.") from None
        self.name = self._engine.url.render_as_string()
        self._is_postgresql = self._engine.dialect.name == "postgresql"
        self.bytes_type = "BYTEA" if self._is_postgresql else "BLOB"

    @contextmanager
    def transaction(self, *, writes: bool) -> Iterator[Execute]:
        """See `Database`."""
        from sqlalchemy import text
        from sqlalchemy.exc import SQLAlchemyError

        try:
            with self._engine.begin() as connection:

                def execute(statement: str, /, **values: Any) -> Rows:
                    found = connection.execute(text(statement), values)
                    return [tuple(row) for row in found] if found.returns_rows else []

                yield execute
        except SQLAlchemyError as error:
            raise Refusal(_first_line(getattr(error, "orig", None) or error)) from None

    def has_table(self, execute: Execute, name: str) -> bool:
        """See `Database`."""
        from sqlalchemy import inspect

        return inspect(self._engine).has_table(name)

    def await_makers(self, execute: Execute) -> None:
        """See `Database`."""
        if self._is_postgresql:
            execute("SELECT pg_advisory_xact_lock(:lock)", lock=_MAKING_TABLES)

    def close(self) -> None:
        """See `Database`."""
        self._engine.dispose()


def database_at(place: Path | str) -> Database:
    """The database at a path or a URL.

    Raises:
        InputError: When it cannot be used.
    """
    return FileDatabase(place) if isinstance(place, Path) else UrlDatabase(place)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _make_file(path: Path) -> None:
    """Make an empty database that is there whole or not at all; another process may be first."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        made = sqlite3.connect(temporary)
        made.execute("PRAGMA user_version = 1")
        made.execute("VACUUM")
        made.close()
    except (OSError, sqlite3.Error) as error:
        raise InputError(
            f"The ledger {path} cannot be made ({error}): make its folder writable, or choose "
            "another."
        ) from None
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()


def _refuse_other_file(path: Path) -> None:
    if not os.path.lexists(path):
        return
    mend = "put back the run's own, or delete it to have networks scored and measured again."
    if not path.is_file():
        raise InputError(f"{path} is no file that a ledger could be in: {mend}")
    with path.open("rb") as file:
        head = file.read(len(_SQLITE_MAGIC))
    if head != _SQLITE_MAGIC:
        raise InputError(f"{path} is no ledger, or it is damaged: {mend}")
