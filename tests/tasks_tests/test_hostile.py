"""Hostile data: whatever lies in a file's place or stands in its cells, one sentence answers."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from paretobert.errors import InputError
from paretobert.tasks.loading import TaskRequest, load_task
from paretobert.tasks.tables import read_table
from paretobert.tasks.task import Task

MEGABYTE = 2**20
ROWS = [(f"text {i}", ("no", "yes")[i % 2]) for i in range(40)]


def load(path: Path) -> Task:
    return load_task(TaskRequest("files", data=path))


def refused(path: Path, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as caught:
        load(path)
    message = str(caught.value)
    assert len(message) < 1000
    assert message.isprintable()


def csv_of(*further: str) -> bytes:
    lines = ["text,label", *(f"{text},{label}" for text, label in ROWS), *further]
    return ("\n".join(lines) + "\n").encode()


def jsonl_of(*further: object) -> bytes:
    rows = [*({"text": text, "label": label} for text, label in ROWS), *further]
    return ("\n".join(map(json.dumps, rows)) + "\n").encode()


def place_folder(path: Path) -> None:
    path.mkdir()


def place_pipe(path: Path) -> None:
    os.mkfifo(path)


def place_loop(path: Path) -> None:
    path.symlink_to(path.name)


@pytest.mark.parametrize("place", [place_folder, place_pipe, place_loop])
@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
def test_what_is_no_file_is_never_waited_for(
    ending: str, place: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / f"train.{ending}"
    place(path)
    refused(path, "is neither a file nor a folder|holds no file named train")
    refused(tmp_path, "holds no file named train")
    with pytest.raises(InputError, match="is a folder|is a pipe or device|cannot be read"):
        read_table(path)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "holds no examples"),
        (b"\n\n\n", "holds no examples"),
        (b"\xef\xbb\xbf", "holds no examples"),
        (csv_of("hot\0,yes"), "line 42, holds a NUL byte"),
        (csv_of().decode().encode("utf-16-le"), "line 1, holds a NUL byte"),
        (csv_of().decode().encode("utf-16"), "line 1, is not UTF-8: byte 0 is 0xff"),
        (csv_of() + "café,yes\n".encode("latin-1"), "line 42, is not UTF-8"),
        (csv_of() + b"half \xed\xa0\x80 a pair,yes\n", "line 42, is not UTF-8"),
        (csv_of('"a,yes'), "is not valid CSV"),
        (csv_of("a,b,c"), "line 42, has 3 columns where 2 are expected"),
        (csv_of("a," + "y" * MEGABYTE), "has 1,048,576 characters, but at most 200 are read"),
        (csv_of("a,y\x1b[2J"), r"is 'y\\x1b\[2J', which cannot be written or shown"),
        (csv_of('a,"y\nz"'), r"is 'y\\nz', which cannot be written or shown"),
        (b"text,label\n" + b"a,x\n" * 40, "every label in column 'label' is 'x'"),
        (b"text,label," + b",".join(b"c%d" % i for i in range(10**5)), "has 100,002 columns"),
        (b"text,label" + b",c" * 5000 + b"\n", "holds no examples"),
        (b"text,label" + b",c" * 5000 + b"\na,b" + b",d" * 5000, "two columns of one name: c"),
        (b"words," + b",".join(b"c%d" % i for i in range(5000)) + b"\n" + b"a," * 5000 + b"b",
         "no text column of a usual name: .* and 4991 more"),
        (b"wo\x1b[2Jrds,label\na,b\n", r"one or two of its columns 'wo\\x1b\[2Jrds', label"),
    ],
    ids=range(19),
)  # fmt: skip
def test_hostile_csv(content: bytes, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_bytes(content)
    refused(path, sentence)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (jsonl_of({"text": "half \ud800 a pair", "label": "yes"}), "half of a surrogate pair"),
        (jsonl_of({"text": "a\0b", "label": "yes"}), "holds a NUL or half"),
        (jsonl_of({"text": "a", "label": "\udc00"}), "cannot be written or shown"),
        (jsonl_of({"text": "a", "label": "y" * MEGABYTE}), "has 1,048,576 characters"),
        (jsonl_of({"text": "a", "label": {"y": 1}}), "is {'y': 1}, which is no class's name"),
        (jsonl_of({"text": "a", "label": ["y"] * MEGABYTE}), "which is no class's name"),
        (jsonl_of({"text": "a", "label": float("nan")}), "line 41: the label .* is empty"),
        (jsonl_of({"text": ["y"] * MEGABYTE, "label": "yes"}), "which is no text"),
        (jsonl_of() + b"[" * 100_000 + b"\n", "line 41, is not a JSON object"),
        (jsonl_of() + b'{"text":' * 100_000 + b"\n", "line 41, is not a JSON object"),
        (jsonl_of() + b"9" * 10_000 + b"\n", "line 41, is not a JSON object"),
        (jsonl_of({f"c{i}": i for i in range(10**5)}), "has 100,002 columns"),
        (jsonl_of({"text": "a", "label": 10**400}), "has 401 characters"),
    ],
    ids=range(13),
)
def test_hostile_json_lines(content: bytes, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_bytes(content)
    refused(path, sentence)


def test_a_huge_number_is_no_score(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    rows = [json.dumps({"text": f"text {i}", "label": i / 7}) for i in range(40)]
    path.write_text("\n".join([*rows, '{"text": "a", "label": ' + "9" * 400 + "}"]))
    refused(path, "line 41: the label 999.* is not a finite number")


@pytest.mark.parametrize("cut", [0, 4, 100, -1])
def test_a_torn_parquet_file(cut: int, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "mine.parquet"
    parquet.write_table(pyarrow.table({"text": ["a"], "label": ["b"]}), path)
    path.write_bytes(path.read_bytes()[:cut])
    refused(path, "is not a readable Parquet file")


def test_parquet_that_is_no_utf8(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "mine.parquet"
    broken = pyarrow.array([b"caf\xe9"]).view(pyarrow.string())
    parquet.write_table(pyarrow.table({"text": broken, "label": ["b"]}), path)
    refused(path, "is not a readable Parquet file: .*utf-8")


def test_a_parquet_file_is_read_alone_whatever_its_folder_is_called(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "label=x" / "mine.parquet"
    path.parent.mkdir()
    texts, labels = zip(*ROWS, strict=True)
    parquet.write_table(pyarrow.table({"text": texts, "label": labels}), path)
    assert read_table(path).columns == ("text", "label")


def test_long_cells_quoted_line_ends_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    long, broken = "word " * (MEGABYTE // 5), "one\ntwo\r\nthree"
    path.write_bytes(b"\xef\xbb\xbf" + csv_of(f"{long},yes", f'"{broken}",no'))
    texts = read_table(path).column("text")
    assert texts[-2:] == [long, broken]
    assert load(path).num_labels == 2


@pytest.mark.parametrize("task", ["files", "rte", "mnli"])
def test_names_longer_than_a_file_may_have(task: str, tmp_path: Path) -> None:
    for data in (tmp_path / ("a" * 300), tmp_path / ("a" * 300) / "b"):
        with pytest.raises(InputError, match="is the name of no file or folder"):
            TaskRequest(task, data=data)


@pytest.mark.parametrize("place", [place_folder, place_pipe, place_loop])
def test_glue_files_that_are_none(place: Callable[[Path], None], tmp_path: Path) -> None:
    place(tmp_path / "train.tsv")
    with pytest.raises(InputError, match="holds none of the files train.tsv"):
        load_task(TaskRequest("rte", data=tmp_path))
