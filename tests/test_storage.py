"""Files and folders appear whole or not at all; a torn record costs itself alone."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretobert import storage
from paretobert.errors import InputError


def full_disk(_descriptor: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    storage.write_text(path, "old")
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        storage.write_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_replaces_the_older_one_as_a_whole(tmp_path: Path) -> None:
    target = tmp_path / "report"
    for name in ("first", "second"):
        with storage.folder(target) as draft:
            (draft / name).touch()
    assert [file.name for file in target.iterdir()] == ["second"]
    assert list(tmp_path.iterdir()) == [target]


def test_a_failing_block_leaves_the_older_folder(tmp_path: Path) -> None:
    target = tmp_path / "report"
    with storage.folder(target) as draft:
        (draft / "first").touch()
    interrupted = storage.folder(target)
    (interrupted.__enter__() / "second").touch()
    assert not interrupted.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert [file.name for file in target.iterdir()] == ["first"]
    assert list(tmp_path.iterdir()) == [target]


records = st.lists(
    st.dictionaries(st.text(), st.none() | st.integers() | st.text(), max_size=3), max_size=4
)


@given(before=records, after=records, cut=st.integers(min_value=1, max_value=40))
def test_a_torn_line_costs_itself_alone(
    tmp_path_factory: pytest.TempPathFactory,
    before: list[dict[str, object]],
    after: list[dict[str, object]],
    cut: int,
) -> None:
    path = tmp_path_factory.mktemp("records") / "a.jsonl"
    torn = b'{"key": "' + b"x" * 40 + b'"}\n'
    for record in before:
        storage.append_record(path, record)
    with path.open("ab") as file:
        file.write(torn[:-cut])
    assert storage.read_records(path) == before
    for record in after:
        storage.append_record(path, record)
    assert storage.read_records(path) == before + after


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1}\n{"a": \n{"a": 3}\n')
    with pytest.raises(InputError, match=r"a\.jsonl, line 2, is not a JSON object"):
        storage.read_records(path)


def test_json_round_trip(tmp_path: Path) -> None:
    storage.write_json(tmp_path / "a.json", {"a": [1, 2.5, None]})
    assert storage.read_json(tmp_path / "a.json") == {"a": [1, 2.5, None]}


def test_missing_and_damaged_json(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        storage.read_json(tmp_path / "a.json")
    (tmp_path / "b.json").write_text("{")
    with pytest.raises(InputError, match="not valid JSON"):
        storage.read_json(tmp_path / "b.json")


def test_a_folder_is_readable_whatever_modes_its_files_were_given(tmp_path: Path) -> None:
    with storage.folder(tmp_path / "new") as into:
        (into / "inner").mkdir(mode=0o700)
        (into / "inner" / "weights").touch(mode=0o600)
    assert (tmp_path / "new" / "inner" / "weights").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "new" / "inner").stat().st_mode & 0o777 == 0o755


def test_a_full_disk_is_an_os_error_whatever_type_a_library_gives_it(tmp_path: Path) -> None:
    class LibraryError(Exception):
        pass

    full = pytest.raises(OSError, match="No space left on device")
    with full as caught, storage.folder(tmp_path / "new"):
        raise LibraryError("Error while serializing: I/O error: No space left on device (28)")
    assert caught.value.errno == errno.ENOSPC
    assert not list(tmp_path.iterdir())


class Kill(BaseException):
    """Ends a writer where a kill would, except that its clean-up still runs."""


def written(target: Path, name: str) -> None:
    with storage.folder(target) as draft:
        (draft / name).touch()


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def no_exchange(_one: Path, _other: Path) -> bool:
    return False


def test_a_replaced_folder_is_never_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "report"
    written(target, "first")
    if not storage._exchange(target, target):
        pytest.skip("this file system cannot exchange two folders")

    def refuse(_self: Path, _target: Path) -> None:
        raise AssertionError("a rename would leave a gap")

    monkeypatch.setattr(Path, "rename", refuse)
    written(target, "second")
    assert names(target) == ["second"]
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("fatal", [1, 2])
def test_an_interruption_of_either_rename_keeps_the_older_folder(
    fatal: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "report"
    written(target, "first")
    monkeypatch.setattr(storage, "_exchange", no_exchange)
    rename, calls = Path.rename, []

    def fragile(self: Path, other: Path) -> Path:
        calls.append(other)
        if len(calls) == fatal:
            raise Kill
        return rename(self, other)

    monkeypatch.setattr(Path, "rename", fragile)
    with pytest.raises(Kill):
        written(target, "second")
    assert names(target) == ["first"]
    assert list(tmp_path.iterdir()) == [target]


KILLED = """
import os, signal, sys
from pathlib import Path
from paretobert import storage

target, exchanged, fatal = Path(sys.argv[1]), sys.argv[2] == "exchanged", int(sys.argv[3])
rename, remove, calls = Path.rename, storage._remove, []

def die(real, *paths):
    calls.append(paths)
    if len(calls) == fatal:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*paths)

Path.rename = lambda *paths: die(rename, *paths)
storage._remove = lambda path: die(remove, path)
if not exchanged:
    storage._exchange = lambda one, other: False
