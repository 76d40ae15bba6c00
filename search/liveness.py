"""Which workers of a study are alive, so that what a dead one was at is given back (Optuna).

Workers on one machine share a journal. Each holds a lock on a file of its own for as long as it
lives; the system lets go of it however the worker ends, and whoever can take it knows.

Workers of several machines share a database. Each counts up an attribute of the study, and is
dead once its count has stood still for `SILENT_S` seconds of the watcher's own clock: no two
clocks are compared. Optuna's own heartbeat (`RDBStorage(heartbeat_interval=...)`) belongs to a
trial and beats under `study.optimize` only; a trial whose worker dies before the first beat is
never stale for it, and would run for ever. Ours belongs to the worker, and beats before it claims.
"""

import threading
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from optuna.study import Study

from ..storage import hold, is_held

BEAT_S = 15.0
"""Seconds between two beats of a worker."""

SILENT_S = 60.0
"""Seconds without a beat after which a worker counts as dead."""

_LEFT = -1
"""What a worker counts that has left."""


class Liveness(ABC):
    """One worker's view of the others.

    Attributes:
        name: The worker's own name, which is given once.
    """

    def __init__(self) -> None:
        """Take a name."""
        self.name = uuid.uuid4().hex

    @abstractmethod
    def dead(self, workers: Collection[str]) -> set[str]:
        """Those of some workers that are dead."""


@contextmanager
def joined(study: Study, storage: Path | str) -> Iterator[Liveness]:
    """Be alive in the block.

    Args:
        study: The study that workers share.
        storage: Its journal file, or the URL of its database.
    """
    if isinstance(storage, Path):
        with _locked(storage.with_name(f"{storage.name}.workers")) as locks:
            yield locks
    else:
        with _beating(study) as beats:
            yield beats


class _Locks(Liveness):
    """A locked file for each worker."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def dead(self, workers: Collection[str]) -> set[str]:
        return {worker for worker in workers if not self._lives(worker)}

    def _lives(self, worker: str) -> bool:
        """Whether a worker holds its file; that of one that does not is removed."""
        path = self.folder / worker
        if not path.exists():
            return False
        if not is_held(path):
            path.unlink(missing_ok=True)
            return False
        return True


@contextmanager
def _locked(folder: Path) -> Iterator[_Locks]:
    """Hold a lock; its file gets its name when it is locked, so that none finds it free before.

    What dead workers left is removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    locks = _Locks(folder)
    locks.dead([each.name for each in folder.iterdir() if not each.name.startswith(".")])
    path, unnamed = folder / locks.name, folder / f".{locks.name}"
    with unnamed.open("wb") as file:
        hold(file.fileno())
        unnamed.rename(path)
        try:
            yield locks
        finally:
            path.unlink(missing_ok=True)


class _Beats(Liveness):
    """An attribute of the study for each worker, which it counts up."""

    def __init__(self, study: Study) -> None:
        super().__init__()
        self._study = study
        self._seen: dict[str, tuple[int, float]] = {}

    def beat(self, count: int) -> None:
        """Say that this worker is alive, or has left."""
        self._study.set_user_attr(_attribute(self.name), count)

    def dead(self, workers: Collection[str]) -> set[str]:
        if not workers:
            return set()
        counts = self._study.user_attrs
        return {each for each in workers if self._silent(each, counts.get(_attribute(each)))}

    def _silent(self, worker: str, count: int | None) -> bool:
        if count is None or count == _LEFT:
            return True
        now_s = time.monotonic()
        if self._seen.get(worker, (None, 0.0))[0] != count:
            self._seen[worker] = count, now_s
        return now_s - self._seen[worker][1] > SILENT_S


@contextmanager
def _beating(study: Study) -> Iterator[_Beats]:
    """Count up in a thread; a database that cannot be reached is for the worker to complain of."""
    beats, over = _Beats(study), threading.Event()
    beats.beat(0)

    def count() -> None:
        number = 0
        while not over.wait(BEAT_S):
            number += 1
            try:
                beats.beat(number)
            except Exception:
                continue

    thread = threading.Thread(target=count, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield beats
    finally:
        over.set()
        thread.join()
        beats.beat(_LEFT)


def _attribute(worker: str) -> str:
    return f"worker {worker}"
