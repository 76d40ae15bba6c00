"""How much memory a deployed network needs: the peak of a process that only loads and runs it.

`python -m` this module is a process that imports what a runtime needs and nothing else, so that a
runtime without torch is given credit for it. Importing takes seconds; so one such process forks
for each network in turn. A fork starts with its parent's own pages; those of mapped files, which
it shares but does not count, it touches first, so that its peak is that of a process which has
imported all itself. Where that is not known to hold, beyond Linux, each network has one.
"""

import ctypes
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..deploy.artefact import import_runtime, load

NUM_RUNS = 3
_BYTES_PER_KIB = 1024
_PRESENT = np.uint64(1 << 63)
"""The bit of an entry of a page map that says that the page is in memory."""


@contextmanager
def peak_memory(
    *, threads: int, device: str, batch_size: int, seq_len: int, fork: bool | None = None
) -> Iterator[Callable[[Path], int]]:
    """Give what measures the peak memory of deployed networks of one runtime, in bytes.

    It takes the folder that `artefact.write` wrote, and raises RuntimeError with the last words of
    a process that fails. A compiled network is compiled in its process, so its compiler counts.

    Args:
        threads: Threads of one operator.
        device: "cpu": the resident set of the whole process, Python included. "cuda...": what
            torch allocated on the device.
        batch_size: Sequences of the batch.
        seq_len: Tokens of each sequence.
        fork: Whether networks share one process's imports; None where that changes nothing.
    """
    shared = sys.platform == "linux" if fork is None else fork
    job = {"threads": threads, "device": device, "batch_size": batch_size, "seq_len": seq_len}
    with tempfile.TemporaryFile("w+") as words:
        started: list[subprocess.Popen[str]] = []

        def peak(folder: Path) -> int:
            if not started:
                started.append(_started(job | {"fork": shared}, words))
            process = started[0] if shared else started.pop()
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{json.dumps(str(folder))}\n")
            process.stdin.flush()
            found = process.stdout.readline()
            if not shared or not found:
                _end(process)
            if not found:
                words.seek(0)
                last_words = (words.read().strip().splitlines() or ["it said nothing"])[-1]
                raise RuntimeError(f"measuring memory failed: {last_words}")
            return int(found)

        try:
            yield peak
        finally:
            for process in started:
                _end(process)


def _started(job: dict[str, Any], words: IO[str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", __name__, json.dumps(job)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=words,
        text=True,
    )


def _end(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()


def _weigh(job: dict[str, Any]) -> None:
    """Print the peak for each folder of standard input: a fork's, or, of one, this process's."""
    for line in sys.stdin:
        folder = Path(json.loads(line))
        if not job["fork"]:
            print(_peak_bytes(folder, job))
            return
        import_runtime(folder)
        imported = _resident_file_pages()
        child = os.fork()
        if not child:
            _touch(imported)
            print(_peak_bytes(folder, job), flush=True)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            sys.exit(1)


def _resident_file_pages() -> list[int]:
    """Addresses of the pages of mapped files that this process has in memory (Linux)."""
    page, found = os.sysconf("SC_PAGE_SIZE"), []
    with open("/proc/self/maps") as maps, open("/proc/self/pagemap", "rb") as entries:
        for mapping in maps:
            place, rights, _, _, _, *path = mapping.split(maxsplit=5)
            if not path or not path[0].startswith("/") or not rights.startswith("r"):
                continue
            start, end = (int(address, 16) for address in place.split("-"))
            entries.seek(start // page * 8)
            present = np.fromfile(entries, np.uint64, (end - start) // page) & _PRESENT
            found += (start + page * present.nonzero()[0]).tolist()
    return found


def _touch(pages: Iterable[int]) -> None:
    """Read a byte of each page, so that it counts as this process's."""
    for address in pages:
        ctypes.c_ubyte.from_address(address).value  # noqa: B018


def _peak_bytes(folder: Path, job: dict[str, Any]) -> int:
    device = str(job["device"])
    runner = load(folder, threads=int(job["threads"]), device=device)
    ones = np.ones((int(job["batch_size"]), int(job["seq_len"])), dtype=np.int64)
    for _ in range(NUM_RUNS):
        runner.logits({"input_ids": ones, "attention_mask": ones})
    torch = sys.modules.get("torch")
    if torch is not None and device.startswith("cuda"):
        return int(torch.cuda.max_memory_allocated(device))
    return _peak_resident_bytes()


def _peak_resident_bytes() -> int:
    """The kernel's high-water mark, which starts anew with each program."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * _BYTES_PER_KIB
    import resource

    unit = 1 if sys.platform == "darwin" else _BYTES_PER_KIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    _weigh(json.loads(sys.argv[1]))
