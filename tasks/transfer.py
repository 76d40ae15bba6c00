"""Transfer texts: texts without labels, for distillation beside the task's own (no torch).

A file holds one text a line (`.txt`) or has text columns, in one of the formats that
`tasks.tables` reads. A text that is in a held-out split would let a network learn the very
examples that it is judged on: such rows are left out and counted, and a file that is mostly made
of them is refused. Texts are compared as `splits.text_keys` has it, without case, punctuation and
spacing; pairs as pairs. Left out: near duplicates.
"""

import hashlib
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ..errors import InputError, listed, shortened
from ..storage import is_name, read_bytes
from .columns import texts, without_empty_texts
from .files import TEXT_COLUMNS
from .glue import GLUE_TASKS
from .loading import TaskRequest
from .splits import text_keys
from .tables import READERS, Table, read_lines, read_table
from .task import Task, Texts

LINES = ".txt"
"""The ending of files with one text a line."""

MAX_OVERLAP = 0.5
"""Share of a file's texts that may be in held-out splits: beyond it the file is refused."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class UnlabelledFile:
    """What became of the rows of a file of transfer texts.

    Each is counted once: rows = empty + held_out + in_training + repeated + kept.

    Attributes:
        path: The file, by an absolute path.
        fingerprint: Sixteen hexadecimal digits that change when its content does.
        rows: Rows that it has; for plain text, lines.
        empty: Rows with a blank text.
        overlaps: For each held-out split, the rows whose text is in it; one may be in several.
        held_out: Rows whose text is in any held-out split.
        in_training: Further rows whose text is in the training split.
        repeated: Further rows whose text came before, in this file or one before it.
        kept: The rest.
    """

    path: Path
    fingerprint: str
    rows: int
    empty: int
    overlaps: Mapping[str, int]
    held_out: int
    in_training: int
    repeated: int
    kept: int

    def to_dict(self) -> dict[str, Any]:
        """Return the fields but the path as JSON types."""
        return {
            "fingerprint": self.fingerprint,
            "rows": self.rows,
            "empty": self.empty,
            "overlaps": dict(self.overlaps),
            "held_out": self.held_out,
            "in_training": self.in_training,
            "repeated": self.repeated,
            "kept": self.kept,
        }

    @classmethod
    def from_dict(cls, path: str, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        return cls(path=Path(path), **record)


@dataclass(frozen=True, slots=True)
class Unlabelled:
    """The transfer texts of some files.

    Attributes:
        texts: What distillation sees beside the training texts.
        files: What became of each file, in the order of their paths.
    """

    texts: Texts
    files: tuple[UnlabelledFile, ...]


def load_unlabelled(paths: Iterable[Path], task: Task, *, request: TaskRequest) -> Unlabelled:
    """Read transfer texts, and leave out repeats and what a task holds out.

    The order in which files are given does not matter: they are read in the order of their
    absolute paths.

    Args:
        paths: One file or more.
        task: Gives the texts that are known and held out, and whether texts are pairs.
        request: Gives the names of the text columns.

    Raises:
        InputError: When a file cannot be used, is mostly made of held-out texts, or is given
            twice; or when nothing is left.
    """
    absolute = sorted(map(_absolute, paths))
    for path, following in zip(absolute, absolute[1:], strict=False):
        if path == following:
            raise InputError(f"{path} is given twice.")
    held_out = {
        name: frozenset(text_keys(split)) for name, split in task.splits.items() if name != "train"
    }
    training = frozenset(text_keys(task.train))
    seen: set[str] = set()
    files: list[UnlabelledFile] = []
    kept: tuple[list[str], list[str]] = ([], [])
    for path in absolute:
        table, filled = _filled(path, task, request)
        found = Texts(*texts(filled, _columns(filled, task, request)))
        overlaps = dict.fromkeys(held_out, 0)
        num_held_out = in_training = repeated = 0
        before = len(kept[0])
        others = found.second or ("",) * len(found)
        for key, first, second in zip(text_keys(found), found.first, others, strict=True):
            splits = [name for name, keys in held_out.items() if key in keys]
            for name in splits:
                overlaps[name] += 1
            if splits:
                num_held_out += 1
            elif key in training:
                in_training += 1
            elif key in seen:
                repeated += 1
            else:
                seen.add(key)
                kept[0].append(first)
                kept[1].append(second)
        file = UnlabelledFile(
            path=path,
            fingerprint=hashlib.sha256(read_bytes(path)).hexdigest()[:16],
            rows=len(table.rows),
            empty=len(table.rows) - len(found),
            overlaps=overlaps,
            held_out=num_held_out,
            in_training=in_training,
            repeated=repeated,
            kept=len(kept[0]) - before,
        )
        _refuse_held_out(file)
        _warn(file)
        files.append(file)
    if not kept[0]:
        raise InputError(
            f"{listed(str(file.path) for file in files)}: every text is held out or in the "
            "training data already: give other texts."
        )
    partners = None if task.train.second is None else tuple(kept[1])
    return Unlabelled(Texts(tuple(kept[0]), partners), tuple(files))


def _absolute(path: Path) -> Path:
    if not is_name(str(path)):
        raise InputError(f"{shortened(str(path))} is the name of no file.")
    return Path(os.path.abspath(path))


def _filled(path: Path, task: Task, request: TaskRequest) -> tuple[Table, Table]:
    """A file's rows, and those whose texts are not blank."""
    ending, pairs = path.suffix.lower(), task.train.second is not None
    if ending == LINES and pairs:
        raise InputError(
            f"{path} has one text a line, but {task.name} has pairs of texts: give a file with "
            f"two text columns ({', '.join(READERS)})."
        )
    if ending != LINES and ending not in READERS:
        raise InputError(
            f"{path} is none of the formats that are read, which are "
            f"{', '.join((LINES, *READERS))}."
        )
    table = read_lines(path) if ending == LINES else read_table(path)
    return table, without_empty_texts(table, _columns(table, task, request))


