"""Own data files: four formats, texts and pairs, classes and scores, and every defect."""

import csv
import json
import logging
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretobert.errors import InputError
from paretobert.tasks.files import detect_kind, load_files
from paretobert.tasks.loading import TaskRequest, load_task
from paretobert.tasks.tables import read_table

ROWS = [{"text": f'it said, "{i}"', "label": ("no", "yes", "maybe")[i % 3]} for i in range(60)]


def write(path, rows):
    """Write dictionaries in the format of the path's ending."""
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".tsv":
        lines = ["\t".join(rows[0]), *("\t".join(map(str, row.values())) for row in rows)]
        path.write_text("\n".join(lines) + "\n")
    else:
        pyarrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def load(path, **options):
    return load_task(TaskRequest("files", data=path, **options))


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
def test_every_format_gives_the_same_task(tmp_path, ending):
    task = load(write(tmp_path / f"mine.{ending}", ROWS))
    assert (task.name, task.kind, task.metric) == ("mine", "classification", "accuracy")
    assert task.label_names == ("maybe", "no", "yes")
    assert (len(task.train), len(task.search), len(task.report)) == (48, 6, 6)
    found = {
        text: task.label_names[label]
        for split in task.splits.values()
        for text, label in zip(split.first, split.labels, strict=True)
    }
    assert found == {row["text"]: row["label"] for row in ROWS}


def test_folder_with_three_files_keeps_them_as_they_are(tmp_path):
    write(tmp_path / "train.csv", ROWS)
    write(tmp_path / "validation.tsv", [{"text": "new", "label": "yes"}] * 2)
    write(tmp_path / "test.jsonl", [{"text": "newer", "label": "no"}] * 3)
    task = load(tmp_path)
    assert {name: len(split) for name, split in task.splits.items()} == {
        "train": 60,
        "search": 2,
        "report": 3,
    }


def test_folder_with_two_files_holds_the_search_split_out(tmp_path):
    write(tmp_path / "train.csv", ROWS)
    write(tmp_path / "dev.csv", [{"text": "new", "label": "yes"}] * 2)
    task = load(tmp_path, search_size=9)
    assert (len(task.train), len(task.search), len(task.report)) == (51, 9, 2)


def test_pairs_scores_and_named_columns(tmp_path):
    rows = [{"a": f"first {i}", "b": f"second {i}", "rating": i / 7} for i in range(40)]
    task = load(
        write(tmp_path / "pairs.jsonl", rows), text_columns=("a", "b"), label_column="rating"
    )
    assert (task.kind, task.num_labels, task.metric) == ("regression", 1, "pearson")
    assert task.train.second is not None
    assert all(isinstance(label, float) for label in task.train.labels)


def test_file_to_report_on_may_be_given(tmp_path):
    train = write(tmp_path / "mine.csv", ROWS)
    held_out = write(tmp_path / "held-out.csv", [{"text": "new", "label": "yes"}])
    assert load(train, report_data=held_out).report.first == ("new",)


def test_whole_numbers_are_classes_in_their_order_unless_the_kind_says_otherwise(tmp_path):
    rows = [{"text": f"text {i}", "label": i % 11} for i in range(60)]
    path = write(tmp_path / "mine.csv", rows)
    assert load(path).label_names == tuple(map(str, range(11)))
    assert load(path, kind="regression").kind == "regression"


@given(st.lists(st.integers() | st.sampled_from(["good", "nan", "", None])))
def test_names_and_whole_numbers_are_never_scores(cells):
    assert detect_kind(cells) == "classification"


def test_repeats_across_given_files_are_warned_of(tmp_path, caplog):
    write(tmp_path / "train.csv", ROWS)
    write(tmp_path / "dev.csv", ROWS[:7])
    with caplog.at_level(logging.WARNING):
        load(tmp_path, search_size=3)
    assert "of 7 texts to report with are in the training data too" in caplog.text


def test_unicode_line_ends_stay_in_their_text(tmp_path):
    path = tmp_path / "mine.tsv"
    path.write_text("text\tlabel\none\u0085two\u2028three\tyes\n", encoding="utf-8")
    assert read_table(path).rows == (("one\u0085two\u2028three", "yes"),)


