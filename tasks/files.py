"""Own data: CSV, TSV, JSON Lines or Parquet files with one or two text columns (no torch).

A folder holds `train` with `dev` (or `validation`, `valid`) and `test`, in one of the formats that
`tasks.tables` reads. With all three, dev is searched with and test reported on; with two, the
second is reported on and the search split is held out of train; a single file is divided in three.
"""

import logging
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError, listed, shortened
from .columns import as_number, class_labels, class_names, score_labels, texts
from .heads import HEADS, Kind
from .splits import hold_out, hold_out_search, text_keys
from .tables import READERS, Table, read_table
from .task import Task, TextSplit

NAME = "files"

MAX_LENGTH = 128
"""Tokens per example."""

DEV_NAMES = ("dev", "validation", "valid", "val")

TEXT_COLUMNS = (
    ("text",),
    ("sentence",),
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("question", "sentence"),
)
"""Text columns that are found without being named, tried in this order."""

LABEL_COLUMNS = ("label", "score")
"""Label columns that are found without being named."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DataFiles:
    """The files of a task.

    Attributes:
        train: The file to train on.
        dev: The file to search with, or to report on when there is no test file; perhaps None.
        test: The file to report on; perhaps None.
    """

    train: Path
    dev: Path | None
    test: Path | None


def load_files(
    data: Path,
    *,
    report_data: Path | None = None,
    text_columns: tuple[str, ...] | None = None,
    label_column: str | None = None,
    kind: Kind | None = None,
    seed: int,
    search_size: int | None = None,
    max_length: int | None = None,
) -> Task:
    """Read a task from own files.

    Args:
        data: A file, or a folder with files named train, dev and test.
        report_data: A file to report on, in place of those in the folder.
        text_columns: One or two columns; by default the first of `TEXT_COLUMNS` there is.
        label_column: By default the first of `LABEL_COLUMNS` there is.
        kind: Classes or scores; by default scores when most labels are numbers with decimals.
        seed: Of the examples held out.
        search_size: How many are held out for search; by default a tenth of the whole
            texts, at most 2,000.
        max_length: Tokens per example; by default 128.

    Raises:
        InputError: When a file or column is missing, or a text or label cannot be used.
    """
    files = find_files(data)
    if report_data is not None:
        files = DataFiles(files.train, files.dev, report_data)
    tables = {path: read_table(path) for path in (files.train, files.dev, files.test) if path}
    train = tables[files.train]
    columns = text_columns or _default_text_columns(train)
    label = label_column or _default_label_column(train)
    head = HEADS[kind or detect_kind(train.column(label))]
    names = _class_names(train, label) if head.has_classes else ()
    indices = {name: index for index, name in enumerate(names)}

    def split(path: Path) -> TextSplit:
        first, second = texts(tables[path], columns)
        if head.has_classes:
            return TextSplit(first, second, class_labels(tables[path], label, indices))
        return TextSplit(first, second, score_labels(tables[path], label))

    everything = split(files.train)
    held_out = [split(path) for path in (files.dev, files.test) if path]
    if len(held_out) == 2:
        remaining, (search, report) = everything, held_out
    elif held_out:
        report = held_out[0]
        remaining, search = hold_out_search(everything, size=search_size, seed=seed)
    else:
        remaining, search, report = hold_out(everything, sizes=(search_size, None), seed=seed)
    for name, part in (("search", search), ("report", report)):
        _warn_of_repeats(remaining, part, name)
    return Task(
        name=data.stem or NAME,
        kind=head.kind,
        label_names=names,
        metric=head.metrics[0],
        other_metrics=head.metrics[1:],
        train=remaining,
        search=search,
        report=report,
        max_length=max_length or MAX_LENGTH,
        source=", ".join(map(str, tables)),
    )


def find_files(data: Path) -> DataFiles:
    """Find a task's files in a folder, or take the one file given.

    Raises:
        InputError: When there is no such file or folder, or no file to train on in it.
    """
    if data.is_file():
        return DataFiles(data, None, None)
    if not data.is_dir():
        state = "is neither a file nor a folder" if os.path.lexists(data) else "does not exist"
        raise InputError(f"{data} {state}: give a file, or a folder that holds train files.")
    train = _named(data, ("train",))
    if train is None:
        formats = ", ".join(READERS)
        raise InputError(f"{data} holds no file named train with one of the endings {formats}.")
    return DataFiles(train, _named(data, DEV_NAMES), _named(data, ("test",)))


def detect_kind(cells: Sequence[object]) -> Kind:
    """Take labels for scores when most are numbers with decimals, else for classes.

    >>> detect_kind(["0.5", "1.75", "oops"]), detect_kind(["1", "2.0", "3"])
    ('regression', 'classification')
    """
    numbers = [as_number(cell) for cell in cells]
    decimals = sum(x is not None and math.isfinite(x) and not x.is_integer() for x in numbers)
    return "regression" if 2 * decimals > len(cells) else "classification"


def _class_names(table: Table, label_column: str) -> tuple[str, ...]:
    labels = class_names(table, label_column)
    names = tuple(sorted(set(labels), key=_numbers_first))
    if len(names) == 1:
        raise InputError(
            f"{table.path}: every label in column {label_column!r} is {shortened(names[0])}, "
            "but classification needs two classes or more."
        )
    if len(names) > len(labels) / 2:
        raise InputError(
            f"{table.path}: column {label_column!r} holds {len(names)} different labels in "
            f"{len(labels)} rows: name the label column, or choose regression if these are scores."
        )
    return names


def _numbers_first(name: str) -> tuple[float, str]:
    number = as_number(name)
    return (math.inf if number is None or math.isnan(number) else number, name)


def _default_text_columns(table: Table) -> tuple[str, ...]:
    for columns in TEXT_COLUMNS:
        if set(columns) <= set(table.columns):
            return columns
    raise InputError(
        f"{table.path} has no text column of a usual name: name one or two of its columns "
        f"{listed(table.columns)} with --text-columns."
    )


def _default_label_column(table: Table) -> str:
    for column in LABEL_COLUMNS:
        if column in table.columns:
            return column
    raise InputError(
        f"{table.path} has no label column of a usual name: name one of its columns "
        f"{listed(table.columns)} with --label-column."
    )


def _named(folder: Path, stems: Sequence[str]) -> Path | None:
    found = [
        folder / f"{stem}{ending}"
        for stem in stems
        for ending in READERS
        if (folder / f"{stem}{ending}").is_file()
    ]
    if len(found) > 1:
        raise InputError(
            f"{folder} holds both {found[0].name} and {found[1].name}: leave only one of them."
        )
    return found[0] if found else None


def _warn_of_repeats(train: TextSplit, held_out: TextSplit, name: str) -> None:
    seen = set(text_keys(train))
    repeats = sum(key in seen for key in text_keys(held_out))
    if repeats:
        logger.warning(
            "%d of %d texts to %s with are in the training data too", repeats, len(held_out), name
        )