def _columns(table: Table, task: Task, request: TaskRequest) -> Sequence[str]:
    """The text columns: those that were asked for, or the first of usual names."""
    if table.path.suffix.lower() == LINES:
        return table.columns
    if request.text_columns is not None:
        return request.text_columns
    usual: list[tuple[str, ...]] = list(TEXT_COLUMNS)
    if request.name in GLUE_TASKS:
        usual.insert(0, GLUE_TASKS[request.name].columns)
    number = 1 if task.train.second is None else 2
    for columns in usual:
        if len(columns) == number and set(columns) <= set(table.columns):
            return columns
    wanted = "text column" if number == 1 else "pair of text columns"
    raise InputError(
        f"{table.path} has no {wanted} of a usual name, as {task.name} needs: its columns are "
        f"{listed(table.columns)}."
    )


def _refuse_held_out(file: UnlabelledFile) -> None:
    filled = file.rows - file.empty
    if file.held_out > MAX_OVERLAP * filled:
        raise InputError(
            f"{file.path}: {file.held_out} of {filled} texts are in a split that the networks are "
            f"judged on ({_overlaps(file)}), and at most {MAX_OVERLAP:.0%} may be: leave them out."
        )


def _warn(file: UnlabelledFile) -> None:
    filled = file.rows - file.empty
    if file.held_out:
        logger.warning(
            "%s: %d of %d texts left out that networks are judged on (%s)",
            file.path,
            file.held_out,
            filled,
            _overlaps(file),
        )
    if file.in_training or file.repeated:
        logger.warning(
            "%s: %d of %d texts left out that are in the training data, and %d repeats",
            file.path,
            file.in_training,
            filled,
            file.repeated,
        )


def _overlaps(file: UnlabelledFile) -> str:
    return ", ".join(f"{count} in {name}" for name, count in file.overlaps.items() if count)
