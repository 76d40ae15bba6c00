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
