"""From a request to a task: the one door through which data enters (no torch)."""

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from ..errors import InputError, shortened
from ..storage import is_name
from . import files, stdlib_docs
from .glue import GLUE_TASKS, load_glue_folder, load_glue_hub
from .heads import HEADS, Kind
from .splits import MAX_SEED
from .task import Task

TASK_NAMES = (*GLUE_TASKS, stdlib_docs.NAME, files.NAME)
"""The names of the tasks: GLUE's, the embedded one, and `files` for own data."""

SHORTEST = 3
"""Tokens of the shortest text that there can be: one between two special ones."""

LONGEST = 1_000_000
"""Tokens of the longest text that any model could read."""

MAX_EXAMPLES = 1_000_000_000


@dataclass(frozen=True, slots=True)
class TaskRequest:
    """Which task, from where; case, hyphens and underscores of the name do not matter.

    Attributes:
        name: One of `TASK_NAMES`.
        data: GLUE: the task's folder or the one above it; the hub if left out. Own data: a file,
            or a folder with files named train, dev and test.
        report_data: Own data: a file to report on.
        text_columns: Own data: one or two text columns; by their usual names if left out.
        label_column: Own data: the label column; by its usual name if left out.
        kind: Own data: classes or scores (regression); by the labels if left out.
        seed: Of the examples held out of the training data.
        search_size: How many examples are held out to choose by; the task's default if left out.
        max_length: Tokens at which a text is cut; the task's default if left out.
    """

    name: str
    data: Path | None = None
    report_data: Path | None = None
    text_columns: tuple[str, ...] | None = None
    label_column: str | None = None
    kind: Kind | None = None
    seed: int = 0
    search_size: int | None = None
    max_length: int | None = None

    def __post_init__(self) -> None:
        """Check the options against the task and against one another.

        Raises:
            InputError: When an option is out of range, or means nothing for this task.
        """
        object.__setattr__(self, "name", canonical_name(self.name))
        if self.text_columns is not None and len(self.text_columns) not in (1, 2):
            raise InputError(f"Give one or two text columns, not {len(self.text_columns)}.")
        if self.text_columns is not None and self.label_column in self.text_columns:
            raise InputError(f"Column {self.label_column!r} cannot be both text and label.")
        if self.kind is not None and self.kind not in HEADS:
            raise InputError(
                f"The kind of a task is {' or '.join(HEADS)}, not {shortened(self.kind)}."
            )
        if self.text_columns is not None and len(set(self.text_columns)) < len(self.text_columns):
            raise InputError(f"Column {shortened(self.text_columns[0])} cannot be both texts.")
        for option, value, (smallest, largest) in (
            ("search size", self.search_size, (1, MAX_EXAMPLES)),
            ("max length", self.max_length, (SHORTEST, LONGEST)),
            ("seed", self.seed, (0, MAX_SEED)),
        ):
            if value is not None and not smallest <= value <= largest:
                raise InputError(
                    f"The {option} must be from {smallest} to {largest:,}, not {value}."
                )
        for name in ("data", "report_data"):
            if isinstance(getattr(self, name), str):
                object.__setattr__(self, name, Path(getattr(self, name)))
        for path in (self.data, self.report_data):
            if path is not None and not _can_exist(path):
                raise InputError(f"{shortened(str(path))} is the name of no file or folder.")
        self._refuse_options_without_meaning()

    def _refuse_options_without_meaning(self) -> None:
        own = {
            "a file to report on": self.report_data,
            "text columns": self.text_columns,
            "a label column": self.label_column,
            "a kind": self.kind,
        }
        given = [option for option, value in own.items() if value is not None]
        if self.name == files.NAME and self.data is None:
            raise InputError(f"The task {self.name!r} needs a data file or folder: --data.")
        if self.name == stdlib_docs.NAME and self.data is not None:
            raise InputError(
                f"The task {self.name} brings its own data: leave out {self.data}, "
                f"or ask for the task {files.NAME!r}."
            )
        if self.name != files.NAME and given:
            raise InputError(
                f"The task {self.name} has a fixed form and does not take {given[0]}: leave it "
                f"out, or ask for the task {files.NAME!r}."
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        record = asdict(self)
        for name in ("data", "report_data"):
            record[name] = None if record[name] is None else str(record[name])
        if self.text_columns is not None:
            record["text_columns"] = list(self.text_columns)
        return record

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        columns = record["text_columns"]
        converted: dict[str, Any] = {
            name: None if record[name] is None else Path(record[name])
            for name in ("data", "report_data")
        } | {"text_columns": None if columns is None else tuple(columns)}
        return cls(**{**record, **converted})


def load_task(request: TaskRequest) -> Task:
    """Read, check and split a task's data.

    Raises:
        InputError: When the data is missing, damaged, or cannot be learnt from.
    """
    seed, search_size, max_length = request.seed, request.search_size, request.max_length
    if request.name == stdlib_docs.NAME:
        return stdlib_docs.load_stdlib_docs(
            seed=seed, search_size=search_size, max_length=max_length
        )
    if request.name == files.NAME:
        assert request.data is not None
        return files.load_files(
            request.data,
            report_data=request.report_data,
            text_columns=request.text_columns,
            label_column=request.label_column,
            kind=request.kind,
            seed=seed,
            search_size=search_size,
            max_length=max_length,
        )
    glue = GLUE_TASKS[request.name]
    if request.data is None:
        return load_glue_hub(glue, seed=seed, search_size=search_size, max_length=max_length)
    return load_glue_folder(
        glue, request.data, seed=seed, search_size=search_size, max_length=max_length
    )


def canonical_name(name: str) -> str:
    """Return a task's name as it is written in `TASK_NAMES`.

    >>> canonical_name("sst2")
    'SST-2'

    Raises:
        InputError: When there is no such task; the nearest name is offered.
    """
    plain = {_plain(known): known for known in TASK_NAMES}
    if _plain(name) in plain:
        return plain[_plain(name)]
    nearest = difflib.get_close_matches(_plain(name), plain, n=1, cutoff=0.5)
    offer = f" (did you mean {plain[nearest[0]]!r}?)" if nearest else ""
    raise InputError(
        f"There is no task {shortened(name)}{offer}: the tasks are {', '.join(TASK_NAMES)}."
    )


def _can_exist(path: Path) -> bool:
    """Whether a file system could hold a file of that name, and a message show it."""
    if not is_name(str(path)):
        return False
    return len(os.fsencode(path)) < 4096 and all(len(os.fsencode(p)) < 256 for p in path.parts)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
