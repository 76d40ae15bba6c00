"""Progress for those who give no callback: one line that changes, in a notebook or a terminal.

Elsewhere, in a script whose output goes to a file, nothing is said.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..profiling.measuring import MeasuringProgress
    from ..training.loop import TrainingProgress

BETWEEN_S = 0.25
"""Seconds between two changes of the line."""

WIDTH = 79


class Line:
    """Where a step is, in the words of its callbacks."""

    def __init__(self, write: Callable[[str], None]) -> None:
        """Take what shows a text in the place of the last one."""
        self._write = write
        self._shown_s = -BETWEEN_S
        self._last = ""

    def training(self, state: "TrainingProgress") -> None:
        """A training stage."""
        self._say(f"{state.stage}: step {state.step:,} of {state.total_steps:,}")

    def latency(self, state: "MeasuringProgress") -> None:
        """A session of measuring."""
        number = state.num_processes + 1
        self._say(f"latency: process {number} of at least {max(state.min_processes, number)}")

    def deploying(self, done: int, total: int) -> None:
        """Networks that are written, weighed and loaded."""
        self._say(f"deploy: {done} of {total} networks")

    def collecting(self, done: int, total: int) -> None:
        """Texts whose states are collected for repairs."""
        self._say(f"collect: {done:,} of {total:,} texts")

    def scoring(self, done: int, total: int) -> None:
        """Networks that are scored."""
        self._say(f"score: {done} of {total} networks")

    def end(self) -> None:
        """Show the last state, which may have come too soon after another."""
        if self._last:
            self._write(self._last)

    def _say(self, text: str) -> None:
        self._last = text
        now_s = time.monotonic()
        if now_s - self._shown_s >= BETWEEN_S:
            self._shown_s = now_s
            self._write(text)


@contextmanager
def followed() -> Iterator[Line]:
    """A line while a step runs."""
    write, close = _notebook() or _terminal() or (_nothing, lambda: None)
    line = Line(write)
    try:
        yield line
    finally:
        line.end()
        close()


def _nothing(text: str) -> None:
    """Say nothing."""


def _terminal() -> "tuple[Callable[[str], None], Callable[[], None]] | None":
    if not sys.stderr.isatty():
        return None

    def write(text: str) -> None:
        sys.stderr.write(f"\r{text[:WIDTH]:{WIDTH}}")
        sys.stderr.flush()

    def close() -> None:
        sys.stderr.write(f"\r{'':{WIDTH}}\r")
        sys.stderr.flush()

    return write, close


def _notebook() -> "tuple[Callable[[str], None], Callable[[], None]] | None":
    """A display of the notebook that runs this, if one does."""
    interactive = sys.modules.get("IPython")
    shell = interactive.get_ipython() if interactive is not None else None
    if shell is None or not hasattr(shell, "kernel"):
        return None
    from IPython.display import HTML, display

    handles: list[Any] = []

    def write(text: str) -> None:
        shown = HTML(f"<small>{escape(text)}</small>")
        if handles:
            handles[0].update(shown)
        else:
            handles.append(display(shown, display_id=True))

    return write, lambda: None
