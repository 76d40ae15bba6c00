"""From a table's cells to texts and labels, refusing what cannot be learnt from (no torch)."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import compress
from typing import Any

from ..errors import InputError, listed, shortened
from ..storage import is_name, is_text
from .tables import Table

MAX_LABEL_LENGTH = 200
"""Characters of a class's name: what is longer is a text."""

logger = logging.getLogger(__name__)


def texts(table: Table, columns: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
    """Return the first and, given two columns, the second texts.

    Raises:
        InputError: When a column is missing, or a text is empty or no string.
    """
    first, *second = (_text_column(table, name) for name in columns)
    return first, second[0] if second else None


def class_labels(table: Table, column: str, indices: Mapping[str, int]) -> tuple[int, ...]:
    """Return the class index of each row.

    Args:
        table: The rows.
        column: The label column.
        indices: The class index of each label that may occur.

    Raises:
        InputError: When a label is missing or is none of these.
    """
    labels = class_names(table, column)
    for line, label in zip(table.lines, labels, strict=True):
        if label not in indices:
            raise InputError(
                f"{table.path}, line {line}: the label {shortened(label)} in column {column!r} is "
                f"none of the training labels {listed(indices)}."
            )
    return tuple(indices[label] for label in labels)


def class_names(table: Table, column: str) -> tuple[str, ...]:
    """Return the label of each row as a string.

    Raises:
        InputError: When the column is missing, or a label is missing or cannot be a class's name.
    """
    labels = []
    for line, cell in zip(table.lines, table.column(column), strict=True):
        label = "" if cell is None or cell != cell else str(cell).strip()
        where = f"{table.path}, line {line}: the label in column {column!r}"
        if not label:
            raise InputError(f"{where} is empty.")
        if not isinstance(cell, str | int | float | Decimal):
            raise InputError(f"{where} is {shortened(cell)}, which is no class's name.")
        if len(label) > MAX_LABEL_LENGTH:
            raise InputError(
                f"{where} has {len(label):,} characters, but at most {MAX_LABEL_LENGTH} are read: "
                "name the label column."
            )
        if not is_name(label):
            raise InputError(
                f"{where} is {shortened(label)}, which cannot be written or shown: rename the "
                "class."
            )
        labels.append(label)
    return tuple(labels)


def score_labels(table: Table, column: str) -> tuple[float, ...]:
    """Return the score of each row.

    Raises:
        InputError: When the column is missing, or a label is not a finite number.
    """
    scores = []
    for line, cell in zip(table.lines, table.column(column), strict=True):
        score = as_number(cell)
        if score is None or not math.isfinite(score):
            raise InputError(
                f"{table.path}, line {line}: the label {shortened(cell)} in column {column!r} is "
                "not a finite number, as regression needs."
            )
        scores.append(score)
    return tuple(scores)


def as_number(cell: Any) -> float | None:
    """Return a cell's number, which may be infinite or NaN; None when it is none."""
    if cell is None or isinstance(cell, bool):
        return None
    try:
        return float(cell)
    except (OverflowError, TypeError, ValueError):
        return None


def without_empty_texts(table: Table, columns: Sequence[str]) -> Table:
    """Leave out the rows of which a text is missing or blank.

    Raises:
        InputError: When a column is missing, or no row is left.
    """
    cells = zip(*(table.column(name) for name in columns), strict=True)
    filled = [not any(map(_is_blank, row)) for row in cells]
    if not all(filled):
        logger.warning("%s: %d rows with an empty text left out", table.path, filled.count(False))
    return replace(
        table,
        rows=tuple(compress(table.rows, filled)),
        lines=tuple(compress(table.lines, filled)),
    )


def _is_blank(cell: object) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())


def _text_column(table: Table, column: str) -> tuple[str, ...]:
    cells = table.column(column)
    for line, cell in zip(table.lines, cells, strict=True):
        if cell is not None and not isinstance(cell, str):
            raise InputError(
                f"{table.path}, line {line}: column {column!r} holds {shortened(cell)}, which is "
                "no text."
            )
        if cell is None or not cell.strip():
            raise InputError(f"{table.path}, line {line}: the text in column {column!r} is empty.")
        if not is_text(cell):
            raise InputError(
                f"{table.path}, line {line}: the text in column {column!r} holds a NUL or half of "
                "a surrogate pair, which cannot be written: mend or leave out that row."
            )
    return tuple(cells)
