"""How long a query takes, from a cold start, over many networks.

    python benchmarks/query_speed.py --networks 1000 10000

A run folder is made whose ledger holds so many networks, each with one score of 2,000 examples and
one latency; then `paretobert query` answers from it in fresh processes, without torch. The second
timing of the answer is in the ledger too, as it is when a query is asked again. A first query,
which is not counted, leaves the package's bytecode, as pip does. Seconds are those of the clock,
and, for a machine that others use too, those of the processor.
"""

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

from paretobert.deploy.deployment import EAGER_FP32
from paretobert.dynabert.options import TrainingOptions
from paretobert.intervals import Interval
from paretobert.networks.network import Cut, Network
from paretobert.networks.shape import EncoderShape
from paretobert.networks.subnet import SubnetConfig
from paretobert.pipeline.context import Context
from paretobert.pipeline.costs import Where, candidates, chosen
from paretobert.pipeline.folder import RunFolder, claim, read_manifest
from paretobert.pipeline.observations import Subject, as_json
from paretobert.pipeline.packing import packed
from paretobert.pipeline.request import RunRequest
from paretobert.pipeline.sessions import conditions_here
from paretobert.pipeline.steps.query import budget_of
from paretobert.pipeline.store import Store
from paretobert.profiling.environment import Environment
from paretobert.profiling.protocol import LatencyProtocol
from paretobert.profiling.statistics import NoiseReport
from paretobert.profiling.table import LatencySummary
from paretobert.search.budget_words import BudgetWord
from paretobert.search.options import SearchOptions
from paretobert.search.pool import outcomes
from paretobert.search.query import answer_query
from paretobert.storage import write_json
from paretobert.tasks.loading import TaskRequest
from paretobert.tasks.scores import score_predictions

SHAPE = EncoderShape("bert", 12, 12, 64, 768, 3072, 768, 30522, 512, 2, 2)
NUM_EXAMPLES = 2000
KEYS = {
    "networks": ("id",),
    "labels": ("digest",),
    "sessions": ("id",),
    "observations": ("quantity", "deployment", "place", "network"),
}
LIMITS = ("--latency", "60ms", "--params", "90M")


def networks(number: int) -> list[Network]:
    """The full model and random sub-networks of BERT-base."""
    draw = random.Random(0)
    found = {SubnetConfig.full(SHAPE): None}
    while len(found) < number:
        depth = draw.randint(4, 12)
        layers = tuple(sorted(draw.sample(range(12), depth)))
        heads = tuple(draw.randint(1, 12) for _ in layers)
        neurons = tuple(16 * draw.randint(12, 192) for _ in layers)
        found[SubnetConfig(layers, heads, neurons)] = None
    return [Network(config.key, Cut(SHAPE, config)) for config in found]


def rows(number: int, *, protocol: LatencyProtocol) -> dict[str, list[dict[str, Any]]]:
    """The rows of a ledger, by table."""
    draw, conditions = random.Random(1), conditions_here(protocol)
    pool = networks(number)
    labels = tuple(draw.randint(0, 1) for _ in range(NUM_EXAMPLES))
    typecode, data = packed(score(labels, labels, "search").labels)
    full = f"{pool[0].id}/eager-fp32"
    profile = uuid.uuid4().hex
    noise = NoiseReport(5, 15, 45, 0, 0, 0, 0, 0.01)
    found: dict[str, list[dict[str, Any]]] = {
        "networks": [
            {"id": n.id, "added": float(i), "kind": n.kind, "record": as_json(n.to_dict())}
            for i, n in enumerate(pool)
        ],
        "labels": [{"digest": "d", "typecode": typecode, "labels": data}],
        "sessions": [
            {
                "id": profile,
                "purpose": "profile",
                "conditions": conditions.id,
                "subjects": json.dumps([f"{n.id}/eager-fp32" for n in pool]),
                "sentinel": full,
                "protocol": json.dumps(protocol.to_dict()),
                "environment": json.dumps(conditions.environment.to_dict()),
                "created": 0.0,
                "finished": True,
                "noise": json.dumps(noise.to_dict()),
                "time_budget_s": protocol.time_budget_s,
                "spent": True,
            }
        ],
        "observations": [],
    }
    for network in pool:
        share = sum(network.config.heads) / 144 if network.config else 1
        right = 0.7 + 0.2 * share + draw.gauss(0, 0.01)
        guesses = tuple(y if draw.random() < right else 1 - y for y in labels)
        evaluation = score(labels, guesses, "search")
        record = evaluation.to_dict()
        del record["labels"], record["predictions"]
        typecode, data = packed(evaluation.predictions)
        found["observations"].append(
            {
                "quantity": "score",
                "place": "search",
                "network": network.id,
                "value": evaluation.value,
                "low": evaluation.interval.low,
                "high": evaluation.interval.high,
                "record": json.dumps(record),
                "labels": "d",
                "typecode": typecode,
                "outcomes": data,
            }
        )
        found["observations"].append(
            {
                "quantity": "latency_ms",
                "place": profile,
                "network": network.id,
                "value": 100 * share,
                "low": 99 * share,
                "high": 101 * share,
                "record": json.dumps(latency(share, profile).to_dict()),
                "labels": None,
                "typecode": None,
                "outcomes": None,
            }
        )
    for each in found["observations"]:
        each |= {"deployment": EAGER_FP32.slug, "observed": 0.0}
    return found


