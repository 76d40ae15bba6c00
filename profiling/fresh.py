"""Measuring in a process of its own, which loads the networks, visits them and ends.

The process that chose a network has loaded others, warmed caches and fragmented memory, and every
process lays out its memory once. So whatever is measured is measured by `python -m` this module:
it reads a job as JSON from standard input and writes one JSON line per visit and a last one with
its rounds to standard output.
"""

import json
import os
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..garbage import leave_the_rest, nothing_collected
from .energy import energy_counter, energy_of_run_j
from .environment import busy_s
from .protocol import LatencyProtocol
from .statistics import Process

_BAD_INPUT = 2


@dataclass(frozen=True, slots=True)
class Written:
    """A network in a folder.

    Attributes:
        folder: What `deploy.artefact.write` wrote; it must stay until measuring ends.
        padded_to: Tokens that every batch is padded to; None for the longest of each batch.
    """

    folder: Path
    padded_to: int | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """A network that a function of a Python file makes: for references that no runtime loads.

    Attributes:
        file: The Python file.
        function: Its function, which takes `protocol` and `arguments` by name and returns a call
            that runs the network once.
        arguments: Further arguments by name, as JSON types.
    """

    file: Path
    function: str
    arguments: Mapping[str, Any]


Subject = Written | Made


@dataclass(frozen=True, slots=True)
class FreshProcesses:
    """Starts fresh processes that all measure the same networks; a `measuring.Starter`.

    Attributes:
        subjects: By name, the networks.
        protocol: How to measure.
        sentinel: Name of the network that ratios refer to.
    """

    subjects: Mapping[str, Subject]
    protocol: LatencyProtocol
    sentinel: str

    def __call__(
        self, index: int, *, on_visit: Callable[[int, int], None] | None = None
    ) -> Process:
        """Measure in a new process.

        Args:
            index: Its number, which decides in which order networks are loaded and visited.
            on_visit: See `latency.measure_rounds`.

        Raises:
            InputError: When the device is absent or logits are not finite.
            RuntimeError: When the process fails otherwise; its last words are in the message.
        """
        job = {
            "subjects": {name: _record(entry) for name, entry in self.subjects.items()},
            "protocol": self.protocol.to_dict(),
            "sentinel": self.sentinel,
            "index": index,
        }
        last: dict[str, Any] = {}
        with tempfile.TemporaryFile("w+") as words:
            process = subprocess.Popen(
                [sys.executable, "-m", __name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=words,
                text=True,
            )
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                with suppress(BrokenPipeError), process.stdin as given:
                    given.write(json.dumps(job))
                for line in process.stdout:
                    if not line.endswith("\n"):
                        break
                    last = json.loads(line)
                    if "visits" in last and on_visit is not None:
                        on_visit(*last["visits"])
                status = process.wait()
            finally:
                process.kill()
                process.wait()
                process.stdout.close()
            words.seek(0)
            said = words.read().strip().splitlines() or ["it said nothing"]
        if status == _BAD_INPUT:
            raise InputError(said[-1])
        if status or "process" not in last:
            raise RuntimeError(f"measuring in a fresh process failed: {said[-1]}")
        return Process.from_dict(last["process"])


def _record(subject: Subject) -> dict[str, Any]:
    return {name: _plain(value) for name, value in asdict(subject).items()}


def _plain(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, Path) else value


def _bound(record: Mapping[str, Any], protocol: LatencyProtocol) -> Any:
    if "file" in record:
        sys.path.insert(0, str(Path(record["file"]).parent))
        make = runpy.run_path(record["file"])[record["function"]]
        return make(protocol=protocol, **record["arguments"])
    folder = Path(record["folder"])
    with nothing_collected():
        from ..deploy.artefact import import_runtime
        from .bound import bound_run

        import_runtime(folder)
    return bound_run(folder, protocol, padded_to=record["padded_to"])


def _measured(job: Mapping[str, Any], say: Callable[[dict[str, Any]], None]) -> Process:
    from .latency import measure_rounds, quiet

    protocol, index = LatencyProtocol.from_dict(job["protocol"]), job["index"]
    subjects = list(job["subjects"].items())
    order = np.random.default_rng((protocol.seed, index)).permutation(len(subjects))
    runs = {name: _bound(record, protocol) for name, record in (subjects[i] for i in order)}
    start_s, busy_before_s, own_before_s = time.perf_counter(), busy_s(), time.process_time()
    rounds = measure_rounds(
        runs,
        protocol,
        sentinel=job["sentinel"],
        process=index,
        on_visit=lambda done, of: say({"visits": [done, of]}),
    )
    busy_after_s, wall_s = busy_s(), time.perf_counter() - start_s
    share = None
    if busy_before_s is not None and busy_after_s is not None:
        foreign_s = busy_after_s - busy_before_s - (time.process_time() - own_before_s)
        share = max(0.0, foreign_s) / wall_s / (os.cpu_count() or 1)
    energies: dict[str, float] = {}
    counter = energy_counter(protocol.device) if index == 0 else None
    if counter is not None:
        num_batches = len(protocol.batch_lengths)
        with quiet(protocol):
            energies = {
                name: energy_of_run_j(run, counter) / num_batches for name, run in runs.items()
            }
    return Process(index, rounds, share, energies)


def _main() -> int:
    # Libraries may print: standard output becomes their standard error, and ours a copy of it.
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def say(record: dict[str, Any]) -> None:
        print(json.dumps(record), file=channel, flush=True)

    try:
        say({"process": _measured(json.load(sys.stdin), say).to_dict()})
    except InputError as error:
        print(error, file=sys.stderr)
        return _BAD_INPUT
    leave_the_rest()
    return 0


if __name__ == "__main__":
    sys.exit(_main())
