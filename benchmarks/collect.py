"""Keep what a finished run measured: its tables, figures, settings, environment and wall times.

    paretobert run runs/sst2 --model minilm --task SST-2 --data ../shared/data/glue/SST-2
    python benchmarks/collect.py runs/sst2 benchmarks/sst2

The result is `result.json`, `results.csv`, `results.md`, the figures as PNG and `outcomes.json`,
what every network said about every example. The table as CSV also has the search scores of the
front's networks with the luck of having been chosen taken off. Paths of the data are written as
they are seen from here. A `--note` stands above the table: what the run was for, and what its
numbers do not show.
"""

import argparse
import csv
import io
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from outcomes import write_outcomes

from paretobert.deploy.deployment import EAGER_FP32
from paretobert.pipeline.costs import cost_table, measured
from paretobert.pipeline.run import Run
from paretobert.profiling.predictor import Predictor
from paretobert.profiling.table import CostTable
from paretobert.search.front import ParetoFront
from paretobert.search.selection import corrected_front
from paretobert.storage import folder, read_records, write_json
from paretobert.tasks.scores import Evaluation


def relative(value: Any) -> Any:
    """Write absolute paths in a record of JSON types as they are seen from here."""
    if isinstance(value, dict):
        return {name: relative(entry) for name, entry in value.items()}
    if isinstance(value, str) and value.startswith("/"):
        return os.path.relpath(value)
    return value


def command() -> str:
    """What this process was started by, with its paths as they are seen from here."""
    return f"python {' '.join(map(relative, sys.argv))}"


def deployment(run: Run, table: CostTable) -> dict[str, Any]:
    """What the full model costs as one table deploys it, and what that loses in score.

    Runtimes of fp32 give the same logits and lose nothing.
    """
    changes = table.protocol.deployment.changes_numbers
    loss = run.deployment_loss(table) if changes else None
    profiles = [
        {"key": profile.network.name, **profile.to_dict(), "network": profile.network.id}
        for profile in table
    ]
    return {
        "protocol": table.protocol.title,
        "versions": table.environment.versions,
        "load": [table.environment.load_before, table.environment.load_after],
        "noise": None if table.noise is None else table.noise.to_dict(),
        "score_lost": None if loss is None else loss.to_dict(),
        "profiles": profiles,
    }


def evaluations(run: Run) -> dict[str, dict[str, Evaluation]]:
    """Every evaluation by split and by network; below fp32 the deployment's slug goes with it."""
    ledger, networks = run.context.ledger, run.context.networks()
    found: dict[str, dict[str, Evaluation]] = {}
    for split in ("search", "report"):
        found[split] = {}
        for deployed in [EAGER_FP32, *(each.protocol.deployment for each in all_tables(run))]:
            mark = f", {deployed.slug}" if deployed.changes_numbers else ""
            for network, entry in ledger.evaluations(split=split, deployment=deployed).items():
                found[split][networks[network].name + mark] = entry
    return found


def corrected(front: ParetoFront) -> dict[str, float]:
    """The scores of a front's networks, corrected for their having been chosen, by name."""
    scores = corrected_front(front).scores
    return {member.name: scores[member.key].corrected for member in front.members}


def with_corrected(table: str, scores: Mapping[str, float]) -> str:
    """A run's table of networks as CSV with one more column, what `corrected` found."""
    rows = list(csv.DictReader(table.splitlines()))
    text = io.StringIO()
    writer = csv.DictWriter(text, [*rows[0], "corrected"], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        score = scores.get(row["key"])
        writer.writerow(row | {"corrected": "" if score is None else f"{score:.6g}"})
    return text.getvalue()


def all_tables(run: Run) -> list[CostTable]:
    """Every cost table of the run."""
    return [cost_table(run.context, record) for record in measured(run.context)]


def main() -> None:
    """Collect one run."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--note", help="what a reader of the results must know, in sentences")
    arguments = parser.parse_args()
    run = Run.open(arguments.run)
    table, predictors = run.table(), run.folder.root / "predictors"
    record = {
        **({} if arguments.note is None else {"note": arguments.note}),
        **{name: relative(run.context.manifest[name]) for name in ("request", "task", "versions")},
        "environment": table.environment.to_dict(),
        "noise": None if table.noise is None else table.noise.to_dict(),
        "training": read_records(run.folder.root / "training.jsonl"),
        "steps": read_records(run.folder.steps),
        "front": [member.name for member in run.front().members],
        "deployments": [deployment(run, entry) for entry in all_tables(run)],
        "predictors": [
            {
                "protocol": predictor.conditions.protocol.title,
                "num_fitted": len(predictor.fitted),
                "models": [validation.to_dict() for validation in predictor.validations],
            }
            for predictor in map(Predictor.load, sorted(predictors.glob("*.json")))
        ],
    }
    with folder(arguments.out) as into:
        write_json(into / "result.json", record)
        write_outcomes(into / "outcomes.json", evaluations(run))
        tables = run.folder.report / "tables"
        networks = (tables / "results.csv").read_text()
        (into / "results.csv").write_text(with_corrected(networks, corrected(run.front())))
        head = "" if arguments.note is None else f"{arguments.note}\n\n"
        (into / "results.md").write_text(head + (tables / "results.md").read_text())
        for figure in sorted((run.folder.report / "figures").glob("*.png")):
            (into / figure.name).write_bytes(figure.read_bytes())


if __name__ == "__main__":
    main()
