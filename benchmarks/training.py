"""What is kept of the full model's score at which measured speed-up, for every series of a task.

    paretobert run runs/rte-0 --model minilm --task RTE --data ../shared/data/glue/RTE --finish 3
    python benchmarks/training.py runs/rte-0 runs/rte-1 runs/rte-2 --out benchmarks/training/rte

The runs differ in the seed alone. A series is what one method made: the landmarks of the run's
space, the front of search score against multiply-adds of what a search found beyond them (each at
least a fifth cheaper than the next), finished ones, each baseline that was added. Every network of
these is scored on the report split in fp32. That front, the landmarks' own and every network that
a method made are timed in one session of the first run, in eager fp32 and in int8: batch 1, the
task's own lengths, one thread, against the full model in eager fp32. Retention is the share of the
full model's report score, its interval that of the difference in pairs; over several seeds it is
also averaged. What a search found, finished or not, is held against the landmark, finished or not,
with the best search score of those at least as fast. The result is `result.json`, with every
example's outcome in `outcomes.json`; `training_figure.py` draws it.
"""

import argparse
import statistics
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from collect import command, relative
from outcomes import write_outcomes
from progress import say
from training_figure import against_published

from paretobert.deploy.deployment import EAGER_FP32, Deployment
from paretobert.networks.network import Network, Stored
from paretobert.networks.subnet import SubnetConfig
from paretobert.pipeline.run import Run
from paretobert.pipeline.scores import score_missing
from paretobert.profiling.counts import count_macs, count_parameters
from paretobert.profiling.fresh import FreshProcesses, Subject, Written
from paretobert.profiling.measuring import measure
from paretobert.profiling.protocol import LatencyProtocol
from paretobert.profiling.quietness import disturbances
from paretobert.profiling.statistics import Session
from paretobert.storage import read_records, write_json
from paretobert.tasks.comparison import compare
from paretobert.tasks.scores import Evaluation

OWN = "own"
"""The series of the landmarks of a run's space."""

SEARCHED = "searched"
"""The series of what a search found beyond them."""

SHAPED = (OWN, SEARCHED, "finished", "bort")
"""The series whose networks are of the run's space, with its weights or trained from them."""

SPACING = 0.8
"""Share of the next larger one's operations that a network of that series has at most."""


def series_of(run: Run, network: Network) -> str:
    """The method that made a network; of sub-networks of the run whether they are landmarks."""
    if isinstance(network.recipe, Stored):
        return network.recipe.method
    return OWN if network.id in run.context.networks() else SEARCHED


def macs_of(network: Network, lengths: Sequence[int]) -> int:
    """Multiply-adds of one pass over sequences of these lengths."""
    assert network.shape is not None
    assert network.config is not None
    return sum(count_macs(network.shape, network.config, seq_len=length) for length in lengths)


def front_of(
    networks: Sequence[Network], search: Mapping[str, Evaluation], lengths: Sequence[int]
) -> list[Network]:
    """The networks that score better than every cheaper one, and the full model."""
    best, kept = -1.0, []
    for network in sorted(networks, key=lambda entry: macs_of(entry, lengths)):
        value = search[network.id].value
        if value > best or network.is_full:
            best = max(best, value)
            kept.append(network)
    return kept


def found_beyond(run: Run, lengths: Sequence[int]) -> list[Network]:
    """The front of what searches scored beside the landmarks, thinned, the largest first."""
    landmarks, scores = run.context.networks(), run.context.ledger.evaluations
    others = [entry for key, entry in run.context.searched().items() if key not in landmarks]
    kept: list[Network] = []
    front = front_of(others, scores(split="search", deployment=EAGER_FP32), lengths)
    for network in reversed(front):
        if not kept or macs_of(network, lengths) <= SPACING * macs_of(kept[-1], lengths):
            kept.append(network)
    return kept


