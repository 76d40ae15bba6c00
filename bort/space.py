"""Candidate sets: the published one, and the user's own from a small file (no torch).

The set in which Bort was found has every combination of four lists of values, without those whose
hidden size cannot be shared among the heads: 300 architectures (arXiv 2010.10499; the lists as
two readers of the paper noted them).

A user's set is a CSV with the columns D, A, H and I, one candidate a row, or a TOML file with
lists of these names, of which every combination is meant, the impossible ones left out as in the
published set:

    D = [2, 4]
    A = [4, 8]
    H = [256]
    I = [512, 1024]
"""

import tomllib
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

from ..errors import InputError, listed, shortened
from ..storage import read_bytes
from ..tasks.tables import read_table
from .architecture import LARGEST, Architecture

PUBLISHED = "bort"
"""The name of the published set."""

LETTERS = {"D": "layers", "A": "heads", "H": "hidden_size", "I": "ffn_size"}
"""The letters of the paper, and the parameters that they stand for."""

VALUES: Mapping[str, tuple[int, ...]] = {
    "D": (2, 4, 6, 8, 10, 12),
    "A": (4, 8, 12, 16),
    "H": (512, 768, 1024),
    "I": (256, 512, 768, 1024, 3072),
}
"""The published lists."""

MAX_CANDIDATES = 100_000

Space = tuple[Architecture, ...]
"""A candidate set: different architectures, in the order in which they were given."""


def published_space() -> Space:
    """The 300 architectures in which Bort was found."""
    return combinations(VALUES)


def combinations(values: Mapping[str, Sequence[int]]) -> Space:
    """Every combination of some values whose hidden size can be shared among the heads.

    Args:
        values: Of D, A, H and I.

    Raises:
        InputError: When a value is out of its range, or no combination can be built.
    """
    found = tuple(
        Architecture(layers, heads, hidden, ffn)
        for layers, heads, hidden, ffn in product(*(values[letter] for letter in LETTERS))
        if hidden % max(1, heads) == 0
    )
    if not found:
        raise InputError(
            "No candidate can be built: no hidden size H is a multiple of a number of heads A."
        )
    return found


def space_of(name: str) -> Space:
    """The candidate set of a name on the command line: `bort`, or a file.

    Raises:
        InputError: When there is no such set, or the file is damaged; naming the place.
    """
    if name == PUBLISHED:
        return published_space()
    path = Path(name)
    readers = {".csv": _read_csv, ".toml": _read_toml}
    if path.suffix.lower() not in readers:
        raise InputError(
            f"{shortened(name)} is no candidate set: give {PUBLISHED}, or a file that ends in "
            f"{' or '.join(readers)}."
        )
    return readers[path.suffix.lower()](path)


def _read_csv(path: Path) -> Space:
    table = read_table(path)
    if sorted(table.columns) != sorted(LETTERS):
        raise InputError(
            f"{path} has the columns {listed(table.columns)}, where a candidate set has "
            f"{listed(LETTERS)}."
        )
    places = [table.columns.index(letter) for letter in LETTERS]
    found: dict[Architecture, int] = {}
    for row, line in zip(table.rows, table.lines, strict=True):
        try:
            candidate = Architecture(*(_whole(row[place]) for place in places))
        except InputError as error:
            raise InputError(f"{path}, line {line}: {error}") from None
        if candidate in found:
            raise InputError(
                f"{path}, line {line}, repeats the candidate of line {found[candidate]}: leave "
                "one out."
            )
        found[candidate] = line
    _refuse_too_many(path, len(found))
    return tuple(found)


def _read_toml(path: Path) -> Space:
    try:
        values = tomllib.loads(read_bytes(path).decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path} is not valid TOML: {error}.") from None
    if sorted(values) != sorted(LETTERS):
        raise InputError(
            f"{path} has the lists {listed(values) or 'of nothing'}, where a candidate set has "
            f"{listed(LETTERS)}."
        )
    number = 1
    for letter, name in LETTERS.items():
        entries = values[letter]
        if not isinstance(entries, list) or not entries:
            raise InputError(f"{path}: {letter} must be a list of whole numbers, not empty.")
        for value in entries:
            if type(value) is not int or not 1 <= value <= LARGEST[name]:
                raise InputError(
                    f"{path}: {letter} holds {shortened(value)}, but it must be a whole number "
                    f"from 1 to {LARGEST[name]:,}."
                )
        if len(set(entries)) < len(entries):
            raise InputError(f"{path}: {letter} holds a number twice.")
        number *= len(entries)
    _refuse_too_many(path, number)
    try:
        return combinations(values)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _refuse_too_many(path: Path, number: int) -> None:
    if number > MAX_CANDIDATES:
        raise InputError(f"{path} has {number:,} candidates, and at most {MAX_CANDIDATES:,} are.")


def _whole(cell: object) -> int:
    text = str(cell or "").strip()
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise InputError(f"{shortened(cell)} is no whole number.")
    return int(text)
