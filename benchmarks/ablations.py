"""What rewiring and distillation bring: the paper's ablations, from one teacher.

    paretobert train runs/docs --model minilm --task stdlib-docs --recipe sandwich \
        --teacher-epochs 6 --width-epochs 2 --depth-epochs 3 --learning-rate 3e-4
    python benchmarks/ablations.py runs/docs

Every arm starts from the run's fine-tuned teacher and has the run's settings, seeds and steps but
for what it leaves out. Each of the run's sub-networks is scored on the report split and compared
with the same sub-network of the whole method, on the same examples. In arms that learn from labels
the largest sub-network does so too, where the whole method gives it a teacher.
"""

import argparse
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from paretobert.dynabert.options import TrainingOptions
from paretobert.dynabert.supernet import Supernet
from paretobert.dynabert.training import train_supernet
from paretobert.encoders.extraction import extract
from paretobert.pipeline.run import Run
from paretobert.profiling.environment import Environment
from paretobert.storage import write_json
from paretobert.tasks.batches import encode
from paretobert.tasks.evaluation import evaluate
from paretobert.tasks.metrics import Evaluation, compare

ARMS: dict[str, dict[str, Any]] = {
    "DynaBERT": {},
    "no rewiring": {"rewiring": "none"},
    "in-place distillation": {"distillation": "in-place"},
    "no distillation": {"distillation": "none"},
}


def scored(run: Run, options: TrainingOptions) -> dict[str, Evaluation]:
    """Train an arm, and score its sub-networks by their keys."""
    task, teacher = run.task, run.folder.teacher
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "arm"
        train_supernet(
            model=teacher, task=task, folder=folder, options=options, progress=lambda state: None
        )
        supernet = Supernet.from_pretrained(folder / "supernet")
    tokenizer = AutoTokenizer.from_pretrained(teacher)
    report = encode(task.report, tokenizer, max_length=task.max_length)
    return {
        config.key: evaluate(extract(supernet.model, config), report, task=task, split="report")
        for config in supernet.space.configs(supernet.shape)
    }


def main() -> None:
    """Train every arm and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path, help="a run folder with a fine-tuned teacher")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/ablations.json"))
    arguments = parser.parse_args()
    run, environment = Run.open(arguments.run), Environment.capture()
    options = replace(run.request.training, teacher_epochs=0)
    rows, whole = [], {}
    for name, change in ARMS.items():
        started = time.perf_counter()
        found = scored(run, replace(options, **change))
        whole = whole or found
        pairs = {key: compare(entry, whole[key]) for key, entry in found.items()}
        rows.append(
            {
                "arm": name,
                **change,
                "seconds": round(time.perf_counter() - started, 1),
                "mean": round(statistics.mean(entry.value for entry in found.values()), 4),
                "worse": sum(not pair.tie and not pair.better for pair in pairs.values()),
                "better": sum(pair.better for pair in pairs.values()),
                "ties": sum(pair.tie for pair in pairs.values()),
                "sub_networks": [
                    {"key": key, "score": entry.value, "difference": pairs[key].to_dict()}
                    for key, entry in found.items()
                ],
            }
        )
        print({key: value for key, value in rows[-1].items() if key != "sub_networks"})
    record = {
        "command": f"python {' '.join(sys.argv)}",
        "task": run.task.summary(),
        "training": options.to_dict(),
        "environment": environment.to_dict(),
        "arms": rows,
    }
    write_json(arguments.out, record)


if __name__ == "__main__":
    main()