def scored(run: Run, networks: Sequence[Network], *, split: str) -> dict[str, Evaluation]:
    """Evaluations in fp32 by the network's id."""
    return score_missing(run.context, networks, split=split, deployment=EAGER_FP32)


def retention(entry: Evaluation, full: Evaluation) -> dict[str, Any]:
    """The share of the full model's score, and the loss in pairs."""
    loss = compare(full, entry)
    return {
        "retention": entry.value / full.value,
        "low": 1 - loss.interval.high / full.value,
        "high": 1 - loss.interval.low / full.value,
        "loss": loss.to_dict(),
    }


def timed(
    run: Run, networks: Sequence[Network], int8: Deployment, *, measure_s: float
) -> tuple[Session, LatencyProtocol]:
    """One session over networks in eager fp32 and in int8."""
    full, workshop = run.context.full, run.context.workshop
    protocol = LatencyProtocol(time_budget_s=measure_s)
    protocol = protocol.with_lengths(workshop.lengths(full, protocol))
    with tempfile.TemporaryDirectory() as scratch:
        subjects: dict[str, Subject] = {}
        for network in networks:
            for deployment in (EAGER_FP32, int8):
                name = f"{network.id}@{deployment.slug}"
                workshop.write(network, deployment, Path(scratch) / name)
                subjects[name] = Written(Path(scratch) / name)
        sentinel = f"{full.id}@{EAGER_FP32.slug}"
        session = measure(
            FreshProcesses(subjects, protocol, sentinel=sentinel),
            protocol,
            networks=subjects,
            sentinel=sentinel,
            name=uuid.uuid4().hex,
            progress=say,
        )
    return session, protocol


def speed(session: Session, network: Network, deployment: Deployment) -> dict[str, Any]:
    """How many times as fast as the full model in eager fp32, from the session's ratio."""
    measurement = session[f"{network.id}@{deployment.slug}"]
    ratio = measurement.ratio
    return {
        "runtime": deployment.title,
        "speedup": 1 / ratio.value,
        "low": 1 / ratio.high,
        "high": 1 / ratio.low,
        "processes": list(measurement.process_ratios),
    }


def made_by(run: Run, network: Network) -> dict[str, Any]:
    """What a method was asked; for the run's own sub-networks the run's training."""
    if isinstance(network.recipe, Stored):
        return dict(network.recipe.asked)
    return {} if network.is_full else {"training": "the run's"}


def against_landmarks(
    run: Run, rows: Mapping[str, Mapping[str, Any]], report: Mapping[str, Evaluation]
) -> list[dict[str, Any]]:
    """What a search found against the best landmark that is at least as fast, in pairs.

    Args:
        run: The run.
        rows: The timed networks' rows by id.
        report: Their evaluations.
    """
    landmarks = {(config.heads, config.neurons) for config in run.context.subnets()}
    of_shape = {key: row for key, row in rows.items() if row["series"] in SHAPED}
    configs = {key: SubnetConfig.from_key(row["key"]) for key, row in of_shape.items()}
    grid = {
        key: row
        for key, row in of_shape.items()
        if (configs[key].heads, configs[key].neurons) in landmarks
    }
    found = []
    for key in of_shape.keys() - grid.keys():
        fast = [
            other
            for other, row in grid.items()
            if row["eager"]["speedup"] >= rows[key]["eager"]["speedup"]
        ]
        if fast:
            best = max(fast, key=lambda other: rows[other]["seeds"][0]["search"])
            gain = compare(report[key], report[best])
            found.append(
                {
                    "network": f"{rows[key]['series']} {rows[key]['name']}",
                    "speedup": rows[key]["eager"]["speedup"],
                    "landmark": f"{rows[best]['series']} {rows[best]['name']}",
                    "landmark_speedup": rows[best]["eager"]["speedup"],
                    "gain": gain.to_dict(),
                }
            )
    return sorted(found, key=lambda entry: float(entry["speedup"]))


