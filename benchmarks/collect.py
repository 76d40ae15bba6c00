"""Keep what a finished run measured: its tables, figures, settings, environment and wall times.

    paretobert run --model minilm --task SST-2 --data ../shared/data/glue/SST-2 --out runs/sst2
    python benchmarks/collect.py runs/sst2 benchmarks/sst2

The result is `result.json`, `results.csv`, `results.md`, the figures as PNG and `outcomes.json`,
what every network said about every example. Paths of the data are written as they are seen from
here. A `--note` stands above the table: what the run was for, and what its numbers do not show.
"""

import argparse
import os
from pathlib import Path
from typing import Any

from outcomes import write_outcomes

from paretobert.pipeline.costs import read_tables
from paretobert.pipeline.run import Run
from paretobert.profiling.predictor import Predictor
from paretobert.profiling.table import LookupTable
from paretobert.search.evaluations import read_evaluations
from paretobert.storage import folder, read_json, read_records, write_json
from paretobert.tasks.metrics import Evaluation


def relative(value: Any) -> Any:
    """Write absolute paths in a record of JSON types as they are seen from here."""
    if isinstance(value, dict):
        return {name: relative(entry) for name, entry in value.items()}
    if isinstance(value, str) and value.startswith("/"):
        return os.path.relpath(value)
    return value


def deployment(run: Run, table: LookupTable) -> dict[str, Any]:
    """What the full model costs as one table deploys it, and what that loses in score.

    Runtimes of fp32 give the same logits and lose nothing.
    """
    changes = table.protocol.deployment.changes_numbers
    loss = run.accuracy_loss(table) if changes else None
    profiles = [
        {name: value for name, value in profile.to_dict().items() if name != "config"}
        for profile in table
    ]
    return {
        "protocol": table.protocol.title,
        "versions": table.environment.versions,
        "load": [table.environment.load_before, table.environment.load_after],
        "noise": None if table.noise is None else table.noise.to_dict(),
        "score_lost": None if loss is None else {**loss.interval, **loss.test},
        "profiles": profiles,
    }


def evaluations(run: Run) -> dict[str, dict[str, Evaluation]]:
    """Every evaluation by split and by network; below fp32 the deployment's slug goes with it."""
    path = run.folder.evaluations
    deployments = [table.protocol.deployment for table in read_tables(run.folder.costs)]
    found = {}
    for split in ("search", "report"):
        found[split] = read_evaluations(path, split=split)
        for deployed in deployments:
            if deployed.changes_numbers:
                scored = read_evaluations(path, split=split, deployment=deployed)
                found[split] |= {f"{key}, {deployed.slug}": entry for key, entry in scored.items()}
    return found


def main() -> None:
    """Collect one run."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--note", help="what a reader of the results must know, in sentences")
    arguments = parser.parse_args()
    run = Run.open(arguments.run)
    table = run.table()
    record = {
        **({} if arguments.note is None else {"note": arguments.note}),
        **{name: relative(run.manifest[name]) for name in ("request", "task", "versions")},
        "environment": table.environment.to_dict(),
        "noise": None if table.noise is None else table.noise.to_dict(),
        "training": read_records(run.folder.root / "training.jsonl"),
        "steps": read_records(run.folder.steps),
        "front": [member.key for member in run.front().members],
        "deployments": [deployment(run, entry) for entry in read_tables(run.folder.costs)],
        "self_tests": [
            read_json(path) for path in sorted(run.folder.costs.glob("*.selftest.json"))
        ],
        "predictors": [
            {
                "protocol": predictor.conditions.protocol.title,
                "num_fitted": len(predictor.fitted),
                "models": [validation.to_dict() for validation in predictor.validations],
            }
            for predictor in map(Predictor.load, sorted(run.folder.predictors.glob("*.json")))
        ],
    }
    with folder(arguments.out) as into:
        write_json(into / "result.json", record)
        write_outcomes(into / "outcomes.json", evaluations(run))
        tables = run.folder.report / "tables"
        (into / "results.csv").write_bytes((tables / "results.csv").read_bytes())
        head = "" if arguments.note is None else f"{arguments.note}\n\n"
        (into / "results.md").write_text(head + (tables / "results.md").read_text())
        for figure in sorted((run.folder.report / "figures").glob("*.png")):
            (into / figure.name).write_bytes(figure.read_bytes())


if __name__ == "__main__":
    main()
