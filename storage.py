"""Safe writing: files and folders appear atomically, records are appended one line at a time.

A file or folder is first written beside its destination and then renamed, so that a kill or a full
disk leaves either the old content or the new one. JSON Lines files grow by one synced line; a line
torn by a kill is dropped when the file is read, and cut off before the next one is appended.
"""

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import InputError


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path`, which holds either its old content or all of the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, atomically."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: object) -> None:
    """Write `value` to `path` as indented JSON, atomically."""
    write_text(path, json.dumps(value, indent=2) + "\n")


@contextmanager
def folder(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling of `path` that takes its place when the block succeeds.

    Everybody may read the result, whatever modes the libraries that filled it have chosen.

    Args:
        path: The destination; an older folder there is replaced as a whole.

    Raises:
        OSError: When the disk is full, also where a library reports that in a type of its own,
            as safetensors does.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield temporary
        for entry in (temporary, *temporary.rglob("*")):
            entry.chmod(0o755 if entry.is_dir() else 0o644)
        if path.exists():
            replaced = path.with_name(f"{temporary.name}.replaced")
            path.rename(replaced)
            temporary.rename(path)
            shutil.rmtree(replaced)
        else:
            temporary.rename(path)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        full = os.strerror(errno.ENOSPC)
        if full in str(error) and not isinstance(error, OSError):
            raise OSError(errno.ENOSPC, full, str(path)) from error
        raise


def append_record(path: Path, record: Mapping[str, Any]) -> None:
    """Append one synced JSON line to `path`; a line torn by an earlier kill is cut off first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        file.seek(0)
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)
        file.write(json.dumps(record).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def read_records(path: Path) -> list[dict[str, Any]]:
    """Read the complete lines of a JSON Lines file; a file that does not exist has none.

    Raises:
        InputError: When a complete line is not a JSON object.
    """
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            raise InputError(
                f"{path}, line {number}, is not a JSON object: the file is damaged; "
                "delete it to have it made again."
            )
        records.append(record)
    return records


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        InputError: When the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.") from None
    except ValueError:
        raise InputError(f"{path} is not valid JSON: the file is damaged.") from None
