"""A search whose scores follow from sizes; as a program, a worker of it.

    python black_box.py RUN STUDY LEDGER TRIALS

prints the key of each network when it begins to score it, and in the end those of all.
"""

import sys
import time
from functools import cache
from pathlib import Path

from paretobert.deploy.deployment import EAGER_FP32
from paretobert.intervals import Interval
from paretobert.networks.network import Cut, Network
from paretobert.networks.shape import EncoderShape
from paretobert.networks.spaces import Layerwise
from paretobert.networks.subnet import SubnetConfig
from paretobert.pipeline.ledger import Ledger
from paretobert.search import liveness
from paretobert.search.cost_model import CostModel
from paretobert.search.engines.registry import engine_named
from paretobert.search.problem import Observation, Problem
from paretobert.search.study import run_study
from paretobert.tasks.metrics import Evaluation

SHAPE = EncoderShape("bert", 4, 4, 8, 32, 128, 32, 1000, 64, 2, 3)
SPACE = Layerwise(SHAPE, (1.0, 0.5), (1.0, 0.5))
SCORING_S = 0.04


def problem(seed: int = 0) -> Problem:
    costs = CostModel(SHAPE, ["num_flops"], seq_len=64)
    return Problem(SPACE, cache(costs.of), ("score", "num_flops"), seed=seed)


def score(config: SubnetConfig) -> float:
    sizes = dict(zip(config.layers, zip(config.heads, config.neurons, strict=True), strict=True))
    kept = (sizes.get(layer, (0, 0)) for layer in range(SHAPE.num_layers))
    lost = sum((1 - h / SHAPE.num_heads) ** 2 + 2 * (1 - n / SHAPE.ffn_size) ** 2 for h, n in kept)
    return 0.9 - lost / 30


def searched(
    ledger: Ledger, study: Path | str, *, run: str, num_trials: int
) -> tuple[Observation, ...]:
    def evaluate(config: SubnetConfig) -> float:
        network = Network(config.key, Cut(SHAPE, config))
        known = ledger.evaluations(split="search", deployment=EAGER_FP32, network=network.id)
        if known:
            return known[network.id].value
        print(config.key, flush=True)
        time.sleep(SCORING_S)
        share = Interval(score(config), 0.0, 1.0, 2, "examples")
        found = Evaluation("t", "search", "accuracy", share, 0.1, (0, 1), (0, 1), {})
        ledger.add_network(network)
        ledger.add_evaluation(network.id, found, deployment=EAGER_FP32)
        return found.value

    return run_study(
        engine_named("nsga2", problem()),
        num_trials=num_trials,
        evaluate=evaluate,
        storage=study,
        name=run,
        asked={},
    )


def main() -> None:
    run, *places, num_trials = sys.argv[1:]
    study, known = (Path(place) if place.startswith("/") else place for place in places)
    liveness.BEAT_S, liveness.SILENT_S = 0.1, 1.0
    ledger = Ledger.open(known, run=run)
    found = searched(ledger, study, run=run, num_trials=int(num_trials))
    print("done", *(seen.config.key for seen in found))


if __name__ == "__main__":
    main()