with storage.folder(target) as draft:
    (draft / "second").touch()
    if not fatal:
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(
    ("how", "fatal", "kept"),
    [
        ("exchanged", 0, "first"),
        ("exchanged", 1, "second"),
        ("renamed", 1, "first"),
        ("renamed", 2, "first"),
        ("renamed", 3, "second"),
    ],
)
def test_a_real_kill_at_each_step(
    how: str, fatal: int, kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "report"
    written(target, "first")
    words = [sys.executable, "-c", KILLED, str(target), how, str(fatal)]
    assert subprocess.run(words).returncode == -signal.SIGKILL
    if how == "exchanged":
        assert names(target) == [kept]
    storage.recover(target)
    assert names(target) == [kept]
    monkeypatch.setattr(storage, "_YOUNG_S", -1.0)
    written(target, "third")
    assert names(target) == ["third"]
    assert list(tmp_path.iterdir()) == [target]


def test_what_a_living_writer_holds_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "_YOUNG_S", -1.0)
    target = tmp_path / "report"
    with storage.folder(target) as draft:
        (draft / "slow").touch()
        written(target, "quick")
        storage.write_text(tmp_path / "report.txt", "beside")
        assert names(draft) == ["slow"]
    assert names(target) == ["slow"]


def test_left_over_temporaries_of_a_file_are_removed_when_nobody_holds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / ".a.json.x1"
    left.touch()
    storage.write_text(tmp_path / "a.json", "new")
    assert left.exists()
    monkeypatch.setattr(storage, "_YOUNG_S", -1.0)
    storage.write_text(tmp_path / "a.json", "newer")
    assert names(tmp_path) == ["a.json"]


def test_a_link_to_a_folder_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept").touch()
    (tmp_path / "report").symlink_to("elsewhere")
    written(tmp_path / "report", "new")
    assert names(tmp_path / "elsewhere") == ["kept"]
    assert names(tmp_path / "report") == ["new"]
    assert names(tmp_path) == ["elsewhere", "report"]


def test_a_file_is_not_replaced_by_a_folder(tmp_path: Path) -> None:
    (tmp_path / "letters").write_text("dear")
    with pytest.raises(InputError, match="is a file, where a folder is to be written"):
        written(tmp_path / "letters", "new")
    assert (tmp_path / "letters").read_text() == "dear"


@pytest.mark.parametrize(
    ("destination", "sentence"),
    [
        ("", "names no folder of its own"),
        (".", "names no folder of its own"),
        ("/", "names no folder of its own"),
        ("{tmp}/..", "names no folder of its own"),
        ("a\0b", "cannot be written or shown"),
        ("a\ud800b", "cannot be written or shown"),
        ("a\x1b[31mb", "cannot be written or shown"),
        ("a\nb", "cannot be written or shown"),
        ("a\u202eb", "cannot be written or shown"),
        ("a" * 5000, "is too long"),
        ("a" * 201, "is too long"),
        ("ab/" * 1700, "is too long"),
        ("{tmp}/file", "cannot be a folder"),
        ("{tmp}/file/new", "cannot be a folder"),
        ("{tmp}/pipe", "cannot be a folder"),
        ("{tmp}/loop", "cannot be a folder"),
        ("{tmp}/loop/new", "cannot be a folder"),
        ("{tmp}/dangling/new", "cannot be a folder"),
    ],
)
def test_refused_destinations(destination: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("nowhere")
    before = names(tmp_path)
    with pytest.raises(InputError, match=sentence) as caught:
        storage.refuse_destination(destination.replace("{tmp}", str(tmp_path)))
    assert str(caught.value).isprintable()
    assert names(tmp_path) == before


def test_a_destination_in_a_read_only_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(InputError, match="read-only for you"):
        storage.refuse_destination(tmp_path / "new" / "deeper")


@pytest.mark.parametrize("name", ["new", "new/deeper", "d\u00e9j\u00e0 vu", "."])
def test_destinations_that_serve(name: str, tmp_path: Path) -> None:
    assert storage.refuse_destination(str(tmp_path / name)) == tmp_path / name


def pipe(path: Path) -> None:
    os.mkfifo(path)


def loop(path: Path) -> None:
    path.symlink_to(path.name)


NOT_FILES = [
    (Path.mkdir, "is a folder"),
    (pipe, "is a pipe or device"),
    (loop, "cannot be read: Too many levels of symbolic links"),
]


@pytest.mark.parametrize(("make", "sentence"), NOT_FILES)
@pytest.mark.parametrize("read", [storage.read_json, storage.read_records, storage.read_bytes])
def test_only_files_are_read(
    read: Callable[[Path], object], make: Callable[[Path], None], sentence: str, tmp_path: Path
) -> None:
    make(tmp_path / "a")
    with pytest.raises(InputError, match=sentence):
        read(tmp_path / "a")


@pytest.mark.parametrize(("make", "sentence"), NOT_FILES)
def test_records_are_appended_to_files_only(
    make: Callable[[Path], None], sentence: str, tmp_path: Path
) -> None:
    make(tmp_path / "a")
    with pytest.raises(InputError, match=sentence):
        storage.append_record(tmp_path / "a", {})


HOSTILE_JSON = [
    b"",
    b"\xff\xfe\xff",
    b'{"a": "\xe9"}',
    b"[" * 100_000,
    b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    b"1" * 10_000,
    b"{'a': 1}",
    b'{"a": 1}{"b": 2}',
]


@pytest.mark.parametrize("content", HOSTILE_JSON, ids=range(len(HOSTILE_JSON)))
def test_hostile_json(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is not valid JSON"):
        storage.read_json(path)
    path.write_bytes(b'{"a": 1}\n' + content + b"\n")
    with pytest.raises(InputError, match=r"line 2, is not a JSON object"):
        storage.read_records(path)


def test_a_name_that_no_file_can_have() -> None:
    for name in ("a\0b", "a" * 5000):
        with pytest.raises(InputError, match="cannot be read"):
            storage.read_json(Path(name))
