"""Measuring deployed networks in a process of their own.

The process that chose a network has loaded others, warmed caches and fragmented memory. What is
delivered is measured again by a process that does nothing else: `python -m` this module reads a
job as JSON from standard input and writes the finished rounds to standard output.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import InputError
from .environment import Environment
from .protocol import LatencyProtocol
from .statistics import Round, Session

_BAD_INPUT = 2


def measure_in_fresh_process(
    folders: Mapping[str, Path],
    protocol: LatencyProtocol,
    *,
    sentinel: str,
    vocab_size: int,
    padding_id: int | None,
) -> Session:
    """Measure written networks like `latency.measure`, in a new process.

    Args:
        folders: By name, what `deployed.write_subnet` wrote.
        protocol: How to measure.
        sentinel: Name of the network that ratios refer to.
        vocab_size: See `inputs.random_batches`.
        padding_id: See `inputs.random_batches`.

    Raises:
        InputError: When the device is absent or logits are not finite.
        RuntimeError: When the process fails otherwise; its last words are in the message.
    """
    job = {
        "folders": {name: str(folder) for name, folder in folders.items()},
        "protocol": protocol.to_dict(),
        "sentinel": sentinel,
        "vocab_size": vocab_size,
        "padding_id": padding_id,
    }
    done = subprocess.run(
        [sys.executable, "-m", __name__], input=json.dumps(job), capture_output=True, text=True
    )
    if done.returncode:
        last_words = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        if done.returncode == _BAD_INPUT:
            raise InputError(last_words)
        raise RuntimeError(f"measuring in a fresh process failed: {last_words}")
    record = json.loads(done.stdout.splitlines()[-1])
    return Session(
        sentinel=sentinel,
        targets=dict.fromkeys(folders, protocol.front_half_width),
        rounds=tuple(map(Round.from_dict, record["rounds"])),
        protocol=protocol,
        environment=Environment.from_dict(record["environment"]),
    )


def _measured(job: Mapping[str, Any]) -> dict[str, Any]:
    from .deployed import bound_run
    from .latency import measure

    protocol = LatencyProtocol.from_dict(job["protocol"])
    runs = {
        name: bound_run(
            Path(folder), protocol, vocab_size=job["vocab_size"], padding_id=job["padding_id"]
        )
        for name, folder in job["folders"].items()
    }
    session = measure(runs, protocol, sentinel=job["sentinel"], front=tuple(runs))
    return {
        "rounds": [entry.to_dict() for entry in session.rounds],
        "environment": session.environment.to_dict(),
    }


def _main() -> int:
    try:
        print(json.dumps(_measured(json.load(sys.stdin))))
    except InputError as error:
        print(error, file=sys.stderr)
        return _BAD_INPUT
    return 0


if __name__ == "__main__":
    sys.exit(_main())
