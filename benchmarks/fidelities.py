"""Does a cheap score rank networks as a dear one does, and what does successive halving keep?

    paretobert search runs/cf-sst2s --engine exact --trials 100
    python benchmarks/fidelities.py runs/cf-sst2s --rungs 60,300 --eta 4 \
        --out benchmarks/fidelities/sst2-sentences.json

It is `paretobert halve` with these options on what the run's searches scored, and what that
printed: the score on `search` of every network at each rung, audited ones included, and Kendall's
tau of every two rungs, of all networks and of each third of them by multiply-adds. Beside a tau
stand the quantiles .025 and .975 of what it is when networks are drawn anew, with repetition; with
few networks they lie wide apart. A killed call goes on where it was.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from collect import command, relative
from numpy.typing import NDArray
from scipy.stats import kendalltau

from paretobert.networks.subnet import SubnetConfig
from paretobert.pipeline.run import Run
from paretobert.profiling.counts import count_macs
from paretobert.profiling.environment import Environment
from paretobert.storage import write_json

RESAMPLES = 2000
REGIONS = ("small", "middle", "large")
FEWEST = 4
"""Networks that a tau needs."""


def judged(rungs: Sequence[Mapping[str, Any]], macs: Mapping[str, float]) -> list[dict[str, Any]]:
    """Kendall's tau of every two rungs, of all networks and of each third of them by cost.

    Args:
        rungs: Each with the name of its fidelity and its scores by network, the cheapest first.
        macs: Of every network of the first rung; thirds are of these.
    """
    low, high = np.quantile(list(macs.values()), [1 / 3, 2 / 3])
    region = {key: REGIONS[int(cost > low) + int(cost > high)] for key, cost in macs.items()}
    found = []
    for cheap, dear in combinations(rungs, 2):
        for name in ("all", *REGIONS):
            keys = [key for key in dear["scores"] if name in ("all", region[key])]
            pairs = np.array([[cheap["scores"][key], dear["scores"][key]] for key in keys])
            if len(keys) >= FEWEST:
                entry = {"cheap": cheap["fidelity"], "dear": dear["fidelity"], "region": name}
                found.append({**entry, "networks": len(keys), "tau": _tau(pairs)})
    return found


def _tau(pairs: NDArray[np.float64]) -> dict[str, float]:
    generator = np.random.default_rng(0)
    drawn = [
        kendalltau(*pairs[generator.integers(len(pairs), size=len(pairs))].T).statistic
        for _ in range(RESAMPLES)
    ]
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    values = {"value": kendalltau(*pairs.T).statistic, "low": low, "high": high}
    return {name: round(float(value), 3) for name, value in values.items()}


def main() -> None:
    """Halve, and keep what it found."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--rungs", required=True)
    parser.add_argument("--eta", type=int, required=True)
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    environment = Environment.capture()
    halve = ["halve", str(arguments.run), "--rungs", arguments.rungs, "--eta", str(arguments.eta)]
    if arguments.learning_rate is not None:
        halve += ["--learning-rate", str(arguments.learning_rate)]
    program = Path(sys.executable).with_name("paretobert")
    said = subprocess.run([program, *halve, "--json"], check=True, stdout=subprocess.PIPE)
    found = json.loads(said.stdout)
    run = Run.open(arguments.run)
    macs = {
        key: count_macs(
            run.context.shape, SubnetConfig.from_key(key), seq_len=run.request.protocol.seq_len
        )
        for key in found["rungs"][0]["scores"]
    }
    record = {
        "command": command(),
        "halve": f"paretobert {' '.join(halve)}",
        "task": relative(run.task.summary()),
        "training": run.request.training.to_dict(),
        "environment": environment.to_dict(),
        "macs": macs,
        "resamples": RESAMPLES,
        "networks": [len(rung["scores"]) for rung in found["rungs"]],
        **found,
        "judged": judged(found["rungs"], macs),
    }
    write_json(arguments.out, record)
    for row in record["judged"]:
        print(row)


if __name__ == "__main__":
    main()
