"""What does a search beyond the grid gain at equal speed, over seeds?

    paretobert search runs/sst2s-0 --engine exact --trials 60      # likewise 1 and 2
    python benchmarks/gains.py runs/sst2s-0 runs/sst2s-1 runs/sst2s-2 \
        --out benchmarks/search/sst2-sentences-gains.json

The runs differ in the seed, and so in the split, the teacher and everything after it. For each of
some speed-ups a user asks twice: among the networks of the grid, and among all that the run has
scored. Who is asked chooses by the score on `search`; what counts is the difference of the two on
`report`, in pairs for each seed, and on average over seeds with Student's interval. Speed is that
of latencies as the run's searches know them, measured of the grid and predicted of others, or of
multiply-adds. Networks that were trained by themselves are left out.
"""

import argparse
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Self

from collect import command, relative
from scipy.stats import t as student

from paretobert.deploy.deployment import EAGER_FP32
from paretobert.networks.network import Cut, Network
from paretobert.networks.subnet import SubnetConfig
from paretobert.pipeline.run import Run
from paretobert.pipeline.scores import score_missing
from paretobert.pipeline.steps.search import Scoring
from paretobert.profiling.environment import Environment
from paretobert.search.options import SearchOptions
from paretobert.storage import write_json
from paretobert.tasks.comparison import compare
from paretobert.tasks.scores import Evaluation

SPEEDUPS = (2.0, 2.65, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0)
COSTS = {"latency": "latency_ms", "multiply-adds": "num_flops"}
"""What speed-ups are of."""


@dataclass(frozen=True, slots=True)
class Known:
    """What one run knows.

    Attributes:
        run: The run.
        networks: Its sub-networks whose search score is known, by id.
        grid: The ids of those of the grid.
        search: Their search scores.
        speedups: How many times cheaper than the full model each is, by the cost.
    """

    run: Run
    networks: Mapping[str, Network]
    grid: frozenset[str]
    search: Mapping[str, Evaluation]
    speedups: Mapping[str, Mapping[str, float]]

    @classmethod
    def of(cls, run: Run) -> Self:
        """Read a run that was searched."""
        context = run.context
        search = context.ledger.evaluations(split="search", deployment=EAGER_FP32)
        cut = {
            network.id: (network, network.recipe.config)
            for network in context.searched().values()
            if network.id in search and isinstance(network.recipe, Cut)
        }
        options = SearchOptions(objectives=("score", *COSTS.values()))
        cost = Scoring(context, options).problem.cost
        full = cost(SubnetConfig.full(context.shape)).values
        costs = {identifier: cost(config).values for identifier, (_, config) in cut.items()}
        return cls(
            run=run,
            networks={identifier: network for identifier, (network, _) in cut.items()},
            grid=frozenset(
                identifier
                for identifier, (_, config) in cut.items()
                if config in context.space.landmarks
            ),
            search={identifier: search[identifier] for identifier in cut},
            speedups={
                quantity: {
                    identifier: full[quantity] / values[quantity]
                    for identifier, values in costs.items()
                }
                for quantity in COSTS.values()
            },
        )


def best_within(
    speedups: Mapping[str, float],
    names: Iterable[str],
    search: Mapping[str, Evaluation],
    *,
    least: float,
) -> str | None:
    """The best search score among those so fast; of equal ones the fastest.

    Args:
        speedups: Times as fast as the full model, by name or id.
        names: Those to choose among.
        search: Evaluations on the search split.
        least: The speed-up that is asked for.
    """
    fast = [name for name in names if speedups[name] >= least]
    return max(fast, key=lambda name: (search[name].value, speedups[name]), default=None)


def asked(known: Known, quantity: str, *, least: float) -> dict[str, Any] | None:
    """What one run answers, from the grid and from all; None where the grid has nothing so fast.

    Args:
        known: What it knows.
        quantity: The cost that speed-ups are of.
        least: The speed-up that is asked for.
    """
    speedups = known.speedups[quantity]
    chosen = {
        name: best_within(speedups, names, known.search, least=least)
        for name, names in (("grid", known.grid), ("all", known.networks))
    }
    found = {name: known.networks[each] for name, each in chosen.items() if each is not None}
    if len(found) < len(chosen):
        return None
    report = score_missing(
        known.run.context, list(found.values()), split="report", deployment=EAGER_FP32
    )
    record: dict[str, Any] = {"seed": known.run.request.training.seed}
    for name, network in found.items():
        record[name] = {
            "network": network.name,
            "speedup": round(speedups[network.id], 2),
            "search": known.search[network.id].value,
            "report": report[network.id].value,
        }
    gain = compare(report[found["all"].id], report[found["grid"].id])
    return record | {"gain": gain.to_dict()}


def over_seeds(values: Sequence[float]) -> dict[str, Any]:
    """The mean, and Student's 95 % interval where there are several."""
    mean = statistics.mean(values)
    if len(values) < 2:
        return {"value": mean, "seeds": len(values)}
    half = student.ppf(0.975, len(values) - 1) * statistics.stdev(values) / len(values) ** 0.5
    return {"value": mean, "low": mean - half, "high": mean + half, "seeds": len(values)}


def main() -> None:
    """Ask every run, and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    runs, environment = [Run.open(path) for path in arguments.runs], Environment.capture()
    known = [Known.of(run) for run in runs]
    record: dict[str, Any] = {
        "command": command(),
        "task": relative(runs[0].context.manifest["task"]),
        "training": runs[0].request.training.to_dict(),
        "environment": environment.to_dict(),
        "networks": [len(each.networks) for each in known],
    }
    record["gains"] = []
    for (speed, quantity), least in product(COSTS.items(), SPEEDUPS):
        every = [asked(each, quantity, least=least) for each in known]
        answers = [answer for answer in every if answer is not None]
        if len(answers) == len(runs):
            gain = over_seeds([answer["gain"]["value"] for answer in answers])
            record["gains"].append(
                {"speed": speed, "speedup": least, "gain": gain, "answers": answers}
            )
            print(speed, least, gain, flush=True)
    write_json(arguments.out, record)


if __name__ == "__main__":
    main()
