"""A PostgreSQL server of the tests' own."""

import getpass
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

DEBIAN = Path("/usr/lib/postgresql")
"""Where Debian keeps the server's programs, of each version."""

SERVER_USERS = ("postgres", "nobody")
"""Who may run a server where the tests run as root, which PostgreSQL refuses."""


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The URL of a PostgreSQL server of its own, reached by a socket in its folder."""
    pytest.importorskip("psycopg", reason="the extra postgresql is not installed")
    path = os.pathsep.join([os.environ["PATH"], *map(str, DEBIAN.glob("*/bin"))])
    initdb, postgres = (shutil.which(name, path=path) for name in ("initdb", "postgres"))
    if initdb is None or postgres is None:
        pytest.skip("initdb and postgres of PostgreSQL are not found (Debian: postgresql)")
    user = getpass.getuser()
    if os.geteuid() == 0:
        known = {entry.pw_name for entry in pwd.getpwall()}
        user = next((name for name in SERVER_USERS if name in known), "")
        if not user:
            pytest.skip(f"a server cannot run as root, and there is no user {SERVER_USERS}")
    folder = Path(tempfile.mkdtemp(prefix="ledger", dir="/tmp"))
    shutil.chown(folder, user)
    data = folder / "data"
    owner = user if os.geteuid() == 0 else None
    made = subprocess.run(
        [initdb, "-D", data, "-U", "tests", "--auth=trust", "--no-sync", "--encoding=UTF8"],
        user=owner,
        cwd=folder,
        capture_output=True,
        text=True,
    )
    if made.returncode:
        shutil.rmtree(folder)
        pytest.skip(f"initdb failed: {made.stderr.strip()}")
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen(
            [postgres, "-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"],
            user=owner,
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    try:
        _await(folder / ".s.PGSQL.5432", running)
        yield f"postgresql+psycopg://tests@/postgres?host={folder}"
    finally:
        running.send_signal(signal.SIGINT)
        running.wait()
        shutil.rmtree(folder)


def _await(socket: Path, running: "subprocess.Popen[bytes]") -> None:
    import psycopg

    for _ in range(300):
        if running.poll() is not None:
            break
        try:
            psycopg.connect(host=str(socket.parent), user="tests", dbname="postgres").close()
        except psycopg.OperationalError:
            time.sleep(0.1)
        else:
            return
    pytest.skip(f"the server does not answer: {(socket.parent / 'log').read_text()}")
