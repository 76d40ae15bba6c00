"""How long a query takes, from a cold start, over many networks.

    python benchmarks/query_speed.py --networks 1000 10000

`paretobert query` answers in fresh processes, without torch, from a run folder that
`many_networks` makes. A first query, which is not counted, leaves the package's bytecode, as pip
does. Seconds are those of the clock, and, for a machine that others use too, those of the
processor.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from many_networks import LIMITS, NUM_EXAMPLES, make_run

from paretobert.profiling.environment import Environment
from paretobert.storage import write_json


def asked(folder: Path) -> dict[str, Any]:
    """The answer of a fresh process."""
    compiled = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        ["paretobert", "query", str(folder), *LIMITS, "--json"],
        capture_output=True,
        text=True,
        env=compiled,
    )
    if done.returncode:
        sys.exit(done.stderr or done.stdout)
    answer: dict[str, Any] = json.loads(done.stdout)["answer"]
    return answer


def children_s() -> float:
    """The processor time of ended child processes, which other programs do not lengthen much."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Make, ask and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", type=int, nargs="+", default=[1000, 10000])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/query_speed.json"))
    arguments = parser.parse_args()
    found = []
    for number in arguments.networks:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "run"
            make_run(folder, number)
            times_s, processor_s = [], []
            asked(folder)
            for _ in range(arguments.repeats):
                start_s, before_s = time.perf_counter(), children_s()
                answer = asked(folder)
                times_s.append(round(time.perf_counter() - start_s, 3))
                processor_s.append(round(children_s() - before_s, 3))
            found.append(
                {
                    "networks": number,
                    "examples": NUM_EXAMPLES,
                    "seconds": times_s,
                    "median_s": statistics.median(times_s),
                    "processor_s": processor_s,
                    "median_processor_s": statistics.median(processor_s),
                    "answer": answer["name"],
                    "num_tried": answer["corrected"]["num_tried"],
                }
            )
            print(found[-1], file=sys.stderr)
    write_json(
        arguments.out,
        {
            "command": "python " + " ".join(sys.argv),
            "limits": list(LIMITS),
            "environment": Environment.capture().to_dict(),
            "queries": found,
        },
    )


if __name__ == "__main__":
    main()
