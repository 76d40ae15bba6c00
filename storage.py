"""Safe reading and writing: files and folders appear atomically, records one line at a time.

A file or folder is first written beside its destination and then renamed, so that a kill or a full
disk leaves either the old content or the new one. An older folder and its successor change places
in one step where the system has one (Linux's `renameat2`). Elsewhere a kill can fall between two
renames; the older folder then waits beside its place until `recover`, which every later writer
calls first, puts it back. A temporary is locked for as long as its writer lives, and the next
writer of the same destination removes those that nobody holds.

JSON Lines files grow by one synced line; a line torn by a kill is dropped when the file is read,
and cut off before the next one is appended.

Only regular files are read: whatever lies in a file's place, a pipe or a folder or a loop of
links, is named in one sentence and never waited for. Left out: locking between two writers of one
destination, of which the later wins.
"""

import ctypes
import errno
import fcntl
import json
import os
import shutil
import stat
import sys
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from .errors import InputError, shortened

Known = TypeVar("Known")

MAX_NAME_BYTES = 200
"""Of one part of a destination: file systems take 255, of which temporaries need some."""

MAX_PATH_BYTES = 3500
"""Of a whole destination: Linux takes 4,096, of which the files in a folder need some."""

_YOUNG_S = 60.0
"""A temporary may be about to be locked until it is this old."""

_TURNING = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
_ASIDE = ".replaced"
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_NO_EXCHANGE = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM)


def refuse_destination(path: Path | str) -> Path:
    """Return a destination as a path, if a file or folder of that name can be written.

    Whether something lies there already is for the caller to judge; a file in the place of a
    folder, or of one of its parents, is refused here. Nothing is written.

    Raises:
        InputError: When the name is empty, cannot be written or shown, or is too long, when a
            file is in the way, or when the folder that it would lie in may not be written.
    """
    text = str(path)
    shown = shortened(text)
    if not is_name(text):
        raise InputError(
            f"The destination {shown} holds characters that cannot be written or shown: "
            "choose another name."
        )
    path = Path(text)
    if path.name in ("", ".."):
        raise InputError(f"The destination {shown} names no folder of its own: give a new name.")
    longest = max(len(os.fsencode(part)) for part in path.parts)
    if longest > MAX_NAME_BYTES or len(os.fsencode(path.absolute())) > MAX_PATH_BYTES:
        raise InputError(
            f"The destination {shown} is too long: give a path of at most {MAX_PATH_BYTES} bytes, "
            f"with at most {MAX_NAME_BYTES} in each name."
        )
    nearest = path.absolute()
    while not os.path.lexists(nearest):
        nearest = nearest.parent
    if not nearest.is_dir():
        which = "it" if nearest == path.absolute() else shortened(str(nearest))
        raise InputError(
            f"The destination {shown} cannot be a folder, because {which} exists and is none: "
            "choose another place."
        )
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(
            f"The destination {shown} cannot be written: {shortened(str(nearest))} is "
            "read-only for you."
        )
    return path


