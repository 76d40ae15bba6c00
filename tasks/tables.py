"""Reading CSV, TSV, JSON Lines and Parquet files into rows with line numbers (no torch).

CSV has the usual double quotes. TSV has none: a tab always ends a field and a line feed a row, as
in GLUE's files. Text is UTF-8, with or without a byte order mark. Every defect is an `InputError`
that names file and line.
"""

import csv
import io
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError, listed, shortened
from ..storage import parsed_json, read_bytes, refuse_irregular

Row = tuple[Any, ...]

MAX_COLUMNS = 10_000

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a file.

    Attributes:
        path: The file.
        columns: The columns' names.
        rows: The cells, in the order of `columns`: strings, or JSON values; None where missing.
        lines: The line of the file on which each row ends, from 1; for Parquet, the row's number.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    lines: tuple[int, ...]

    def __post_init__(self) -> None:
        """Refuse a table without rows, or with columns that cannot be told apart.

        Raises:
            InputError: Then.
        """
        if not self.rows:
            raise InputError(f"{self.path} holds no examples.")
        if len(set(self.columns)) < len(self.columns):
            repeated = [name for name, count in Counter(self.columns).items() if count > 1]
            raise InputError(f"{self.path} has two columns of one name: {listed(repeated)}.")

    def column(self, name: str) -> list[Any]:
        """The cells of one column.

        Raises:
            InputError: When there is no such column.
        """
        if name not in self.columns:
            raise InputError(
                f"{self.path} has no column {shortened(name)}: its columns are "
                f"{listed(self.columns)}."
            )
        index = self.columns.index(name)
        return [row[index] for row in self.rows]


def read_table(path: Path) -> Table:
    """Read a file whose format is named by its ending.

    Raises:
        InputError: When the file is missing, empty, damaged, or of another format.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(
            f"{path} is none of the formats that are read, which are {', '.join(READERS)}."
        )
    return reader(path)


def read_tsv(
    path: Path, *, columns: Sequence[str] | None = None, skip_broken_rows: bool = False
) -> Table:
    """Read tab-separated values without quoting.

    Args:
        path: The file.
        columns: The columns' names, for a file without a header line.
        skip_broken_rows: Leave out rows of the wrong length instead of refusing the file.
    """
    lines = [line.removesuffix("\r") for line in read_text(path).split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    split = [tuple(line.split("\t")) for line in lines]
    numbered = list(enumerate(split, start=1))
    if columns is None:
        columns, numbered = (split[0] if split else ()), numbered[1:]
    return _checked(path, tuple(columns), numbered, skip_broken_rows=skip_broken_rows)


def read_csv(path: Path) -> Table:
    """Read comma-separated values with the usual quoting and a header line."""
    text = read_text(path)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    numbered: list[tuple[int, Row]] = []
    limit = csv.field_size_limit(max(len(text), 1))
    try:
        header = tuple(next(reader, ()))
        numbered.extend((reader.line_num, tuple(row)) for row in reader if row)
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}, is not valid CSV: {error}.") from None
    finally:
        csv.field_size_limit(limit)
    return _checked(path, header, numbered)


def read_jsonl(path: Path) -> Table:
    """Read one JSON object per line; keys that a line lacks are missing cells."""
    records: list[tuple[int, dict[str, Any]]] = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        record = parsed_json(line)
        if not isinstance(record, dict):
            raise InputError(f"{path}, line {number}, is not a JSON object.")
        records.append((number, record))
    columns = tuple(dict.fromkeys(key for _, record in records for key in record))
    _refuse_columns(path, len(columns))
    return Table(
        path=path,
        columns=columns,
        rows=tuple(tuple(record.get(name) for name in columns) for _, record in records),
        lines=tuple(number for number, _ in records),
    )


def read_parquet(path: Path) -> Table:
    """Read a Parquet file, which needs pyarrow."""
    refuse_irregular(path)
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InputError(
            f"{path} cannot be read without the package pyarrow: "
            "install it, or paretobert with the extra [parquet]."
        ) from None
    try:
        content = pyarrow.parquet.ParquetFile(path).read()
        cells = [column.to_pylist() for column in content.columns]
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{path} is not a readable Parquet file: {error}.") from None
    columns, rows = tuple(content.column_names), tuple(zip(*cells, strict=True))
    _refuse_columns(path, len(columns))
    return Table(path, columns, rows, tuple(range(1, len(rows) + 1)))


def read_lines(path: Path) -> Table:
    """Read plain text, one text a line, into a column named "text"; the last line end ends it."""
    lines = [line.removesuffix("\r") for line in read_text(path).split("\n")]
    if not lines[-1]:
        lines.pop()
    return Table(
        path=path,
        columns=("text",),
        rows=tuple((line,) for line in lines),
        lines=tuple(range(1, len(lines) + 1)),
    )


READERS: dict[str, Callable[[Path], Table]] = {
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".jsonl": read_jsonl,
    ".parquet": read_parquet,
}
"""The formats that are read, by the ending of the file's name."""


def read_text(path: Path) -> str:
    """Read a UTF-8 file, with or without a byte order mark.

    Raises:
        InputError: When the file is missing, is no regular file, or is not UTF-8.
    """
    content = read_bytes(path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path}, line {line}, is not UTF-8: byte {error.start} is "
            f"0x{content[error.start]:02x}; save the file as UTF-8."
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(
            f"{path}, line {line}, holds a NUL byte, which is no text: save the file as UTF-8."
        )
    return text


def _refuse_columns(path: Path, number: int) -> None:
    if number > MAX_COLUMNS:
        raise InputError(
            f"{path} has {number:,} columns, but at most {MAX_COLUMNS:,} are read: leave only the "
            "texts and the labels."
        )


def _checked(
    path: Path,
    columns: tuple[str, ...],
    numbered: Sequence[tuple[int, Row]],
    *,
    skip_broken_rows: bool = False,
) -> Table:
    _refuse_columns(path, len(columns))
    whole = [(number, row) for number, row in numbered if len(row) == len(columns)]
    if len(whole) < len(numbered) and not skip_broken_rows:
        number, row = next(item for item in numbered if len(item[1]) != len(columns))
        raise InputError(
            f"{path}, line {number}, has {len(row)} columns where {len(columns)} are expected."
        )
    if len(whole) < len(numbered):
        logger.warning("%s: %d broken rows left out", path, len(numbered) - len(whole))
    return Table(
        path=path,
        columns=columns,
        rows=tuple(row for _, row in whole),
        lines=tuple(number for number, _ in whole),
    )
