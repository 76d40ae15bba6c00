"""What a person sees: messages and progress on standard error, results on standard output.

Whatever is said is also kept in the log of the run folder, once a command has opened one.
"""

import json
import logging
import math
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from ..intervals import duration

if TYPE_CHECKING:
    from ..pipeline.run import Run
    from ..profiling.measuring import MeasuringProgress
    from ..training.loop import TrainingProgress

SECONDS_BETWEEN_LINES = 15.0
"""Without a terminal, progress is a line now and then instead of a bar."""

SILENT_S = 1.0
"""A command that has shown nothing for so long says that it has begun."""

LOG_NAME = "log.txt"
"""The log in a run folder: what each command said, and warnings."""

_UNBOUNDED = 100_000

_package = logging.getLogger("paretobert")
_said = logging.getLogger("paretobert.cli")
_shown = threading.Event()
_words: list[str] = []


def say(message: str) -> None:
    """Print a message for a person; rich's markup is understood."""
    _shown.set()
    _said.info(Text.from_markup(message).plain)
    Console(stderr=True, soft_wrap=True).print(message, highlight=False)


def say_next(command: str) -> None:
    """Say which command comes next."""
    say(f"next:  [bold]{Text(command).markup}[/]")


def show(result: object, *, whole: bool = False) -> None:
    """Print a result: plain text, or something of rich's.

    Args:
        result: What to print.
        whole: Whether every column stays, however wide a table.
    """
    _shown.set()
    console = Console(width=_UNBOUNDED if whole else None, soft_wrap=isinstance(result, str))
    console.print(result, highlight=False, markup=False)


def show_json(record: Mapping[str, Any]) -> None:
    """Print one JSON object."""
    _shown.set()
    print(json.dumps(record, indent=2))


@contextmanager
def speaking(words: list[str]) -> Iterator[None]:
    """While a command runs: say soon that it has begun, and close what was logged at the end."""
    _shown.clear()
    _words[:] = words
    silence = threading.Timer(SILENT_S, _say_begun)
    silence.daemon = True
    silence.start()
    try:
        yield
    finally:
        silence.cancel()
        for handler in list(_package.handlers):
            _package.removeHandler(handler)
            handler.close()


def begin(folder: Path | None = None, *, verbose: bool = False) -> None:
    """Show the package's warnings as messages, and keep what is said in a run's log.

    Args:
        folder: The run folder; what is none yet is left alone.
        verbose: Show what the package says of its progress, too.
    """
    shown = RichHandler(
        console=Console(stderr=True), show_time=False, show_path=False, show_level=False
    )
    shown.setLevel(logging.INFO if verbose else logging.WARNING)
    shown.addFilter(lambda record: record.name != _said.name)
    _package.addHandler(shown)
    _package.setLevel(logging.INFO)
    if folder is not None:
        keep_log(folder)


def keep_log(folder: Path) -> None:
    """Append what is said from now on to the log of a run folder that can be written to."""
    if not (folder / "run.json").is_file():
        return
    try:
        kept = logging.FileHandler(folder / LOG_NAME, encoding="utf-8")
    except OSError:
        return
    kept.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    _package.addHandler(kept)
    _said.info("$ %s", " ".join(["paretobert", *_words]))


def _say_begun() -> None:
    named = [word for word in _words[:2] if not word.startswith("-")]
    if named and not _shown.is_set():
        say(Text(f"{' '.join(named)} ...").markup)


@dataclass(slots=True)
class _Stage:
    """A stage that is shown: its bar, when it began and with what, where it is, its last line."""

    bar: TaskID
    began_s: float
    first: float
    latest: float
    said_s: float


