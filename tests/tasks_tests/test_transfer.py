"""Transfer texts: what is kept, what is counted, and every file that is refused."""

import json
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretobert.errors import InputError
from paretobert.tasks.loading import TaskRequest
from paretobert.tasks.splits import normalised
from paretobert.tasks.task import Task, TextSplit
from paretobert.tasks.transfer import Unlabelled, UnlabelledFile, load_unlabelled

FILES = TaskRequest("files", data=Path("mine.csv"))


def split_of(*texts: str) -> TextSplit:
    return TextSplit(texts, None, tuple(i % 2 for i in range(len(texts))))


TASK = Task(
    name="mine",
    kind="classification",
    label_names=("no", "yes"),
    metric="accuracy",
    other_metrics=(),
    train=split_of("train one", "train two"),
    search=split_of("search one", "both"),
    report=split_of("report one", "both"),
    max_length=32,
    source="here",
)


def as_pairs(split: TextSplit) -> TextSplit:
    return replace(split, second=tuple(f"of {text}" for text in split.first))


PAIRS = replace(
    TASK, train=as_pairs(TASK.train), search=as_pairs(TASK.search), report=as_pairs(TASK.report)
)


def load(*paths: Path, task: Task = TASK, request: TaskRequest = FILES) -> Unlabelled:
    return load_unlabelled(paths, task, request=request)


def test_lines_are_kept_counted_and_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "texts.txt"
    lines = ["new", "", "Search, ONE!", "both", "train one", "new.", "  ", "newer", "n3", "n4"]
    path.write_bytes("\r\n".join(lines).encode())
    found = load(path)
    assert found.texts.first == ("new", "newer", "n3", "n4")
    assert found.texts.second is None
    (file,) = found.files
    assert file.to_dict() == {
        "fingerprint": file.fingerprint,
        "rows": 10,
        "empty": 2,
        "overlaps": {"search": 2, "report": 1},
        "held_out": 2,
        "in_training": 1,
        "repeated": 1,
        "kept": 4,
    }
    assert UnlabelledFile.from_dict(str(path), json.loads(json.dumps(file.to_dict()))) == file
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert f"{path}: 2 rows with an empty text left out" in said
    assert any("2 of 8 texts left out that networks are judged on" in line for line in said)
    assert any("(2 in search, 1 in report)" in line for line in said)
    assert any("1 of 8 texts left out that are in the training" in line for line in said)


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl"])
@pytest.mark.parametrize(
    ("task", "columns"), [(TASK, ["text"]), (PAIRS, ["question1", "question2"])]
)
def test_text_columns_of_every_format(
    ending: str, task: Task, columns: list[str], tmp_path: Path
) -> None:
    path = tmp_path / f"texts.{ending}"
    rows = [[f"{name} {i}" for name in columns] for i in range(3)]
    if ending == "jsonl":
        lines = [json.dumps(dict(zip(columns, row, strict=True))) for row in rows]
    else:
        separator = {"csv": ",", "tsv": "\t"}[ending]
        lines = [separator.join(row) for row in (columns, *rows)]
    path.write_text("\n".join(lines) + "\n")
    found = load(path, task=task)
    assert [found.texts.first, *filter(None, [found.texts.second])] == [
        tuple(column) for column in zip(*rows, strict=True)
    ]


def test_columns_that_were_named_or_that_glue_names(tmp_path: Path) -> None:
    path = tmp_path / "texts.csv"
    path.write_text("body,text\nhello,other\n")
    named = replace(FILES, text_columns=("body",))
    assert load(path, request=named).texts.first == ("hello",)
    path.write_text("#1 String,#2 String\na,b\n")
    assert load(path, task=PAIRS, request=TaskRequest("MRPC")).texts.second == ("b",)


