"""Whether Optimal Subarchitecture Extraction keeps its promise on sets that are trained whole.

Every candidate of two small sets is trained, from several seeds and for several numbers of steps,
on sentences of SST-2: masked words of both sets, and the task's labels of one. Then the algorithm
is run by looking errors up, for every epsilon, number of steps and seed, and the W of what it
returns is divided by that of the best candidate. Two questions are kept apart:

- *of blocks*: the best is taken at the same steps and seed. This is what 1 - epsilon promises if,
  within a block, more parameters do not raise the error; how often that holds of neighbours in
  size is counted.
- *of steps too*: the best is taken after the most steps, errors averaged over seeds. This is what
  a user wants, and what a few steps are a surrogate of.

Parameters are counted with the embedding tables, which in such small models are nearly all of
them, and without. The cost is counted in trainings, and timed.

    python benchmarks/ose_promise.py runs/ose-promise --data ../shared/data
    python benchmarks/ose_promise.py runs/ose-promise --collect benchmarks/ose/promise.json
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

from paretobert.bort.architecture import Architecture, encoder_parameters
from paretobert.bort.options import ErrorName, ErrorOptions, SurrogateError
from paretobert.pipeline.contest import Architectures, OseRequest
from paretobert.pipeline.ledger import Ledger
from paretobert.pipeline.steps.ose import extract_architecture
from paretobert.profiling.environment import Environment
from paretobert.search.ose import Point, Size, blocks_of, coefficient, extract, maximum_point
from paretobert.storage import write_json, write_text
from paretobert.tasks.loading import TaskRequest

TOKENS, BATCH, HELD_OUT = 32, 16, 256
SEEDS = (0, 1, 2)
EPSILONS = (0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.0)
SETS = {
    "sizes": "D = [1, 2, 4]\nA = [2]\nH = [32, 64, 128]\nI = [64, 256]\n",
    "heads": "D = [1, 2]\nA = [1, 2, 4, 8]\nH = [32, 64]\nI = [64, 128]\n",
}


@dataclass(frozen=True, slots=True)
class Trial:
    """One set and one error.

    Attributes:
        name: What it is called.
        space: A name in `SETS`.
        error: Which loss.
        rate: The learning rate.
        steps: Numbers of training steps, the most last.
    """

    name: str
    space: str
    error: ErrorName
    rate: float
    steps: tuple[int, ...]


TRIALS = (
    Trial("sizes, masked words", "sizes", "mlm", 0.1, (5, 20, 80)),
    Trial("heads, masked words", "heads", "mlm", 0.1, (5, 20, 80)),
    Trial("sizes, labels", "sizes", "task", 0.1, (20, 100)),
)


def request_of(folder: Path, data: Path, trial: Trial, *, steps: int, seed: int) -> OseRequest:
    """What is asked, so that every candidate is trained."""
    labels = trial.error == "task"
    return OseRequest(
        space=str(folder / f"{trial.space}.toml"),
        epsilon=1e-9,
        error=ErrorOptions(
            steps=steps,
            error=trial.error,
            rates=(trial.rate,),
            batch_size=BATCH,
            examples=HELD_OUT,
            precision="fp32",
            seed=seed,
        ),
        model="minilm",
        task=TaskRequest("SST-2", data=data / "sst2-sentence", max_length=TOKENS)
        if labels
        else None,
        texts=() if labels else (folder / "texts.txt",),
        seq_len=TOKENS,
    )


def run(folder: Path, data: Path) -> None:
    """Train whatever is missing."""
    for name, text in SETS.items():
        write_text(folder / f"{name}.toml", text)
    rows = (data / "sst2-sentence" / "train.tsv").read_text(encoding="utf-8").split("\n")[1:]
    write_text(folder / "texts.txt", "\n".join(row.split("\t")[0] for row in rows if row) + "\n")
    for trial in TRIALS:
        for seed in SEEDS:
            for steps in trial.steps:
                print(f"{trial.name}: {steps} steps, seed {seed}", file=sys.stderr)
                request = request_of(folder, data, trial, steps=steps, seed=seed)
                extract_architecture(folder / "errors", request)


def errors_of(
    folder: Path, data: Path, trial: Trial, ledger: Ledger
) -> tuple[list[Point], dict[tuple[int, int], dict[str, SurrogateError]]]:
    """The candidates, and by steps and seed the errors of all but the largest."""
    first = request_of(folder, data, trial, steps=trial.steps[0], seed=SEEDS[0])
    contest = Architectures(first)
    contest.ledger = ledger
    labels = {network.id: name for name, network in contest.networks.items()}
    found = {}
    for steps in trial.steps:
        for seed in SEEDS:
            options = replace(first.error, steps=steps, seed=seed)
            conditions = contest.conditions(options, trial.rate, dtype="float32")
            known = ledger.errors(conditions=conditions)
            found[steps, seed] = {
                labels[each]: error for each, error in known.items() if each in labels
            }
    return contest.points(), found


def w_of(points: Sequence[Point], errors: Mapping[str, float]) -> dict[str, float]:
    """W of every candidate with an error; of the others, which are the largest, 0."""
    maximum = maximum_point(points)
    return {
        point.name: coefficient(point, maximum, error=errors[point.name]).value
        if point.name in errors
        else 0.0
        for point in points
    }


def falls(points: Sequence[Point], errors: Mapping[str, float], epsilon: float) -> list[bool]:
    """For each pair of sizes next to one another in a block, whether the larger errs no more.

    Of equal sizes the least error counts.
    """
    found = []
    for block in blocks_of(points, epsilon):
        least = [
            min(errors[point.name] for point in alike)
            for alike in block
            if all(point.name in errors for point in alike)
        ]
        found += [after <= before for before, after in zip(least, least[1:], strict=False)]
    return found


def judged(
    points: Sequence[Point], errors: Mapping[tuple[int, int], Mapping[str, float]], trial: Trial
) -> list[dict[str, Any]]:
    """Ratios to the best for every epsilon and number of steps, over seeds."""
    most = trial.steps[-1]
    names = list(errors[most, SEEDS[0]])
    final = w_of(
        points, {name: mean(errors[most, seed][name] for seed in SEEDS) for name in names}
    )
    rows = []
    for steps in trial.steps:
        for epsilon in EPSILONS:
            same, whole, picks, monotone, trained = [], [], [], [], 0
            for seed in SEEDS:
                known = errors[steps, seed]
                asked: list[str] = []

                def error(
                    point: Point,
                    theta: float,
                    known: Mapping[str, float] = known,
                    asked: list[str] = asked,
                ) -> float:
                    asked.append(point.name)
                    return known[point.name]

                found = extract(points, epsilon=epsilon, thetas=(trial.rate,), error=error)
                trained = len(asked)
                every, chosen = w_of(points, known), found.winner.point.name
                same.append(every[chosen] / max(every.values()))
                whole.append(final[chosen] / max(final.values()))
                picks.append(chosen)
                monotone += falls(points, known, epsilon)
            rows.append(
                {
                    "steps": steps,
                    "epsilon": epsilon,
                    "trained": trained,
                    "of_blocks": [round(ratio, 4) for ratio in same],
                    "of_steps_too": [round(ratio, 4) for ratio in whole],
                    "kept_of_blocks": sum(ratio >= 1 - epsilon - 1e-12 for ratio in same),
                    "kept_of_steps_too": sum(ratio >= 1 - epsilon - 1e-12 for ratio in whole),
                    "neighbours_in_blocks": len(monotone),
                    "of_which_larger_errs_no_more": sum(monotone),
                    "picks": picks,
                }
            )
    return rows


def kept(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How often the promise was kept over all questions, and how often its assumption held."""
    return {
        "questions": len(SEEDS) * len(rows),
        "of_blocks": sum(row["kept_of_blocks"] for row in rows),
        "of_steps_too": sum(row["kept_of_steps_too"] for row in rows),
        "farthest_below": round(
            max(1 - row["epsilon"] - min(row["of_blocks"]) for row in rows), 4
        ),
        "neighbours_in_blocks": sum(row["neighbours_in_blocks"] for row in rows),
        "of_which_larger_errs_no_more": sum(row["of_which_larger_errs_no_more"] for row in rows),
    }


