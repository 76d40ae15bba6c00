"""A run's full model on every runtime and precision of the processor, measured in one session.

    python benchmarks/deployments.py runs/sst2 benchmarks/sst2

writes `deployments.json`, `deployments.md` and `deployments.png`: latencies relative to eager fp32
of the same rounds, bytes on disk, peak memory of a fresh process, and the score lost on the search
split, in pairs, with every example's outcome in `deployment_outcomes.json`.
"""

import argparse
import sys
import tempfile
import uuid
from pathlib import Path
from typing import Any

from outcomes import write_outcomes
from progress import say

from paretobert.deploy.deployment import EAGER_FP32, Deployment
from paretobert.intervals import bracketed, interval_name
from paretobert.pipeline.run import Run
from paretobert.profiling.footprint import weighing
from paretobert.profiling.fresh import FreshProcesses, Subject, Written
from paretobert.profiling.measuring import measure
from paretobert.profiling.protocol import LatencyProtocol
from paretobert.profiling.quietness import disturbances
from paretobert.reports.figures.deployments import DeploymentBar, DeploymentFigure
from paretobert.storage import write_json, write_text
from paretobert.tasks.comparison import compare

DEPLOYMENTS = (
    EAGER_FP32,
    Deployment("eager", "bf16"),
    Deployment("eager", "int8"),
    Deployment("onnxruntime", "fp32"),
    Deployment("onnxruntime", "int8"),
    Deployment("openvino", "fp32"),
    Deployment("openvino", "bf16"),
    Deployment("openvino", "int8"),
)


def main() -> None:
    """Deploy, weigh, score, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--measure-s", type=float, default=LatencyProtocol().time_budget_s)
    arguments = parser.parse_args()
    run = Run.open(arguments.run)
    workshop, full = run.context.workshop, run.context.full
    protocol = LatencyProtocol(time_budget_s=arguments.measure_s)
    scores, rows = {}, []
    with tempfile.TemporaryDirectory() as scratch:
        subjects: dict[str, Subject] = {}
        weights = {}
        for deployment in DEPLOYMENTS:
            print(deployment.title, file=sys.stderr)
            folder = Path(scratch) / deployment.slug
            workshop.write(full, deployment, folder)
            with weighing(protocol) as weigh:
                weights[deployment] = weigh(deployment.slug, folder)
            if deployment == EAGER_FP32 or deployment.changes_numbers:
                scores[deployment] = workshop.score(full, split="search", deployment=deployment)
            subjects[deployment.slug] = Written(folder)
        fresh = FreshProcesses(
            subjects,
            protocol,
            sentinel=EAGER_FP32.slug,
        )
        session = measure(
            fresh,
            protocol,
            networks=subjects,
            sentinel=EAGER_FP32.slug,
            name=uuid.uuid4().hex,
            front=tuple(subjects),
            progress=say,
        )
    for deployment in DEPLOYMENTS:
        found, weight = session[deployment.slug], weights[deployment]
        loss = (
            compare(scores[EAGER_FP32], scores[deployment]) if deployment.changes_numbers else None
        )
        rows.append(
            {
                **deployment.to_dict(),
                "latency_ms": found.time_s.scaled(1000).numbers,
                "ratio": found.ratio.to_dict(),
                "process_ratios": list(found.process_ratios),
                "resolved": found.resolved,
                "size_bytes": weight.size_bytes,
                "peak_memory_bytes": weight.peak_memory_bytes,
                "score_lost": None if loss is None else loss.to_dict(),
            }
        )
    noise = session.noise
    record = {
        "command": f"python benchmarks/deployments.py runs/{arguments.run.name} {arguments.out}",
        "protocol": protocol.title.rpartition(", ")[0],
        "environment": session.environment.to_dict(),
        "noise": noise.to_dict(),
        "warnings": list(disturbances(noise, [row["resolved"] for row in rows])),
        "metric": scores[EAGER_FP32].metric,
        "n": scores[EAGER_FP32].n,
        "deployments": rows,
    }
    outcomes = {f"{full.name}, {entry.slug}": score for entry, score in scores.items()}
    write_outcomes(arguments.out / "deployment_outcomes.json", {"search": outcomes})
    write_json(arguments.out / "deployments.json", record)
    write_text(arguments.out / "deployments.md", table(record))
    figure(record).save(arguments.out / "deployments.png")


def table(record: dict[str, Any]) -> str:
    """The record as Markdown."""
    lines = [
        *(f"**{warning}**\n" for warning in record["warnings"]),
        f"{record['protocol']}; {interval_name(record['noise']['num_processes'])}, one session; "
        f"score lost on {record['n']:,} search examples.",
        "",
        "| deployment | latency, ms | ratio to eager fp32 | on disk | peak memory | score lost |",
        "|---|---|---|---|---|---|",
        *(
            f"| {row['runtime']} {row['precision']} | {_interval(row['latency_ms'], 1)} | "
            f"{_interval(row['ratio'], 3)}{'' if row['resolved'] else ' (not resolved)'} | "
            f"{row['size_bytes'] / 1e6:.0f} MB | {row['peak_memory_bytes'] / 1e6:.0f} MB | "
            f"{_loss(row)} |"
            for row in record["deployments"]
        ),
    ]
    return "\n".join(lines) + "\n"


def figure(record: dict[str, Any]) -> DeploymentFigure:
    """The record as the report's figure of deployments, fastest first."""
    bars = []
    for row in record["deployments"]:
        loss = row["score_lost"] or dict.fromkeys(("value", "low", "high"), 0.0)
        bars.append(
            DeploymentBar(
                label=f"{row['runtime']} {row['precision']}",
                latency_ms=row["latency_ms"]["value"],
                low_ms=row["latency_ms"]["low"],
                high_ms=row["latency_ms"]["high"],
                size_mb=row["size_bytes"] / 1e6,
                memory_mb=row["peak_memory_bytes"] / 1e6,
                loss=loss["value"],
                loss_low=loss["low"],
                loss_high=loss["high"],
            )
        )
    return DeploymentFigure(
        name="deployments",
        title="The full model on each runtime and precision",
        caption="",
        bars=tuple(sorted(bars, key=lambda bar: bar.latency_ms)),
        x_title=f"ms per batch\n{record['protocol']}",
    )


def _interval(record: dict[str, float], places: int) -> str:
    return bracketed(record["value"], record["low"], record["high"], show=f".{places}f")


def _loss(row: dict[str, Any]) -> str:
    loss = row["score_lost"]
    if loss is None:
        return "" if row["runtime"] == "eager" else "same logits"
    tie = f", tie, {loss['detectable']:.4f}" if loss["tie"] else ""
    return _interval(loss, 4) + tie


if __name__ == "__main__":
    main()
