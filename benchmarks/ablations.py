"""What rewiring and distillation bring: the paper's ablations, from one teacher.

    paretobert train runs/docs --model minilm --task stdlib-docs --width-epochs 2 --depth-epochs 3
    python benchmarks/ablations.py runs/docs

Every arm starts from the run's fine-tuned teacher and has the run's settings, seeds and steps but
for what it leaves out. Each of the run's sub-networks is scored on the report split and compared
with the same sub-network of the whole method, on the same examples. In arms that learn from labels
the largest sub-network does so too, where the whole method gives it a teacher.
"""

import argparse
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from arms import in_turn, trained
from collect import relative

from paretobert.pipeline.run import Run
from paretobert.profiling.environment import Environment
from paretobert.storage import write_json

ARMS: Mapping[str, Mapping[str, Any]] = {
    "DynaBERT": {},
    "no rewiring": {"rewiring": "none"},
    "in-place distillation": {"distillation": "in-place"},
    "no distillation": {"distillation": "none"},
}


def main() -> None:
    """Train every arm and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path, help="a run folder with a fine-tuned teacher")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/ablations.json"))
    arguments = parser.parse_args()
    run, environment = Run.open(arguments.run), Environment.capture()
    options = replace(run.request.training, teacher_epochs=0, teacher_rates=())

    def keep(rows: list[dict[str, Any]]) -> None:
        record = {
            "command": f"python {' '.join(sys.argv)}",
            "task": relative(run.task.summary()),
            "training": options.to_dict(),
            "environment": environment.to_dict(),
            "arms": [row | dict(ARMS[row["arm"]]) for row in rows],
        }
        write_json(arguments.out, record)

    in_turn(
        {name: partial(trained, run, replace(options, **change)) for name, change in ARMS.items()},
        finished=keep,
    )


if __name__ == "__main__":
    main()
