"""Workers of a search: processes beside this one that score networks of the same study.

`python -m` this module is one: it reads a job as JSON from standard input, scores until the study
is done, and begins no other network once that input ends, which it does when the process that
started it does, however that ends. What workers share is the run's study and its ledger
(`search.study`); the process that started them scores like them, so that a worker that dies costs
what it was at and nothing else.
"""

import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from ..errors import InputError
from ..garbage import leave_the_rest
from ..search.options import SearchOptions
from .context import Context
from .folder import RunFolder

logger = logging.getLogger(__name__)

MAX_WORKERS = 1024


@contextmanager
def helped(context: Context, options: SearchOptions, *, workers: int) -> Iterator[None]:
    """Let other processes score for a search while the block does, with an equal share of cores.

    Args:
        context: The run.
        options: What is searched.
        workers: Processes that score, this one among them.

    Raises:
        InputError: When there are to be none, or too many.
    """
    if not 1 <= workers <= MAX_WORKERS:
        raise InputError(f"Workers are from 1 to {MAX_WORKERS}, not {workers}.")
    if workers == 1:
        yield
        return
    threads = max(1, (os.cpu_count() or 1) // workers)
    job = {"folder": os.fspath(context.folder.root.resolve()), "options": options.to_dict()}
    with ExitStack() as stack:
        for number in range(1, workers):
            stack.enter_context(_worker(job, number=number, threads=threads))
        stack.enter_context(_at_most(threads))
        yield


@contextmanager
def _worker(job: Mapping[str, Any], *, number: int, threads: int) -> Iterator[None]:
    """A process that scores while the block runs; what it says when it fails is passed on."""
    with tempfile.TemporaryFile("w+") as words:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=words,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        )
        assert process.stdin is not None
        try:
            process.stdin.write(f"{json.dumps(job)}\n")
            process.stdin.flush()
            yield
        except BaseException:
            process.kill()
            raise
        finally:
            _close(process.stdin)
            status = process.wait()
        if status:
            words.seek(0)
            said = words.read().strip().splitlines() or [f"it was ended with status {status}"]
            logger.warning(
                "Worker %d stopped early and the others did what it would have: %s",
                number,
                said[-1],
            )


def _close(pipe: IO[str]) -> None:
    """Close a pipe, whether or not somebody is left to read it."""
    with suppress(BrokenPipeError):
        pipe.close()


@contextmanager
def _at_most(threads: int) -> Iterator[None]:
    """Compute with so many threads in the block."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(min(threads, before))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _main() -> None:
    job, over = json.loads(sys.stdin.readline()), threading.Event()

    def wait() -> None:
        while os.read(sys.stdin.fileno(), 1):
            pass
        over.set()

    threading.Thread(target=wait, daemon=True).start()
    from .steps.search import Scoring

    context = Context.open(RunFolder(Path(job["folder"])))
    scoring = Scoring(context, SearchOptions.from_dict(job["options"]))
    scoring.run(goes_on=lambda: not over.is_set())


if __name__ == "__main__":
    try:
        _main()
        leave_the_rest()
    except InputError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
