"""A search whose scores follow from sizes, and a worker of it."""

import os
import signal
import time
from functools import cache
from itertools import count
from multiprocessing.synchronize import Event
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
from paretobert.search.problem import Problem
from paretobert.search.study import run_study
from paretobert.tasks.scores import Evaluation

SHAPE = EncoderShape("bert", 4, 4, 8, 32, 128, 32, 1000, 64, 2, 3)
SPACE = Layerwise(SHAPE, (1.0, 0.5), (1.0, 0.5))
SCORING_S = 0.04
WAITS_AT = 8
"""At which of its networks a worker waits, so that all of them have some."""


def problem(seed: int = 0) -> Problem:
    costs = CostModel(SHAPE, ["num_flops"], seq_len=64)
    return Problem(SPACE, cache(costs.of), ("score", "num_flops"), seed=seed)


def score(config: SubnetConfig) -> float:
    sizes = dict(zip(config.layers, zip(config.heads, config.neurons, strict=True), strict=True))
    kept = (sizes.get(layer, (0, 0)) for layer in range(SHAPE.num_layers))
    lost = sum((1 - h / SHAPE.num_heads) ** 2 + 2 * (1 - n / SHAPE.ffn_size) ** 2 for h, n in kept)
    return 0.9 - lost / 30


def work(
    run: str,
    places: tuple[Path | str, Path | str],
    num_trials: int,
    said: int,
    dies_at: int | None,
    enough: Event,
) -> None:
    """Search with whoever else does.

    Args:
        run: The name of run and study.
        places: Of the study and of the ledger.
        num_trials: Networks to score.
        said: A file that gets the key of each network when its scoring begins, one a line, and in
            the end, as one line, those of all.
        dies_at: The so many-th network that it begins is the one at which it is killed.
        enough: What it waits for at the network `WAITS_AT`.
    """
    begun = count(1)
    study, known = places
    liveness.BEAT_S, liveness.SILENT_S = 0.2, 4.0
    ledger = Ledger.open(known, run=run)

    def evaluate(config: SubnetConfig) -> float:
        network = Network(config.key, Cut(SHAPE, config))
        there = ledger.evaluations(split="search", deployment=EAGER_FP32, network=network.id)
        if there:
            return there[network.id].value
        os.write(said, f"{config.key}\n".encode())
        number = next(begun)
        if number == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if number == WAITS_AT:
            enough.wait(120)
        time.sleep(SCORING_S)
        share = Interval(score(config), 0.0, 1.0, 2, "examples")
        found = Evaluation("t", "search", "accuracy", share, 0.1, (0, 1), (0, 1), {})
        ledger.add_network(network)
        ledger.add_evaluation(network.id, found, deployment=EAGER_FP32)
        return found.value

    found = run_study(
        engine_named("nsga2", problem()),
        num_trials=num_trials,
        evaluate=evaluate,
        storage=study,
        name=run,
        asked={},
    )
    os.write(said, " ".join(seen.config.key for seen in found).encode())
