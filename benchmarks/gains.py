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
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

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


def scored(run: Run) -> list[Network]:
    """The run's sub-networks whose search score is known."""
    scores = run.context.ledger.evaluations(split="search", deployment=EAGER_FP32)
    every = run.context.searched().values()
    return [each for each in every if each.id in scores and isinstance(each.recipe, Cut)]


def best(
    networks: Sequence[Network],
    scores: Mapping[str, Evaluation],
    speedup: Callable[[SubnetConfig], float],
    *,
    least: float,
) -> Network | None:
    """The network of the best search score among those so fast; of equal ones the fastest."""
    fast = [n for n in networks if n.config is not None and speedup(n.config) >= least]

    def key(network: Network) -> tuple[float, float]:
        assert network.config is not None
        return scores[network.id].value, speedup(network.config)

    return max(fast, key=key, default=None)


def asked(run: Run, quantity: str, *, least: float) -> dict[str, Any] | None:
    """What one run answers, from the grid and from all; None where the grid has nothing so fast.

    Args:
        run: The run.
        quantity: The cost that speed-ups are of.
        least: The speed-up that is asked for.
    """
    context = run.context
    options = SearchOptions(objectives=("score", *COSTS.values()))
    cost = Scoring(context, options).problem.cost
    full = cost(SubnetConfig.full(context.shape)).values[quantity]
    landmarks = context.space.landmarks
    scores = context.ledger.evaluations(split="search", deployment=EAGER_FP32)

    def speedup(config: SubnetConfig) -> float:
        return full / cost(config).values[quantity]

    every = scored(run)
    grid = [n for n in every if n.config in landmarks]
    chosen = {
        "grid": best(grid, scores, speedup, least=least),
        "all": best(every, scores, speedup, least=least),
    }
    found = {name: network for name, network in chosen.items() if network is not None}
    if len(found) < len(chosen):
        return None
    report = score_missing(context, list(found.values()), split="report", deployment=EAGER_FP32)
    record: dict[str, Any] = {"seed": run.request.training.seed}
    for name, network in found.items():
        assert network.config is not None
        record[name] = {
            "network": network.name,
            "speedup": round(speedup(network.config), 2),
            "search": scores[network.id].value,
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
    record: dict[str, Any] = {
        "command": command(),
        "task": relative(runs[0].context.manifest["task"]),
        "training": runs[0].request.training.to_dict(),
        "environment": environment.to_dict(),
        "networks": [len(scored(run)) for run in runs],
    }
    record["gains"] = []
    for (speed, quantity), least in product(COSTS.items(), SPEEDUPS):
        answers = [asked(run, quantity, least=least) for run in runs]
        known = [answer for answer in answers if answer is not None]
        if len(known) == len(runs):
            gain = over_seeds([answer["gain"]["value"] for answer in known])
            record["gains"].append(
                {"speed": speed, "speedup": least, "gain": gain, "answers": known}
            )
            print(speed, least, gain, flush=True)
    write_json(arguments.out, record)


if __name__ == "__main__":
    main()
