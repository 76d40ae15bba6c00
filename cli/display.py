"""What a person sees: messages and progress on standard error, results on standard output."""

import json
import logging
import math
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from ..profiling.measuring import MeasuringProgress
    from ..training.loop import TrainingProgress

SECONDS_BETWEEN_LINES = 15.0
"""Without a terminal, progress is a line now and then instead of a bar."""


def say(message: str) -> None:
    """Print a message for a person; rich's markup is understood."""
    Console(stderr=True, soft_wrap=True).print(message, highlight=False)


def show(result: object) -> None:
    """Print a result: plain text, or a table of rich's."""
    width = None if sys.stdout.isatty() else 140
    Console(width=width, soft_wrap=isinstance(result, str)).print(
        result, highlight=False, markup=False
    )


def show_json(record: Mapping[str, Any]) -> None:
    """Print one JSON object."""
    print(json.dumps(record, indent=2))


def log_to_stderr() -> None:
    """Show the package's warnings as messages."""
    handler = RichHandler(
        console=Console(stderr=True), show_time=False, show_path=False, show_level=False
    )
    logger = logging.getLogger("paretobert")
    logger.handlers = [handler]
    logger.setLevel(logging.WARNING)


class Meter:
    """The progress of one step, as a bar per stage."""

    def __init__(self, progress: Progress) -> None:
        """Start with no bar."""
        self._progress = progress
        self._bars: dict[str, TaskID] = {}
        self._last_line_s = time.monotonic()

    def training(self, state: "TrainingProgress") -> None:
        """Show where a training stage is."""
        loss = "" if math.isnan(state.loss) else f"loss {state.loss:.3f}  "
        detail = f"{loss}{state.examples_per_s:.0f} examples/s"
        self._update(state.stage, state.step, state.total_steps, detail)

    def tell(self, sentence: str) -> None:
        """Print a line above the bars."""
        self._progress.console.print(sentence, highlight=False, markup=False, soft_wrap=True)

    def deploying(self, done: int, total: int) -> None:
        """Show how many sub-networks have been written, weighed and loaded."""
        self._update("deploy", done, total, f"{done} of {total} sub-networks")

    def weighing(self, done: int, total: int) -> None:
        """Show how many exported networks have been weighed."""
        self._update("weigh", done, total, f"{done} of {total} networks")

    def latency(self, state: "MeasuringProgress") -> None:
        """Show how many processes have measured; visits count as parts of one."""
        processes = state.num_processes + state.num_visits / state.visits_per_process
        total = max(state.min_processes, state.num_processes + 1)
        detail = f"{state.num_processes} processes, {state.elapsed_s:.0f} s"
        self._update("latency", processes, total, detail)

    def evaluation(self, done: int, total: int) -> None:
        """Show how many sub-networks have been scored."""
        self._update("search", done, total, f"{done} of {total} sub-networks")

    def reporting(self, done: int, total: int) -> None:
        """Show how many sub-networks have been scored for the report."""
        self._update("report", done, total, f"{done} of {total} sub-networks")

    def _update(self, stage: str, done: float, total: float, detail: str) -> None:
        if stage not in self._bars:
            self._progress.start()
            self._bars[stage] = self._progress.add_task(stage, detail=detail)
        self._progress.update(self._bars[stage], completed=done, total=total, detail=detail)
        silent_s = time.monotonic() - self._last_line_s
        if not self._progress.console.is_terminal and silent_s >= SECONDS_BETWEEN_LINES:
            self._last_line_s = time.monotonic()
            say(f"{stage}: {done / total:.0%}, {detail}")


@contextmanager
def meter() -> Iterator[Meter]:
    """Show bars on standard error while a step runs."""
    columns = (
        TextColumn("{task.description:>8}"),
        BarColumn(),
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