class Meter:
    """The progress of one step, as a bar per stage; one that counts anew begins anew."""

    def __init__(self, progress: Progress) -> None:
        """Start with no bar."""
        self._progress = progress
        self._stages: dict[str, _Stage] = {}

    def training(self, state: "TrainingProgress") -> None:
        """Show where a training stage is."""
        loss = "" if math.isnan(state.loss) else f"loss {state.loss:.3f}  "
        rate = state.examples_per_s
        detail = f"{loss}{'' if math.isnan(rate) else f'{rate:.0f} examples/s'}"
        self._update(state.stage, state.step, state.total_steps, detail)

    def tell(self, sentence: str) -> None:
        """Print a line above the bars."""
        _said.info(sentence)
        self._progress.console.print(sentence, highlight=False, markup=False, soft_wrap=True)

    def deploying(self, done: int, total: int) -> None:
        """Show how many sub-networks have been written, weighed and loaded."""
        self._update("deploy", done, total, f"{done} of {total} sub-networks")

    def collecting(self, done: int, total: int) -> None:
        """Show how many texts' states have been collected for repairs."""
        self._update("collect", done, total, f"{done} of {total} texts")

    def weighing(self, done: int, total: int) -> None:
        """Show how many exported networks have been weighed."""
        self._update("weigh", done, total, f"{done} of {total} networks")

    def latency(self, state: "MeasuringProgress") -> None:
        """Show how many processes have measured; visits count as parts of one."""
        processes = state.num_processes + state.num_visits / state.visits_per_process
        total = max(state.min_processes, state.num_processes + 1)
        detail = f"process {state.num_processes + 1} of at least {total}"
        self._update("latency", processes, total, detail)

    def evaluation(self, done: int, total: int) -> None:
        """Show how many sub-networks have been scored."""
        self._update("search", done, total, f"{done} of {total} sub-networks")

    def scoring(self, fidelity: str, done: int, total: int) -> None:
        """Show how many networks a fidelity has scored."""
        self._update(fidelity, done, total, f"{done} of {total} networks")

    def reporting(self, done: int, total: int) -> None:
        """Show how many sub-networks have been scored for the report."""
        self._update("report", done, total, f"{done} of {total} sub-networks")

    def _update(self, stage: str, done: float, total: float, detail: str) -> None:
        _shown.set()
        now_s = time.monotonic()
        at = self._stages.get(stage)
        if at is None:
            self._progress.start()
            bar = self._progress.add_task(stage, detail=detail)
            at = self._stages[stage] = _Stage(bar, now_s, done, done, now_s)
        elif done < at.latest:
            self._progress.reset(at.bar)
            at.began_s, at.first = now_s, done
        at.latest = done
        left = _left(at.began_s, at.first, done=done, total=total, now_s=now_s)
        detail = ", ".join(filter(None, (detail, left)))
        self._progress.update(at.bar, completed=done, total=total, detail=detail)
        if not self._progress.console.is_terminal and now_s - at.said_s >= SECONDS_BETWEEN_LINES:
            at.said_s = now_s
            say(", ".join(filter(None, (f"{stage}: {done / total:.0%}", detail))))


def _left(began_s: float, first: float, *, done: float, total: float, now_s: float) -> str:
    """About how long a stage still takes, once it has come a little way."""
    if done <= first or done >= total or now_s - began_s < SILENT_S:
        return ""
    left_s = (now_s - began_s) * (total - done) / (done - first)
    return f"about {duration(left_s)} left"


@contextmanager
def metered(run: "Run") -> Iterator[Meter]:
    """Bars while a step runs, one of them for what repairs collect when they are first needed."""
    with meter() as progress:
        run.context.collecting = progress.collecting
        try:
            yield progress
        finally:
            run.context.collecting = None


@contextmanager
def meter() -> Iterator[Meter]:
    """Show bars on standard error while a step runs."""
    columns = (
        TextColumn("{task.description:>8}"),
        BarColumn(bar_width=20),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[detail]}"),
    )
    progress = Progress(*columns, console=Console(stderr=True), refresh_per_second=4)
    try:
        yield Meter(progress)
        for bar in progress.tasks:
            progress.update(bar.id, completed=bar.total)
    finally:
        if progress.tasks:
            progress.stop()
