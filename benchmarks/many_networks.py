"""A run folder whose ledger holds thousands of networks, made without training anything.

Each network is a random sub-network of BERT-base with one latency and, on each split that is asked
for, one score of 2,000 examples. The second timing of a query's answer is in the ledger too, as it
is when a query is asked again.
"""

import json
import random
import uuid
from collections.abc import Sequence
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
from paretobert.profiling.protocol import LatencyProtocol
from paretobert.profiling.statistics import NoiseReport
from paretobert.profiling.table import LatencySummary
from paretobert.search.budget_words import BudgetWord
from paretobert.search.options import SearchOptions
from paretobert.search.pool import outcomes
from paretobert.search.query import answer_query
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


def rows(
    number: int, *, protocol: LatencyProtocol, splits: Sequence[str]
) -> dict[str, list[dict[str, Any]]]:
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
        for split in splits:
            guesses = tuple(y if draw.random() < right else 1 - y for y in labels)
            evaluation = score(labels, guesses, split)
            record = evaluation.to_dict()
            del record["labels"], record["predictions"]
            typecode, data = packed(evaluation.predictions)
            found["observations"].append(
                {
                    "quantity": "score",
                    "place": split,
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


def make_run(folder: Path, number: int, *, splits: Sequence[str] = ("search",)) -> None:
    """Make a run folder with so many networks, scored on these splits."""
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
    task = {"name": "x", "sizes": sizes, "metric": "accuracy", "source": "random outcomes"}
    claim(place, request.to_dict(), task=task)
    run = read_manifest(place)["run"]
    store = Store.open(place.ledger, run=run)
    with store.writing() as execute:
        for table, values in rows(number, protocol=protocol, splits=splits).items():
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
