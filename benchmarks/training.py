"""What is kept of the full model's score at which measured speed-up, for every series of a task.

    paretobert run runs/rte-0 --model minilm --task RTE --data ../shared/data/glue/RTE --finish 3
    python benchmarks/training.py runs/rte-0 runs/rte-1 runs/rte-2 --out benchmarks/training/rte

The runs differ in the seed alone. A series is what one method made: the landmarks of the run's
space, the front of search score against multiply-adds of what a search found beyond them (each
three tenths cheaper than the next, at least), finished ones, each baseline that was added. Every
network of these is scored on the report split in fp32. That front, the landmarks' own and every
network that a method made are timed in one session of the first run, in eager fp32 and, unless it
is left out, in int8: batch 1, the task's own lengths, one thread, against the full model in eager
fp32. Retention is the share of the
full model's report score, its interval that of the difference in pairs; over several seeds it is
also averaged. What a search found, finished or not, is held against the landmark, finished or not,
with the best search score of those at least as fast. The landmarks of runs that are named with
`--beside`, which start from the first run's teacher and are made by another recipe, are a series
of that recipe's name in the same session. The result is `result.json`, with every example's
outcome in `outcomes.json`; `training_figure.py` draws it.
"""

import argparse
import statistics
import tempfile
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from collect import command, relative
from outcomes import write_outcomes
from progress import say
from training_figure import against_published

from paretobert.deploy.deployment import EAGER_FP32, Deployment
from paretobert.dynabert.options import RECIPES
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

SHAPED = (OWN, SEARCHED, "finished", "bort", *RECIPES)
"""The series whose networks are of the run's space, or of the landmarks of a run beside it."""

SPACING = 0.7
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
    run: Run,
    chosen: Mapping[str, tuple[Run, Network]],
    deployments: Collection[Deployment],
    *,
    measure_s: float,
) -> tuple[Session, LatencyProtocol]:
    """One session over networks in some deployments, eager fp32 among them.

    Args:
        run: Whose full model all are measured against.
        chosen: Each network with its run, by its name in the session.
        deployments: Runtimes and precisions.
        measure_s: Seconds of measuring.
    """
    full, workshop = run.context.full, run.context.workshop
    protocol = LatencyProtocol(time_budget_s=measure_s)
    protocol = protocol.with_lengths(workshop.lengths(full, protocol))
    sentinel = next(
        timed_as(name, EAGER_FP32) for name, (_, entry) in chosen.items() if entry.id == full.id
    )
    with tempfile.TemporaryDirectory() as scratch:
        subjects: dict[str, Subject] = {}
        for number, (name, (owner, network)) in enumerate(chosen.items()):
            for deployment in deployments:
                folder = Path(scratch) / f"{number}-{deployment.slug}"
                owner.context.workshop.write(network, deployment, folder)
                subjects[timed_as(name, deployment)] = Written(folder)
        session = measure(
            FreshProcesses(subjects, protocol, sentinel=sentinel),
            protocol,
            networks=subjects,
            sentinel=sentinel,
            name=uuid.uuid4().hex,
            progress=say,
        )
    return session, protocol


def timed_as(name: str, deployment: Deployment) -> str:
    """What a deployed network is called in the session."""
    return f"{name}@{deployment.slug}"


