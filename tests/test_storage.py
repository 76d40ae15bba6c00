"""Files and folders appear whole or not at all; a torn record costs itself alone."""

import errno
import os
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