HEADER = "text,label\n"
DEFECTS = [
    ("mine.csv", HEADER + "a,x\nb,x\nc,x\n", r"every label in column 'label' is 'x'"),
    ("mine.csv", HEADER + "a,x\n ,y\nb,x\nc,y\n", r"line 3: the text in column 'text' is empty"),
    ("mine.csv", HEADER + "a,x\nb,\n", r"line 3: the label in column 'label' is empty"),
    ("mine.csv", HEADER + "a,x\nb\n", r"line 3, has 1 columns where 2 are expected"),
    ("mine.csv", HEADER + 'a,"x\n', r"is not valid CSV: unexpected end of data"),
    ("mine.csv", HEADER, r"mine.csv holds no examples"),
    ("mine.csv", "", r"mine.csv holds no examples"),
    ("mine.csv", "text,text,label\na,b,x\n", r"two columns of one name: text"),
    ("mine.csv", "words,label\na,x\n", r"no text column of a usual name.* words, label"),
    ("mine.csv", "text,mood\na,x\n", r"no label column of a usual name.* text, mood"),
    ("mine.csv", HEADER + "a,1\nb,2\nc,3\n", r"'label' holds 3 different labels in 3 rows"),
    (
        "mine.csv",
        HEADER + "a,.5\nb,.7\nc,nan\n",
        r"line 4: the label 'nan' .* not a finite number",
    ),
    ("mine.csv", HEADER + "a,.5\nb,.7\nc,\n", r"line 4: the label '' .* not a finite number"),
    ("mine.csv", HEADER + "a,x\nb,y\na,x\nb,y\n", r"4 examples .* too few to hold out"),
    ("mine.jsonl", '{"text": "a", "label": 1}\n[1]\n', r"line 2, is not a JSON object"),
    ("mine.jsonl", '{"text": "a", "label": 1}\n{"te', r"line 2, is not a JSON object"),
    (
        "mine.jsonl",
        '{"text": 5, "label": 1}\n{"text": 5, "label": 2}\n' * 2,
        r"holds 5, which is no text",
    ),
    ("mine.jsonl", '{"text": "a", "label": 1}\n{"text": "b"}', r"line 2: the label .* is empty"),
    ("mine.txt", "a\tb", r"none of the formats that are read, which are .csv, .tsv, .jsonl, .par"),
]


@pytest.mark.parametrize(("name", "content", "message"), DEFECTS)
def test_defects_are_refused(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        load_files(tmp_path / name, text_columns=None, seed=0)


def test_wrong_column_names_list_those_there_are(tmp_path):
    path = write(tmp_path / "mine.csv", ROWS)
    with pytest.raises(InputError, match="no column 'mood': its columns are text, label"):
        load(path, label_column="mood")
    with pytest.raises(InputError, match="no column 'body': its columns are text, label"):
        load(path, text_columns=("body",))


def test_label_that_training_lacks_is_refused(tmp_path):
    write(tmp_path / "train.csv", ROWS)
    write(tmp_path / "dev.csv", [{"text": "new", "label": "perhaps"}])
    with pytest.raises(
        InputError, match=r"dev.csv, line 2: the label 'perhaps' .* maybe, no, yes"
    ):
        load(tmp_path)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_wrong_encoding_names_line_and_byte(tmp_path, encoding):
    path = tmp_path / "mine.csv"
    path.write_text("text,label\ncafé,x\n", encoding=encoding)
    where = "line 2, is not UTF-8: byte 14 is 0xe9" if encoding == "latin-1" else "line 1, is not"
    with pytest.raises(InputError, match=where):
        load(path)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(InputError, match="absent does not exist"):
        load(tmp_path / "absent")
    with pytest.raises(InputError, match="holds no file named train"):
        load(tmp_path)
    write(tmp_path / "train.csv", ROWS)
    write(tmp_path / "train.tsv", ROWS)
    with pytest.raises(InputError, match=r"holds both train.csv and train.tsv"):
        load(tmp_path)


def test_damaged_parquet_and_missing_pyarrow_are_named(tmp_path, monkeypatch):
    path = tmp_path / "mine.parquet"
    path.write_bytes(b"no parquet")
    pytest.importorskip("pyarrow")
    with pytest.raises(InputError, match="is not a readable Parquet file"):
        load(path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match="cannot be read without the package pyarrow"):
        load(path)


@pytest.mark.parametrize("name", ["imdb/train-subset.tsv", "sst2-sentence"])
def test_real_files_load(shared_dir, name):
    task = load(shared_dir / "data" / name)
    sizes = [len(split) for split in task.splits.values()]
    assert sizes == ([4000, 500, 500] if "imdb" in name else [6920, 872, 1821])
