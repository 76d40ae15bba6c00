"""What is kept of the full model's score at which measured speed-up, for every series of a task.

    paretobert run runs/rte-0 --model minilm --task RTE --data ../shared/data/glue/RTE --finish 3
    python benchmarks/training.py runs/rte-0 runs/rte-1 runs/rte-2 --out benchmarks/training/rte

The runs differ in the seed alone. A series is what one method made: the landmarks of the run's
space, the front of search score against multiply-adds of what a search found beyond them (each
three tenths cheaper than the next, at least), finished ones, each baseline that was added. Every
network of these is scored on the report split in fp32. That front of the first run, its landmarks'
own and every network that a method made in any run are timed in one session, in eager fp32 and,
unless it is left out, in int8: batch 1, the task's own lengths, one thread, against the full model
in eager fp32. Weights do not change the time: what has the same sizes is timed once. With `--sizes
made` no sub-network takes part but the full model and those of the sizes that methods made.
Retention is the share of the full model's report score, its interval that of the difference in
pairs; over several seeds it is also averaged.

What a search found, finished or not, is held against the landmark, finished or not, with the best
search score of those at least as fast. For some speed-ups a user asks twice, among the landmarks
and among all, and takes the best search score of what is so fast: what the second answer gains on
the report split is averaged over seeds. Landmarks keep every word-vector here, and so do all that
are asked; in a space with tokens multipliers those that eliminate some are asked as well.

The landmarks of runs that are named with `--beside`, which start from the first run's teacher and
are made by another recipe, are a series of that recipe's name in the same session. The result is
`result.json`, with every example's outcome in `outcomes.json`; `training_figure.py` draws it.
"""

import argparse
import statistics
import tempfile
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from collect import command, relative
from landmark_gains import (
    OWN,
    SEARCHED,
    Shape,
    against_landmarks,
    gains_over_landmarks,
    keeping_every_token,
    shape_of,
)
from outcomes import write_outcomes
from progress import say
from training_figure import against_published

from paretobert.deploy.deployment import EAGER_FP32, Deployment
from paretobert.networks.network import Network, Stored
from paretobert.networks.subnet import TOKENS
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

SPACING = 0.7
"""Share of the next larger one's operations that a network of that series has at most."""


class Chosen(NamedTuple):
    """A network that takes part.

    Attributes:
        number: Of the seed, from 0 on.
        run: Its run.
        network: The network.
    """

    number: int
    run: Run
    network: Network


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


def beyond_landmarks(run: Run) -> list[Network]:
    """What searches scored beside the landmarks."""
    landmarks = run.context.networks()
    return [entry for key, entry in run.context.searched().items() if key not in landmarks]


def found_beyond(run: Run, lengths: Sequence[int]) -> list[Network]:
    """The front of what searches scored beside the landmarks, thinned, the largest first."""
    scores = run.context.ledger.evaluations(split="search", deployment=EAGER_FP32)
    kept: list[Network] = []
    front = front_of(beyond_landmarks(run), scores, lengths)
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
    chosen: Mapping[str, Chosen],
    deployments: Collection[Deployment],
    *,
    measure_s: float,
) -> tuple[Session, LatencyProtocol]:
    """One session over networks in some deployments, eager fp32 among them.

    Args:
        run: Whose full model all are measured against.
        chosen: Each network by its name in the session.
        deployments: Runtimes and precisions.
        measure_s: Seconds of measuring.
    """
    full, workshop = run.context.full, run.context.workshop
    protocol = LatencyProtocol(time_budget_s=measure_s)
    protocol = protocol.with_lengths(workshop.lengths(full, protocol))
    sentinel = next(
        timed_as(name, EAGER_FP32) for name, entry in chosen.items() if entry.network.id == full.id
    )
    with tempfile.TemporaryDirectory() as scratch:
        subjects: dict[str, Subject] = {}
        for place, (name, entry) in enumerate(chosen.items()):
            for deployment in deployments:
                folder = Path(scratch) / f"{place}-{deployment.slug}"
                entry.run.context.workshop.write(entry.network, deployment, folder)
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


def sizes_of(name: str, network: Network) -> Shape | str:
    """What decides the time of a network; its name where its sizes do not say."""
    return name if network.config is None else shape_of(network.config)