def main() -> None:
    """Score, time and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", type=Path, nargs="+", help="run folders, one for each seed")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--int8", default="openvino", help="the int8 runtime")
    parser.add_argument("--measure-s", type=float, default=900.0)
    arguments = parser.parse_args()
    runs, int8 = [Run.open(path) for path in arguments.runs], Deployment(arguments.int8, "int8")
    first = runs[0]
    for other in runs[1:]:
        difference = replace(other.request.training, seed=first.request.training.seed)
        if difference != first.request.training:
            raise SystemExit(f"{other.folder.root} was trained by other settings than the first")
    rows: dict[str, dict[str, Any]] = {}
    outcomes: dict[str, dict[str, Evaluation]] = {"search": {}, "report": {}}
    for number, run in enumerate(runs):
        full = run.context.full
        lengths = run.context.workshop.lengths(full, LatencyProtocol())
        beyond = found_beyond(run, lengths)
        networks = [*run.context.networks().values(), *beyond]
        search = scored(run, networks, split="search")
        report = scored(run, networks, split="report")
        names = {entry.id: f"{series_of(run, entry)} {entry.name}" for entry in networks}
        for network in networks:
            name = names[network.id]
            row = rows.setdefault(
                name,
                {
                    "series": series_of(run, network),
                    "name": network.name,
                    "key": network.config.key if network.config else None,
                    "full": network.is_full,
                    "made": made_by(run, network),
                    "parameters": count_parameters(network.shape, network.config),
                    "operations_ratio": macs_of(full, lengths) / macs_of(network, lengths),
                    "seeds": [],
                },
            )
            row["seeds"].append(
                {
                    "seed": run.request.training.seed,
                    "search": search[network.id].value,
                    "report": report[network.id].interval.to_dict(),
                    **retention(report[network.id], report[full.id]),
                }
            )
            outcomes["search"][f"{name}, seed {number}"] = search[network.id]
            outcomes["report"][f"{name}, seed {number}"] = report[network.id]
        if run is first:
            cut = [n for n in run.context.networks().values() if series_of(run, n) == OWN]
            stored = run.context.stored().values()
            chosen = [*front_of(cut, search, lengths), *beyond, *stored]
            on_report = score_missing(run.context, chosen, split="report", deployment=int8)
            session, protocol = timed(run, chosen, int8, measure_s=arguments.measure_s)
            for network in chosen:
                row = rows[names[network.id]]
                row["eager"] = speed(session, network, EAGER_FP32)
                row["int8"] = speed(session, network, int8) | {
                    "kept": retention(on_report[network.id], report[full.id])
                }
                outcomes["report"][f"{names[network.id]}, {int8.slug}"] = on_report[network.id]
            gains = against_landmarks(
                run, {network.id: rows[names[network.id]] for network in chosen}, report
            )
    for row in rows.values():
        values = [entry["retention"] for entry in row["seeds"]]
        row["mean_retention"] = statistics.mean(values)
        if len(values) > 1:
            row["sd_retention"] = statistics.stdev(values)
    record = {
        "command": command(),
        "task": relative(first.context.manifest["task"]),
        "model": relative(first.request.model),
        "training": first.request.training.to_dict(),
        "stages": [read_records(run.folder.root / "training.jsonl") for run in runs],
        "steps": [read_records(run.folder.steps) for run in runs],
        "protocol": protocol.setting,
        "environment": session.environment.to_dict(),
        "noise": session.noise.to_dict(),
        "warnings": list(
            disturbances(session.noise, [session[name].resolved for name in session.targets])
        ),
        "full_ms": session[f"{first.context.full.id}@{EAGER_FP32.slug}"]
        .time_s.scaled(1000)
        .numbers,
        "networks": sorted(
            rows.values(), key=lambda row: (row["series"], row["operations_ratio"])
        ),
    }
    record["against_landmarks"] = gains
    record["published"] = against_published(record)
    write_outcomes(arguments.out / "outcomes.json", outcomes)
    write_json(arguments.out / "result.json", record)


if __name__ == "__main__":
    main()