def score(labels: Any, guesses: Any, split: str) -> Any:
    """An evaluation of accuracy."""
    return score_predictions(
        task="x", split=split, metrics=("accuracy",), labels=labels, predictions=guesses
    )


def latency(ratio: float, session: str) -> LatencySummary:
    """A latency of five processes."""
    return LatencySummary(
        ratio=Interval(ratio, ratio * 0.99, ratio * 1.01, 5, "processes"),
        full_ms=Interval(100.0, 99.0, 101.0, 5, "processes"),
        resolved=True,
        process_ratios=(ratio,) * 5,
        session=session,
        num_runs=75,
    )


def made(folder: Path, number: int) -> None:
    """Make a run folder with so many networks."""
    protocol = LatencyProtocol()
    request = RunRequest(
        model="bert-base-uncased",
        fingerprint="0",
        task=TaskRequest("SST-2"),
        training=TrainingOptions(widths=(1.0,), depths=(1.0,)),
        protocol=protocol,
        search=SearchOptions(),
    )
    place = RunFolder(folder)
    sizes = {"train": 1, "search": NUM_EXAMPLES, "report": NUM_EXAMPLES}
    claim(place, request.to_dict(), task={"name": "x", "sizes": sizes, "metric": "accuracy"})
    run = read_manifest(place)["run"]
    store = Store.open(place.ledger, run=run)
    with store.writing() as execute:
        for table, values in rows(number, protocol=protocol).items():
            for row in values:
                store.upsert(execute, table, row, keys=KEYS[table])
    deliver(Context(place, request), protocol)
    store.close()


def deliver(context: Context, protocol: LatencyProtocol) -> None:
    """Enter the second timing of what the query will name, and its score on the report split."""
    pool = candidates(context, chosen(context, Where()))
    words: tuple[tuple[BudgetWord, str], ...] = (("latency", LIMITS[1]), ("params", LIMITS[3]))
    named = answer_query(pool, budget_of(context, dict(words))).named
    record = context.ledger.session(
        purpose="delivery",
        conditions=conditions_here(protocol),
        subjects=[Subject(entry.network.id, EAGER_FP32) for entry in named],
        sentinel=Subject(context.full.id, EAGER_FP32),
    )
    context.ledger.finish_session(
        record,
        environment=record.conditions.environment,
        noise=NoiseReport(5, 15, 45, 0, 0, 0, 0, 0.01),
        time_budget_s=protocol.time_budget_s,
        spent=True,
        latencies={
            Subject(entry.network.id, EAGER_FP32): latency(entry.latency.ratio.value, record.id)
            for entry in named
            if entry.latency is not None
        },
        energies_j={},
    )
    for entry in named:
        reported = replace(outcomes(entry), split="report")
        context.ledger.add_evaluation(entry.network.id, reported, deployment=EAGER_FP32)


def asked(folder: Path) -> dict[str, Any]:
    """The answer of a fresh process."""
    compiled = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        ["paretobert", "query", str(folder), *LIMITS, "--json"],
        capture_output=True,
        text=True,
        env=compiled,
    )
    if done.returncode:
        sys.exit(done.stderr or done.stdout)
    answer: dict[str, Any] = json.loads(done.stdout)["answer"]
    return answer


def children_s() -> float:
    """The processor time of ended child processes, which other programs do not lengthen much."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Make, ask and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", type=int, nargs="+", default=[1000, 10000])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/query_speed.json"))
    arguments = parser.parse_args()
    found = []
    for number in arguments.networks:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "run"
            made(folder, number)
            times_s, processor_s = [], []
            asked(folder)
            for _ in range(arguments.repeats):
                start_s, before_s = time.perf_counter(), children_s()
                answer = asked(folder)
                times_s.append(round(time.perf_counter() - start_s, 3))
                processor_s.append(round(children_s() - before_s, 3))
            found.append(
                {
                    "networks": number,
                    "examples": NUM_EXAMPLES,
                    "seconds": times_s,
                    "median_s": statistics.median(times_s),
                    "processor_s": processor_s,
                    "median_processor_s": statistics.median(processor_s),
                    "answer": answer["name"],
                    "num_tried": answer["corrected"]["num_tried"],
                }
            )
            print(found[-1], file=sys.stderr)
    write_json(
        arguments.out,
        {
            "command": "python " + " ".join(sys.argv),
            "limits": list(LIMITS),
            "environment": Environment.capture().to_dict(),
            "queries": found,
        },
    )


if __name__ == "__main__":
    main()