def made_by(run: Run, network: Network) -> dict[str, Any]:
    """What a method was asked; for the run's own sub-networks the run's training."""
    if isinstance(network.recipe, Stored):
        return dict(network.recipe.asked)
    return {} if network.is_full else {"training": "the run's"}


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
        known: The networks, by the same names.
        outcomes: For each seed what every network said, by split and name.
        fulls: For each seed the full model on the report split.
    """

    def __init__(self, first: Run, sizes: Collection[Shape | str] | None) -> None:
        """Begin without any.

        Args:
            first: The run whose full model all are timed against.
            sizes: Those of the sub-networks that take part beside it; None for any.
        """
        self.rows: dict[str, dict[str, Any]] = {}
        self.known: dict[str, Chosen] = {}
        self._sizes = sizes
        self._first_of: dict[Shape | str, str] = {}
        self.outcomes: list[dict[str, dict[str, Evaluation]]] = []
        self.fulls: list[Evaluation] = []
        self._first = first
        full = first.context.full
        self._lengths = first.context.workshop.lengths(full, LatencyProtocol())
        self._whole = macs_of(full, self._lengths)

    def add(self, run: Run) -> None:
        """Score a run's networks; of other runs than the first, what methods made is timed."""
        cut = self._landmarks(run)
        stored = list(run.context.stored().values())
        found = self._found(run)
        timely = [*stored, *self._front(run, cut), *found] if run is self._first else stored
        number = len(self.fulls)
        self.fulls.extend(scored(run, [run.context.full], split="report").values())
        self.outcomes.append({"search": {}, "report": {}})
        for network in [*cut, *stored, *found]:
            series = series_of(run, network)
            self._keep(number, run, network, series, timely=network in timely)

    def add_beside(self, run: Run) -> None:
        """Score the landmarks of a run by another recipe; its front is timed."""
        cut, recipe = self._landmarks(run), run.request.training.recipe
        timely = self._front(run, cut)
        for network in cut:
            if not network.is_full:
                self._keep(0, run, network, recipe, timely=network in timely)

    def _landmarks(self, run: Run) -> list[Network]:
        cut = [n for n in run.context.networks().values() if series_of(run, n) == OWN]
        return [n for n in cut if n.is_full or self._takes_part(n)]

    def _found(self, run: Run) -> list[Network]:
        """What searches found beyond the landmarks."""
        if self._sizes is None:
            return found_beyond(run, self._lengths)
        return [n for n in beyond_landmarks(run) if self._takes_part(n)]

    def _takes_part(self, network: Network) -> bool:
        return self._sizes is None or sizes_of(network.name, network) in self._sizes

    def _front(self, run: Run, networks: Sequence[Network]) -> list[Network]:
        return front_of(networks, scored(run, networks, split="search"), self._lengths)

    def _keep(self, number: int, run: Run, network: Network, series: str, *, timely: bool) -> None:
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
                **retention(report, self.fulls[number]),
            }
        )
        for split, found in (("search", search), ("report", report)):
            self.outcomes[number][split][name] = found
        self.known.setdefault(name, Chosen(number, run, network))
        if timely:
            self._first_of.setdefault(sizes_of(name, network), name)

    @property
    def chosen(self) -> dict[str, Chosen]:
        """What is timed: the first network of each of the sizes, by its name."""
        return {name: self.known[name] for name in self._first_of.values()}

    @property
    def timed_for(self) -> dict[str, str]:
        """The name of what is timed for each network that has such sizes."""
        firsts = {
            name: self._first_of.get(sizes_of(name, entry.network))
            for name, entry in self.known.items()
        }
        return {name: first for name, first in firsts.items() if first is not None}


def main() -> None:
    """Score, time and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", type=Path, nargs="+", help="run folders, one for each seed")
    parser.add_argument("--beside", type=Path, nargs="*", default=[], help="runs by other recipes")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--int8", default="openvino", help="the int8 runtime, or none")
    parser.add_argument("--sizes", choices=("all", "made"), default="all")
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
    made = {
        sizes_of(network.name, network)
        for run in runs
        for network in run.context.stored().values()
    }
    gathered = Gathered(first, None if arguments.sizes == "all" else made)
    for run in runs:
        gathered.add(run)
    for run in beside:
        gathered.add_beside(run)
    rows, chosen = gathered.rows, gathered.chosen
    session, protocol = timed(first, chosen, panels.values(), measure_s=arguments.measure_s)
    timed_for = gathered.timed_for
    for name, timed_name in timed_for.items():
        number, owner, network = gathered.known[name]
        for panel, deployment in panels.items():
            (found,) = score_missing(
                owner.context, [network], split="report", deployment=deployment
            ).values()
            kept = retention(found, gathered.fulls[number])
            rows[name][panel] = speed(session, timed_name, deployment) | {"kept": kept}
            if deployment.changes_numbers:
                gathered.outcomes[number]["report"][f"{name}, {deployment.slug}"] = found
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
    landmarks = first.context.space.with_every_token().landmarks
    timed_rows = {name: rows[name] for name in timed_for}
    record["against_landmarks"] = against_landmarks(
        landmarks,
        {name: row for name, row in timed_rows.items() if name in gathered.outcomes[0]["search"]},
        gathered.outcomes[0],
    )
    record["gains_over_landmarks"] = gains_over_landmarks(
        landmarks, keeping_every_token(timed_rows), gathered.outcomes
    )
    if first.context.space.tokens != TOKENS:
        record["gains_with_elimination"] = gains_over_landmarks(
            landmarks, timed_rows, gathered.outcomes
        )
    record["published"] = against_published(record)
    write_outcomes(
        arguments.out / "outcomes.json",
        {
            f"{split} of seed {run.request.training.seed}": evaluations
            for run, found in zip(runs, gathered.outcomes, strict=True)
            for split, evaluations in found.items()
        },
    )
    write_json(arguments.out / "result.json", record)


if __name__ == "__main__":
    main()
