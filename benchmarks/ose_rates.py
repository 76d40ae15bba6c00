"""At which rate of SGD a run's sub-networks get a better error within a few steps.

    python benchmarks/ose_rates.py runs/closed-form runs/supernet \
        --networks L0.1.2.3.4.5-H3-F384 L1.3.5-H6-F768 --out benchmarks/ose/rates.json

Each network starts as its run gives it, and is trained from there for each rate and seed; beside
these losses on held-out texts stands the one before any step.
"""

import argparse
import statistics
from pathlib import Path
from typing import Any

import torch
from collect import command

from paretobert.bort.options import ErrorOptions
from paretobert.bort.training import held_out_loss, surrogate_loss
from paretobert.pipeline.contest import OseRequest, SubNetworks
from paretobert.pipeline.run import Run
from paretobert.profiling.environment import Environment
from paretobert.storage import write_json

RATES = (0.03, 0.01, 0.003, 0.001, 0.0003)
SEEDS = (0, 1)
CPU, FP32 = torch.device("cpu"), torch.float32


def losses(contest: SubNetworks, name: str, *, steps: int) -> dict[str, Any]:
    """A network's loss before training, and after it by rate: the mean over seeds and each."""
    lesson = contest.lesson
    before = held_out_loss(contest.build(name), lesson, seed=0, device=CPU, dtype=FP32)
    after = {}
    for rate in RATES:
        found = [
            surrogate_loss(
                contest.build(name),
                lesson,
                ErrorOptions(steps, seed=seed),
                learning_rate=rate,
                device=CPU,
                dtype=FP32,
            )
            for seed in SEEDS
        ]
        after[f"{rate:g}"] = {
            "mean": round(statistics.mean(found), 4),
            "seeds": [round(loss, 4) for loss in found],
        }
        print(name, rate, after[f"{rate:g}"])
    return {"network": name, "before": round(before, 4), "after": after}


def main() -> None:
    """Train, and write the losses."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--networks", nargs="+", required=True)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    environment, rows = Environment.capture(), []
    for path in arguments.runs:
        request = OseRequest(str(path), epsilon=1.0, error=ErrorOptions(arguments.steps))
        run = Run.open(path)
        contest = SubNetworks(request, run.context)
        about = {"run": str(path), "recipe": run.request.training.recipe}
        names = [name for name in arguments.networks if name in contest.networks]
        rows += [about | losses(contest, name, steps=arguments.steps) for name in names]
    write_json(
        arguments.out,
        {
            "command": command(),
            "environment": environment.to_dict(),
            "steps": arguments.steps,
            "networks": rows,
        },
    )


if __name__ == "__main__":
    main()
