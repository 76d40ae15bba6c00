"""When Python looks for garbage."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def nothing_collected() -> Iterator[None]:
    """Look for no garbage: of modules and rows none becomes any, and looking takes a fifth."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def leave_the_rest() -> None:
    """Spare the process, at its end, the second or two that going through all modules takes."""
    gc.freeze()