def test_pairs_are_held_out_as_pairs(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("sentence1,sentence2\nsearch one,of search one\nsearch one,new\nnew,newer\n")
    found = load(path, task=PAIRS)
    assert found.texts.first == ("search one", "new")
    assert found.files[0].overlaps == {"search": 1, "report": 0}


def test_further_report_splits_are_held_out_too(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("elsewhere\nnew\n")
    task = replace(TASK, extra_reports={"other": split_of("elsewhere")})
    found = load(path, task=task)
    assert found.texts.first == ("new",)
    assert found.files[0].overlaps["report-other"] == 1


def test_the_order_of_the_files_does_not_matter(tmp_path: Path) -> None:
    for name, text in (("b", "two\none\n"), ("a", "one\nthree\n")):
        (tmp_path / f"{name}.txt").write_text(text)
    paths = [tmp_path / "b.txt", tmp_path / "a.txt"]
    found = load(*paths)
    assert found == load(*reversed(paths))
    assert found.texts.first == ("one", "three", "two")
    assert [file.repeated for file in found.files] == [0, 1]


def test_a_share_of_held_out_texts_is_refused_from_half_on(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("both\nnew\n\n\n")
    assert load(path).texts.first == ("new",)
    path.write_text("both\nsearch one\nnew\n")
    with pytest.raises(
        InputError, match=r"texts.txt: 2 of 3 texts .* \(2 in search, 1 in report\)"
    ):
        load(path)


KNOWN = ("train one", "train two", "search one", "both", "report one")
LINES = st.lists(st.sampled_from(["", " ", *KNOWN, *(word.upper() for word in KNOWN)]), max_size=4)


@given(
    files=st.lists(
        st.tuples(LINES, st.lists(st.integers(0, 20).map("line {}".format), min_size=6)),
        min_size=1,
        max_size=3,
    )
)
def test_no_held_out_text_is_kept_and_every_row_is_counted_once(
    files: list[tuple[list[str], list[str]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("texts")
    rows = [[*odd, *new] for odd, new in files]
    for number, lines in enumerate(rows):
        (folder / f"{number}.txt").write_text("\n".join(lines) + "\n")
    found = load(*folder.iterdir())
    keys = [normalised(text) for text in found.texts.first]
    assert len(set(keys)) == len(keys)
    assert not set(keys) & set(KNOWN)
    assert set(keys) == {line for lines in rows for line in lines if line.startswith("line")}
    for lines, file in zip(rows, found.files, strict=True):
        assert file.rows == len(lines)
        assert file.rows == (
            file.empty + file.held_out + file.in_training + file.repeated + file.kept
        )
        assert file.empty == sum(not line.strip() for line in lines)
        for name, split in (("search", TASK.search), ("report", TASK.report)):
            assert file.overlaps[name] == sum(line.lower() in split.first for line in lines)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("none.txt", None, "none.txt does not exist"),
        ("texts.doc", b"a\n", "none of the formats that are read, which are .txt, .csv"),
        ("texts", b"a\n", "none of the formats"),
        ("texts.txt", b"", "holds no examples"),
        ("texts.txt", b"\n\n", "holds no examples"),
        ("texts.txt", "café\n".encode("latin-1"), "line 1, is not UTF-8"),
        ("texts.txt", b"a\0\n", "line 1, holds a NUL byte"),
        ("texts.txt", b"both\nsearch one\n", "at most 50% may be"),
        ("texts.txt", b"train one\ntrain two\n", "is held out or in the training data already"),
        ("texts.csv", b"body\nhello\n", "no text column of a usual name, as mine needs: .* body"),
        ("texts.csv", b"text\n1,2\n", "line 2, has 2 columns where 1 are expected"),
        ("texts.jsonl", b'{"text": 3}\n', "line 1: column 'text' holds 3, which is no text"),
        ("texts.jsonl", b"[]\n", "line 1, is not a JSON object"),
    ],
)
def test_refused_files(name: str, content: bytes | None, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        load(path)


@pytest.mark.parametrize(
    ("place", "sentence"),
    [(Path.mkdir, "is a folder"), (os.mkfifo, "is a pipe or device")],
)
def test_what_is_no_file_is_never_waited_for(
    place: Callable[[Path], None], sentence: str, tmp_path: Path
) -> None:
    for ending in ("txt", "csv", "jsonl"):
        path = tmp_path / f"texts.{ending}"
        place(path)
        with pytest.raises(InputError, match=sentence):
            load(path)


def test_pairs_need_two_columns(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("a\n")
    with pytest.raises(InputError, match="has one text a line, but mine has pairs of texts"):
        load(path, task=PAIRS)
    path = tmp_path / "texts.tsv"
    path.write_text("sentence\na\n")
    with pytest.raises(InputError, match="no pair of text columns of a usual name"):
        load(path, task=PAIRS)


def test_a_file_that_is_given_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "texts.txt"
    path.write_text("a\n")
    with pytest.raises(InputError, match="texts.txt is given twice"):
        load(path, Path("texts.txt"))