def is_text(text: str) -> bool:
    """Whether a string can be written as UTF-8, and holds no NUL."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def is_name(text: str) -> bool:
    """Whether a string can name something on pages, in terminals and in files.

    Spaces and every script are welcome; control characters, line ends, lone surrogates and marks
    that turn the direction of what follows are not.
    """
    if text.isascii():
        return text.isprintable()
    return not any(
        unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp")
        or unicodedata.bidirectional(letter) in _TURNING
        for letter in text
    )


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path`, which holds either its old content or all of the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_left_over(path)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            hold(file.fileno())
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
        InputError: When a file lies there.
        OSError: When the disk is full, also where a library reports that in a type of its own,
            as safetensors does.
    """
    if os.path.lexists(path) and not path.is_dir():
        raise InputError(
            f"{path} is a file, where a folder is to be written: choose another name."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    recover(path)
    _remove_left_over(path)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    descriptor = os.open(temporary, os.O_RDONLY)
    try:
        hold(descriptor)
        yield temporary
        for entry in (temporary, *temporary.rglob("*")):
            entry.chmod(0o755 if entry.is_dir() else 0o644)
        if path.exists():
            _replace(path, temporary)
        else:
            temporary.rename(path)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        full = os.strerror(errno.ENOSPC)
        if full in str(error) and not isinstance(error, OSError):
            raise OSError(errno.ENOSPC, full, str(path)) from error
        raise
    finally:
        os.close(descriptor)


def recover(path: Path) -> None:
    """Put back an older folder that a kill between two renames left beside its place.

    Readers call this before they take the absence of a folder for an answer. It does nothing
    where the folder is there, or while the writer that set it aside is alive.
    """
    if os.path.lexists(path):
        return
    for aside in _siblings(path):
        writer = aside.with_name(aside.name.removesuffix(_ASIDE))
        if aside.name.endswith(_ASIDE) and not (writer.exists() and is_held(writer)):
            with suppress(FileNotFoundError):
                aside.rename(path)
            return


def _replace(path: Path, temporary: Path) -> None:
    """Let `temporary` take the place of the folder `path`, which is removed."""
    if _exchange(path, temporary):
        _remove(temporary)
        return
    aside = temporary.with_name(f"{temporary.name}{_ASIDE}")
    path.rename(aside)
    try:
        temporary.rename(path)
    except BaseException:
        if not os.path.lexists(path):
            aside.rename(path)
        raise
    _remove(aside)


def _exchange(one: Path, other: Path) -> bool:
    """Let two paths change places in one step; False where the system cannot."""
    if sys.platform != "linux":
        return False
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    names = (os.fsencode(one), os.fsencode(other))
    if renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _NO_EXCHANGE:
        return False
    raise OSError(number, os.strerror(number), str(one))


def _siblings(path: Path) -> list[Path]:
    """What earlier writers of a destination left beside it."""
    prefix, parent = f".{path.name}.", path.parent
    with suppress(FileNotFoundError), os.scandir(parent) as entries:
        return sorted(parent / entry.name for entry in entries if entry.name.startswith(prefix))
    return []


def _remove_left_over(path: Path) -> None:
    """Remove the temporaries of writers that are gone; what was set aside waits for `recover`."""
    for left in _siblings(path):
        with suppress(FileNotFoundError):
            age_s = time.time() - left.lstat().st_ctime
            aside_alone = left.name.endswith(_ASIDE) and not os.path.lexists(path)
            if age_s < _YOUNG_S or aside_alone or is_held(left):
                continue
            _remove(left)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink()


def hold(descriptor: int) -> None:
    """Hold a file until this process ends or closes it; some file systems have no locks."""
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_held(path: Path) -> bool:
    """Whether a process that holds a file is alive; so it is said where that cannot be known."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def append_record(path: Path, record: Mapping[str, Any]) -> None:
    """Append one synced JSON line to `path`; a line torn by an earlier kill is cut off first.

    Raises:
        InputError: When something other than a file lies there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(path):
        refuse_irregular(path)
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
        InputError: When there is no regular file, or a complete line is not a JSON object.
    """
    if not os.path.lexists(path):
        return []
    lines = read_bytes(path).split(b"\n")[:-1]
    records = []
    for number, line in enumerate(lines, start=1):
        record = parsed_json(line)
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
        InputError: When the file is missing, is no regular file, or is not JSON.
    """
    value = parsed_json(read_bytes(path))
    if value is NOT_JSON:
        raise InputError(f"{path} is not valid JSON: the file is damaged.")
    return value


NOT_JSON = object()
"""What `parsed_json` returns for everything that is no JSON."""


def read_known(
    path: Path, parse: Callable[[Mapping[str, Any]], Known], *, lacking: str
) -> Known | None:
    """Read a record that is not always there.

    Args:
        path: Its JSON file.
        parse: Makes the record of what the file holds.
        lacking: What a file that holds no such record is said to do.

    Returns:
        The record; None where there is no file.

    Raises:
        InputError: When the file is damaged.
    """
    if not path.exists():
        return None
    try:
        return parse(read_json(path))
    except (AttributeError, KeyError, TypeError, ValueError):
        raise InputError(f"{path} {lacking}: the file is damaged.") from None


def parsed_json(text: bytes | str) -> Any:
    """Parse JSON; `NOT_JSON` for what is none, is not UTF-8, or is nested beyond reason."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return NOT_JSON


def read_bytes(path: Path) -> bytes:
    """Read a regular file.

    Raises:
        InputError: When it is missing, is something else, or may not be read.
    """
    refuse_irregular(path)
    try:
        return path.read_bytes()
    except PermissionError:
        raise InputError(f"{shortened(str(path))} may not be read by you.") from None


def refuse_irregular(path: Path) -> None:
    """Raise unless `path` is a regular file, which alone is safe to open: a pipe would block.

    Raises:
        InputError: Naming what is there instead.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{shortened(str(path))} cannot be read: {reason}.") from None
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe or device"
        raise InputError(f"{path} is {kind}, where a file is expected.")
