"""Opening a study: a journal file by default, or a database that several machines share (Optuna).

A study carries what it was asked as its user attribute "asked"; one that was asked something else
is refused. A journal's last line may be torn by a kill; Optuna would append to it and find the
file corrupt afterwards, so it is cut off first, under the journal's own lock.
"""

import json
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.study import Study
from sqlalchemy.exc import IntegrityError, ProgrammingError, SQLAlchemyError

from ..errors import InputError

_KWARGS = {"pool_pre_ping": True}
"""A connection that was lost while a network was scored is made again."""


@contextmanager
def opened_study(
    storage: Path | str,
    *,
    name: str,
    asked: Mapping[str, Any],
    directions: Sequence[Literal["minimize", "maximize"]],
) -> Iterator[Study]:
    """Open a study for the block, or make it where there is none.

    Args:
        storage: A journal file or the URL of a database.
        name: The study's name in it.
        asked: What decides the study's trials, as JSON types.
        directions: "minimize" or "maximize" for each objective.

    Raises:
        InputError: When the storage is damaged or cannot be reached, or holds a study of that
            name that was asked something else; the message names what differs.
    """
    place = _journal(storage) if isinstance(storage, Path) else _database(storage)
    try:
        yield _claimed(place, storage, name=name, asked=asked, directions=directions)
    finally:
        if isinstance(place, RDBStorage):
            place.remove_session()
            place.engine.dispose()


def _claimed(
    place: BaseStorage,
    storage: Path | str,
    *,
    name: str,
    asked: Mapping[str, Any],
    directions: Sequence[Literal["minimize", "maximize"]],
) -> Study:
    """The study of a name, which was asked the same, or is new."""
    plain = json.loads(json.dumps(asked))
    try:
        study = optuna.load_study(study_name=name, storage=place)
    except KeyError:
        study = optuna.create_study(
            storage=place, study_name=name, directions=directions, load_if_exists=True
        )
    is_new = not study.get_trials(deepcopy=False)
    existing = study.user_attrs.get("asked")
    if existing is None and is_new:
        study.set_user_attr("asked", plain)
    elif not isinstance(existing, dict):
        raise InputError(f"{storage} holds a study {name!r} that is not of this program.")
    elif existing != plain:
        differences = "; ".join(
            f"{key} is {existing.get(key)!r} there, {plain.get(key)!r} here"
            for key in dict.fromkeys((*existing, *plain))
            if existing.get(key) != plain.get(key)
        )
        raise InputError(
            f"{storage} holds another search ({differences}): ask for the same to resume it, or "
            "choose another place."
        )
    return study


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Keep Optuna's log below warnings, and what it calls experimental, to itself in the block."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)


def _journal(path: Path) -> BaseStorage:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        _cut_torn_line(path)
    try:
        return JournalStorage(JournalFileBackend(str(path)))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, AssertionError):
        raise InputError(
            f"{path} is not a study's journal, or it is damaged: delete it to search again; "
            "sub-networks that were scored are not scored again."
        ) from None


def _cut_torn_line(path: Path) -> None:
    lock = JournalFileSymlinkLock(str(path))
    lock.acquire()
    try:
        with path.open("rb+") as file:
            file.truncate(file.read().rfind(b"\n") + 1)
    finally:
        lock.release()


def _database(url: str) -> BaseStorage:
    """A database; of two who make its tables at once one fails, and finds them made."""
    try:
        for pause_s in (0.2, 0.4, 0.8):
            with suppress(IntegrityError, ProgrammingError):
                return RDBStorage(url, engine_kwargs=_KWARGS)
            time.sleep(pause_s)
        return RDBStorage(url, engine_kwargs=_KWARGS)
    except (SQLAlchemyError, ImportError, RuntimeError) as error:
        reason, shown = str(error).splitlines()[0].rstrip("."), url.rpartition("@")[2]
        raise InputError(f"The study's database {shown} cannot be used: {reason}.") from None