def collect(folder: Path, data: Path, out: Path) -> None:
    """Write what was found; of ratios over seeds the least."""
    ledger = Ledger.open(folder / "errors" / "ledger.db", run="ose")
    trials: dict[str, Any] = {}
    for trial in TRIALS:
        points, found = errors_of(folder, data, trial, ledger)
        losses = {
            key: {name: error.loss for name, error in known.items()}
            for key, known in found.items()
        }
        sizes = {
            "all parameters": points,
            "the encoder's": [
                Point(
                    point.name,
                    Size(
                        encoder_parameters(Architecture.from_key(point.name)),
                        point.size.inference,
                    ),
                )
                for point in points
            ],
        }
        results = {counted: judged(alike, losses, trial) for counted, alike in sizes.items()}
        trials[trial.name] = {
            "candidates": len(points),
            "learning_rate": trial.rate,
            "seconds_of_a_training": {
                str(steps): round(
                    mean(e.seconds for seed in SEEDS for e in found[steps, seed].values()), 3
                )
                for steps in trial.steps
            },
            "errors": {
                f"{steps} steps, seed {seed}": {
                    name: round(loss, 4) for name, loss in sorted(known.items())
                }
                for (steps, seed), known in losses.items()
            },
            "kept": {counted: kept(rows) for counted, rows in results.items()},
            "results": {
                counted: [
                    {
                        **row,
                        "of_blocks": min(row["of_blocks"]),
                        "of_steps_too": min(row["of_steps_too"]),
                        "picks": " ".join(sorted(set(row["picks"]))),
                    }
                    for row in rows
                ]
                for counted, rows in results.items()
            },
        }
    record = {
        "command": f"python {' '.join(sys.argv)}",
        "environment": Environment.capture().to_dict(),
        "setting": {
            "texts": f"sentences of SST-2, {TOKENS} tokens at most",
            "batch_size": BATCH,
            "held_out_texts": HELD_OUT,
            "seeds": list(SEEDS),
        },
        "trials": trials,
    }
    write_json(out, record)


def main() -> None:
    """Run, or collect."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--collect", type=Path)
    arguments = parser.parse_args()
    if arguments.collect is None:
        run(arguments.folder, arguments.data)
    else:
        collect(arguments.folder, arguments.data, arguments.collect)


if __name__ == "__main__":
    main()
