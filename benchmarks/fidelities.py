"""Does a cheap score rank networks as a dear one does, and what does successive halving keep?

    paretobert search runs/cf-sst2s --engine exact --trials 100
    python benchmarks/fidelities.py runs/cf-sst2s --rungs 60,300 --eta 4 \
        --out benchmarks/fidelities/sst2-sentences.json

It is `paretobert halve` with the other options on what the run's searches scored, and what that
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

from paretobert.networks.subnet import SubnetConfig
from paretobert.pipeline.run import Run
from paretobert.profiling.counts import count_macs
from paretobert.profiling.environment import Environment
from paretobert.search.halving import REGIONS, kendall, thirds
from paretobert.storage import write_json

RESAMPLES = 2000


def judged(rungs: Sequence[Mapping[str, Any]], macs: Mapping[str, float]) -> list[dict[str, Any]]:
    """Kendall's tau of every two rungs, of all networks and of each third of them by cost.

    Args:
        rungs: Each with the name of its fidelity and its scores by network, the cheapest first.
        macs: Of every network of the first rung; thirds are of these.
    """
    region = thirds(macs)
    found = []
    for cheap, dear in combinations(rungs, 2):
        for name in ("all", *REGIONS):
            keys = [key for key in dear["scores"] if name in ("all", region(key))]
            pairs = [(cheap["scores"][key], dear["scores"][key]) for key in keys]
            tau = kendall(pairs)
            if tau is not None:
                entry = {"cheap": cheap["fidelity"], "dear": dear["fidelity"], "region": name}
                found.append({**entry, "networks": len(keys), "tau": _drawn_anew(tau, pairs)})
    return found


def _drawn_anew(tau: float, pairs: Sequence[tuple[float, float]]) -> dict[str, float]:
    generator = np.random.default_rng(0)
    places = (generator.integers(len(pairs), size=len(pairs)) for _ in range(RESAMPLES))
    drawn = [kendall([pairs[place] for place in drawing]) for drawing in places]
    low, high = np.quantile([other for other in drawn if other is not None], [0.025, 0.975])
    values = {"value": tau, "low": low, "high": high}
    return {name: round(float(value), 3) for name, value in values.items()}


def main() -> None:
    """Halve, and keep what it found."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments, options = parser.parse_known_args()
    environment = Environment.capture()
    halve = ["halve", str(arguments.run), *options]
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