def speed(session: Session, name: str, deployment: Deployment) -> dict[str, Any]:
    """How many times as fast as the full model in eager fp32, from the session's ratio."""
    measurement = session[timed_as(name, deployment)]
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
        rows: The timed networks' rows by name.
        report: Their evaluations.
    """
    landmarks = {(config.heads, config.neurons) for config in run.context.subnets()}
    of_shape = {key: row for key, row in rows.items() if row["series"] in SHAPED}
    configs = {key: SubnetConfig.from_key(row["key"]) for key, row in of_shape.items()}
    grid = {
        key: row
        for key, row in of_shape.items()
        if row["series"] in RECIPES or (configs[key].heads, configs[key].neurons) in landmarks
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


def refuse_others(first: Run, runs: Sequence[Run], beside: Sequence[Run]) -> None:
    """End where runs are not seeds of one another, or those beside begin with another model.

    Raises:
        SystemExit: Naming the run.
    """
    for other in runs:
        difference = replace(other.request.training, seed=first.request.training.seed)
        if difference != first.request.training:
            raise SystemExit(f"{other.folder.root} was trained by other settings than the first")
    for other in beside:
        begun = (first.request.fingerprint, first.request.task)
        if (other.request.fingerprint, other.request.task) != begun:
            raise SystemExit(f"{other.folder.root} begins with another model or task")


class Gathered:
    """What is known of all networks before any is timed.

    Attributes:
        rows: By series and name.
        chosen: What is timed, with its run, by the same names.
        reported: Evaluations of these on the report split, in fp32.
        outcomes: What every network said, by split.
    """

    def __init__(self, first: Run) -> None:
        """Begin without any.

        Args:
            first: The run whose full model all are held against.
        """
        self.rows: dict[str, dict[str, Any]] = {}
        self.chosen: dict[str, tuple[Run, Network]] = {}
        self.reported: dict[str, Evaluation] = {}
        self.outcomes: dict[str, dict[str, Evaluation]] = {"search": {}, "report": {}}
        self._first = first
        full = first.context.full
        self._lengths = first.context.workshop.lengths(full, LatencyProtocol())
        self._whole = macs_of(full, self._lengths)

    def add(self, run: Run, *, number: int) -> None:
        """Score a run's networks, those of the first run to be timed.

        Args:
            run: The first run, or another seed of it.
            number: Of the seed, from 0 on.
        """
        cut = self._landmarks(run)
        others = [*run.context.stored().values(), *found_beyond(run, self._lengths)]
        timely = [*self._front(run, cut), *others] if run is self._first else []
        (full,) = scored(run, [run.context.full], split="report").values()
        for network in [*cut, *others]:
            series = series_of(run, network)
            self._keep(run, network, series, full, number=number, timely=network in timely)

    def add_beside(self, run: Run) -> None:
        """Score the landmarks of a run by another recipe; its front is timed."""
        cut, recipe = self._landmarks(run), run.request.training.recipe
        timely = self._front(run, cut)
        (full,) = scored(self._first, [self._first.context.full], split="report").values()
        for network in cut:
            if not network.is_full:
                self._keep(run, network, recipe, full, number=0, timely=network in timely)

    def _landmarks(self, run: Run) -> list[Network]:
        return [n for n in run.context.networks().values() if series_of(run, n) == OWN]

    def _front(self, run: Run, networks: Sequence[Network]) -> list[Network]:
        return front_of(networks, scored(run, networks, split="search"), self._lengths)

    def _keep(
        self,
        run: Run,
        network: Network,
        series: str,
        full: Evaluation,
        *,
        number: int,
        timely: bool,
    ) -> None:
        """Score a network on both splits, and write its row."""
        name = f"{series} {network.name}"
        (search,), (report,) = (
            scored(run, [network], split=split).values() for split in ("search", "report")
        )
        row = self.rows.setdefault(
            name,
            {
                "series": series,
                "name": network.name,
                "key": network.config.key if network.config else None,
                "full": network.is_full,
                "made": made_by(run, network),
                "parameters": count_parameters(network.shape, network.config),
                "operations_ratio": self._whole / macs_of(network, self._lengths),
                "seeds": [],
            },
        )
        row["seeds"].append(
            {
                "seed": run.request.training.seed,
                "search": search.value,
                "report": report.interval.to_dict(),
                **retention(report, full),
            }
        )
        for split, found in (("search", search), ("report", report)):
            self.outcomes[split][f"{name}, seed {number}"] = found
        if timely:
            self.chosen[name], self.reported[name] = (run, network), report


def main() -> None:
    """Score, time and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", type=Path, nargs="+", help="run folders, one for each seed")
    parser.add_argument("--beside", type=Path, nargs="*", default=[], help="runs by other recipes")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--int8", default="openvino", help="the int8 runtime, or none")
    parser.add_argument("--measure-s", type=float, default=900.0)
    arguments = parser.parse_args()
    panels = {"eager": EAGER_FP32}
    if arguments.int8 != "none":
        panels["int8"] = Deployment(arguments.int8, "int8")
    runs, beside = (
        [Run.open(path) for path in paths] for paths in (arguments.runs, arguments.beside)
    )
    first = runs[0]
    refuse_others(first, runs, beside)
    gathered = Gathered(first)
    for number, run in enumerate(runs):
        gathered.add(run, number=number)
    for run in beside:
        gathered.add_beside(run)
    rows, chosen = gathered.rows, gathered.chosen
    session, protocol = timed(first, chosen, panels.values(), measure_s=arguments.measure_s)
    (full,) = scored(first, [first.context.full], split="report").values()
    for name, (owner, network) in chosen.items():
        for panel, deployment in panels.items():
            (found,) = score_missing(
                owner.context, [network], split="report", deployment=deployment
            ).values()
            rows[name][panel] = speed(session, name, deployment) | {"kept": retention(found, full)}
            if deployment.changes_numbers:
                gathered.outcomes["report"][f"{name}, {deployment.slug}"] = found
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
        "beside": {run.request.training.recipe: run.request.training.to_dict() for run in beside},
        "stages": [read_records(run.folder.root / "training.jsonl") for run in runs],
        "steps": [read_records(run.folder.steps) for run in [*runs, *beside]],
        "protocol": protocol.setting,
        "environment": session.environment.to_dict(),
        "noise": session.noise.to_dict(),
        "warnings": list(
            disturbances(session.noise, [session[name].resolved for name in session.targets])
        ),
        "full_ms": session[session.sentinel].time_s.scaled(1000).numbers,
        "networks": sorted(
            rows.values(), key=lambda row: (row["series"], row["operations_ratio"])
        ),
    }
    record["against_landmarks"] = against_landmarks(
        first, {name: rows[name] for name in chosen}, gathered.reported
    )
    record["published"] = against_published(record)
    write_outcomes(arguments.out / "outcomes.json", gathered.outcomes)
    write_json(arguments.out / "result.json", record)


if __name__ == "__main__":
    main()
