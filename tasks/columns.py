"""From a table's cells to texts and labels, refusing what cannot be learnt from (no torch)."""

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import compress
from typing import Any

from ..errors import InputError
from .tables import Table

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
                f"{table.path}, line {line}: the label {label!r} in column {column!r} is none of "
                f"the training labels {_listed(indices)}."
            )
    return tuple(indices[label] for label in labels)


def class_names(table: Table, column: str) -> tuple[str, ...]:
    """Return the label of each row as a string.

    Raises:
        InputError: When the column or a label is missing.
    """
    labels = []
    for line, cell in zip(table.lines, table.column(column), strict=True):
        label = "" if cell is None else str(cell).strip()
        if not label:
            raise InputError(
                f"{table.path}, line {line}: the label in column {column!r} is empty."
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
                f"{table.path}, line {line}: the label {cell!r} in column {column!r} is not a "
                "finite number, as regression needs."
            )
        scores.append(score)
    return tuple(scores)


def as_number(cell: Any) -> float | None:
    """Return a cell's number, which may be infinite or NaN; None when it is none."""
    if cell is None or isinstance(cell, bool):
        return None
    try:
        return float(cell)
    except (TypeError, ValueError):
        return None


def without_empty_texts(table: Table, columns: Sequence[str]) -> Table:
    """Leave out the rows of which a text is empty."""
    filled = [all(cells) for cells in zip(*(table.column(name) for name in columns), strict=True)]
    if not all(filled):
        logger.warning("%s: %d rows with an empty text left out", table.path, filled.count(False))
    return replace(
        table,
        rows=tuple(compress(table.rows, filled)),
        lines=tuple(compress(table.lines, filled)),
    )


def _text_column(table: Table, column: str) -> tuple[str, ...]:
    cells = table.column(column)
    for line, cell in zip(table.lines, cells, strict=True):
        if cell is not None and not isinstance(cell, str):
            raise InputError(
                f"{table.path}, line {line}: column {column!r} holds {cell!r}, which is no text."
            )
        if cell is None or not cell.strip():
            raise InputError(f"{table.path}, line {line}: the text in column {column!r} is empty.")
    return tuple(cells)


def _listed(names: Iterable[str]) -> str:
    shown = list(names)
    more = f" and {len(shown) - 10} more" if len(shown) > 10 else ""
    return ", ".join(shown[:10]) + more
