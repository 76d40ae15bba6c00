"""How long a query takes over ten thousand networks, in fresh processes.

    python benchmarks/query_speed.py [--networks 10000] [--repeats 5]

Makes a run folder as if a run had been trained, profiled and searched, with imagined latencies and
outcomes of 2,000 examples per network and the second timing of the answer, so that nothing is left
to be measured. Prints the seconds of reading the ledger in a warm process, and those of the whole
command in fresh ones: the first after the compiled modules were thrown away, then with them.
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from paretobert.deploy.deployment import EAGER_FP32
from paretobert.dynabert.options import TrainingOptions
from paretobert.networks.network import Cut, Network
from paretobert.networks.shape import EncoderShape
from paretobert.networks.subnet import SubnetConfig
from paretobert.pipeline.context import Context
from paretobert.pipeline.costs import candidates, counted, table
from paretobert.pipeline.folder import RunFolder, claim
from paretobert.pipeline.ledger import Purpose, Subject
from paretobert.pipeline.request import RunRequest
from paretobert.pipeline.run import Run
from paretobert.pipeline.sessions import conditions_here
from paretobert.pipeline.steps.query import Limits, budget_of
from paretobert.profiling.protocol import LatencyProtocol
from paretobert.profiling.statistics import Estimate, NoiseReport
from paretobert.profiling.table import LatencySummary
from paretobert.search.options import SearchOptions
from paretobert.search.query import answer_query
from paretobert.tasks.loading import TaskRequest
from paretobert.tasks.metrics import Evaluation

SHAPE = EncoderShape("bert", 12, 12, 64, 768, 3072, 768, 30522, 512, 2, 2)
NUM_EXAMPLES, NUM_PROCESSES = 2_000, 5
NOISE = NoiseReport(NUM_PROCESSES, 15, 60, 0, 0, 0, 0, 0.01)
LIMITS: Limits = {"latency": "60ms", "params": "90M"}


def make(root: Path, *, num_networks: int) -> Context:
    """Write a run folder with about so many networks, of a large space."""
    parts = SHAPE.num_heads
    shares = max(1, round(num_networks / parts**2))
    request = RunRequest(
        model="imagined",
        fingerprint="0",
        task=TaskRequest("sst2"),
        training=TrainingOptions(
            widths=tuple(part / parts for part in range(parts, 0, -1)),
            depths=tuple(part / parts for part in range(parts, 0, -1)),
            tokens=tuple(1 - 0.01 * share for share in range(shares)),
            token_epochs=1,
        ),
        protocol=LatencyProtocol(),
        search=SearchOptions(),
    )
    folder = RunFolder(root)
    sizes = {"train": 1, "search": NUM_EXAMPLES, "report": NUM_EXAMPLES}
    claim(folder, request.to_dict(), task={"name": "sst2", "sizes": sizes})
    folder.supernet.mkdir()
    context, generator = Context(folder, request), random.Random(0)
    config = SubnetConfig.full(SHAPE)
    context.ledger.add_network(Network(config.key, Cut(SHAPE, config)))
    labels = array("B", (generator.randrange(2) for _ in range(NUM_EXAMPLES)))
    latencies: dict[Subject, LatencySummary] = {}
    for network in context.networks().values():
        context.ledger.add_network(network)
        share = counted(network, seq_len=128).num_macs or 1
        full = counted(context.full, seq_len=128).num_macs or 1
        scored = outcomes(labels, 0.8 + 0.12 * (share / full) ** 0.3, generator, split="search")
        context.ledger.add_evaluation(network.id, scored, deployment=EAGER_FP32)
        latencies[Subject(network.id, EAGER_FP32)] = latency(share / full, generator)
    _enter(context, "profile", latencies)
    named = answer_query(candidates(context, [table(context)]), budget_of(context, LIMITS)).named
    wanted = [context.full.id, *(entry.network.id for entry in named)]
    for identifier in wanted:
        scored = outcomes(labels, 0.9, generator, split="report")
        context.ledger.add_evaluation(identifier, scored, deployment=EAGER_FP32)
    subjects = [Subject(identifier, EAGER_FP32) for identifier in wanted]
    _enter(context, "delivery", {subject: latencies[subject] for subject in subjects})
    return context


def outcomes(
    labels: "array[int]", accuracy: float, generator: random.Random, *, split: str
) -> Evaluation:
    """A score of random outcomes."""
    predictions = array("B", (x ^ (generator.random() > accuracy) for x in labels))
    right = sum(a == b for a, b in zip(labels, predictions, strict=True)) / len(labels)
    return Evaluation(
        task="sst2",
        split=split,
        metric="accuracy",
        value=right,
        low=right - 0.015,
        high=right + 0.015,
        standard_error=0.0075,
        n=len(labels),
        labels=labels,
        predictions=predictions,
        others={},
    )


def latency(share: float, generator: random.Random) -> LatencySummary:
    """A latency that follows the share of operations."""
    ratio = 1.0 if share == 1 else share * generator.uniform(1.0, 1.1)
    width = 0.0 if share == 1 else 0.01
    return LatencySummary(
        ratio=Estimate(ratio, ratio * (1 - width), ratio * (1 + width), NUM_PROCESSES),
        full_ms=Estimate(100.0, 99.0, 101.0, NUM_PROCESSES),
        resolved=True,
        process_ratios=(ratio,) * NUM_PROCESSES,
        session="",
        num_runs=500,
    )


def _enter(
    context: Context, purpose: Purpose, latencies: Mapping[Subject, LatencySummary]
) -> None:
    conditions = conditions_here(context.request.protocol)
    record = context.ledger.session(
        purpose=purpose,
        conditions=conditions,
        subjects=list(latencies),
        sentinel=next(iter(latencies)),
    )
    context.ledger.finish_session(
        record,
        environment=conditions.environment.finished(),
        noise=NOISE,
        time_budget_s=180.0,
        spent=True,
        latencies={each: replace(found, session=record.id) for each, found in latencies.items()},
        energies_j={},
    )


def timed(call: Callable[[], object]) -> float:
    """Seconds of a call, the least of three."""
    taken_s = []
    for _ in range(3):
        start_s = time.perf_counter()
        call()
        taken_s.append(time.perf_counter() - start_s)
    return min(taken_s)


def command_s(root: Path, cache: Path) -> float:
    """Seconds of the command in a fresh process, its compiled modules in a folder of their own."""
    options = [word for name, limit in LIMITS.items() for word in (f"--{name}", str(limit))]
    code = "import sys; from paretobert.cli.app import main; sys.exit(main())"
    start_s = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", code, "query", str(root), *options],
        check=True,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPYCACHEPREFIX": str(cache)},
    )
    return time.perf_counter() - start_s


def main() -> None:
    """Make the folder and print the times."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--networks", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="keep the run here, or use the one there")
    asked = parser.parse_args()
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as scratch:
        root = asked.folder or Path(scratch) / "run"
        if not root.exists():
            make(root, num_networks=asked.networks)
        ledger = Run.open(root).context.ledger
        print(f"{len(ledger.networks())} networks, {NUM_EXAMPLES} examples each")
        print(f"networks()     {timed(ledger.networks):.2f} s")
        split = partial(ledger.evaluations, split="search", deployment=EAGER_FP32)
        print(f"evaluations()  {timed(split):.2f} s")
        print(f"sessions()     {timed(partial(ledger.sessions, purpose='profile')):.2f} s")
        cache = Path(scratch) / "compiled"
        print(f"query, modules not compiled  {command_s(root, cache):.2f} s")
        warm_s = [command_s(root, cache) for _ in range(asked.repeats)]
        print(f"query, median of {len(warm_s)}  {statistics.median(warm_s):.2f} s")


if __name__ == "__main__":
    main()
