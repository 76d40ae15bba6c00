"""How much memory a deployed network needs: the peak of a process that only loads and runs it.

`python -m` this module is that process. It imports what the runtime needs and nothing else, so
that a runtime without torch is given credit for it.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from ..deploy.artefact import load

NUM_RUNS = 3
_BYTES_PER_KIB = 1024


def peak_memory_bytes(
    folder: Path, *, threads: int, device: str, batch_size: int, seq_len: int
) -> int:
    """Peak memory of a fresh process that loads a network and runs it.

    A compiled network is compiled by that process, so its compiler counts.

    Args:
        folder: What `artefact.write` wrote.
        threads: Threads of one operator.
        device: "cpu": the resident set of the whole process, Python included. "cuda...": what
            torch allocated on the device.
        batch_size: Sequences of the batch.
        seq_len: Tokens of each sequence.

    Raises:
        RuntimeError: When the process fails; its last words are in the message.
    """
    job = {
        "folder": str(folder),
        "threads": threads,
        "device": device,
        "batch_size": batch_size,
        "seq_len": seq_len,
    }
    done = subprocess.run(
        [sys.executable, "-m", __name__, json.dumps(job)], capture_output=True, text=True
    )
    if done.returncode:
        last_words = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise RuntimeError(f"measuring memory failed: {last_words}")
    return int(done.stdout.split()[-1])


def _peak_bytes(job: dict[str, object]) -> int:
    device, threads = str(job["device"]), int(str(job["threads"]))
    runner = load(Path(str(job["folder"])), threads=threads, device=device)
    ones = np.ones((int(str(job["batch_size"])), int(str(job["seq_len"]))), dtype=np.int64)
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
    print(_peak_bytes(json.loads(sys.argv[1])))
