"""Where a ledger is kept: an SQLite file, or a database that a URL names (no torch)."""

import os
import sqlite3
import uuid
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import SQLAlchemyError

from ..errors import InputError

BUSY_S = 60.0
"""Seconds that a writer waits for another one."""

_SQLITE_MAGIC = b"SQLite format 3\x00"


def file_engine(path: Path) -> Engine:
    """Open an SQLite file, or make it where there is none.

    Raises:
        InputError: When it is no such file, or cannot be made.
    """
    _refuse_other_file(path)
    if not path.exists():
        _make_file(path)
    mode = "rw" if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK) else "ro"
    engine = create_engine("sqlite://", creator=lambda: _connected(path, mode=mode))
    event.listen(engine, "begin", _begin)
    return engine


def _connected(path: Path, *, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_S,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def _begin(connection: Connection) -> None:
    """SQLite lets two readers wait for each other for ever once both want to write."""
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


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


def url_engine(url: str) -> Engine:
    """Open the database that a URL names.

    Raises:
        InputError: When the URL or the driver cannot be used.
    """
    try:
        return create_engine(url, pool_pre_ping=True)
    except (SQLAlchemyError, ImportError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        shown = url.rpartition("@")[2]
        raise InputError(f"The ledger's database {shown} cannot be used: {reason}.") from None
