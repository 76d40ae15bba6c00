"""Draw a finished benchmark's figures again from its committed tables, without its run.

    python benchmarks/redraw.py benchmarks/sst2

reads `results.csv` and `result.json` and writes `latency.png`, `params.png` and `flops.png`, with
scores on the report split as in the run's own report, `front.png`, the search scores, by which the
front was judged, against latency, and `speedups.png`, over widths and depths.
"""

import argparse
import csv
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from paretobert.baselines.published import DEV_EXAMPLES, published_candidates
from paretobert.deploy.deployment import EAGER_FP32
from paretobert.intervals import Interval
from paretobert.networks.network import Cut, Network, Stored
from paretobert.networks.shape import EncoderShape
from paretobert.networks.subnet import SubnetConfig, grid
from paretobert.profiling.environment import Environment
from paretobert.profiling.protocol import LatencyProtocol
from paretobert.profiling.table import CostTable, LatencySummary, Profile
from paretobert.reports.figures.front import front_figure
from paretobert.reports.figures.speedups import heat_map_figure
from paretobert.reports.shared import COSTS
from paretobert.search.candidate import Candidate
from paretobert.storage import read_json
from paretobert.tasks.scores import Evaluation

Row = Mapping[str, str]

CONDITIONS = ("device", "runtime", "precision", "batch_size", "seq_len", "threads")
"""What of a protocol a figure states, which every version of it has."""


def interval(row: Row, name: str, *, over: str, n: str, unit: str = "") -> Interval:
    """A value of the table with its ends."""
    num = int(row.get(n) or 1)
    value, low, high = (float(row[f"{name}{end}{unit}"]) for end in ("", "_low", "_high"))
    return Interval(value, low, high, num, over)  # type: ignore[arg-type]


def shape_of(full: SubnetConfig) -> EncoderShape:
    """A shape with the full model's layers, heads and neurons; no other size of it is used."""
    return EncoderShape(
        "bert", full.num_layers, full.heads[0], 8, 8, full.neurons[0], 8, 8, 8, 2, 2
    )


def candidate(row: Row, split: str, record: Mapping[str, Any]) -> Candidate:
    """A row of the table as a network with its score on a split."""
    task = record["task"]
    config = SubnetConfig.from_key(row["key"])
    shape = shape_of(SubnetConfig.from_key(record["full_key"]))
    recipe = Cut(shape, config) if row["origin"] == "supernet" else Stored("", {}, shape, config)
    latency = LatencySummary(
        ratio=interval(row, "latency_ratio", over="processes", n="latency_processes"),
        full_ms=Interval(*[record["full_ms"]] * 3, 1, "processes"),
        resolved=row["latency_resolved"] == "True",
        process_ratios=(),
        session="",
        num_runs=1,
    )
    macs = int(row["num_flops"]) // 2
    profile = Profile(Network(row["label"], recipe), int(row["num_params"]), macs, 128, latency)
    score = Evaluation(
        task=task["name"],
        split=split,
        metric=task["metric"],
        interval=interval(row, split, over="examples", n=f"{split}_n"),
        standard_error=0.0,
        labels=(0,) * int(row[f"{split}_n"]),
        predictions=(0,) * int(row[f"{split}_n"]),
        others={},
    )
    return Candidate(profile, EAGER_FP32, score)


def tables(folder: Path) -> tuple[dict[str, Any], list[Row]]:
    """A benchmark's record, with its full model's time and key, and the rows of its networks."""
    record = read_json(folder / "result.json")
    with (folder / "results.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["key"]]
    return record | {"full_ms": float(rows[0]["latency_ms"]), "full_key": rows[0]["key"]}, rows


def main() -> None:
    """Read and draw."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    record, rows = tables(folder)
    own, shown = (
        [candidate(row, split, record) for row in rows] for split in ("search", "report")
    )
    numbers = {entry.network.id: int(row["number"]) for entry, row in zip(own, rows, strict=True)}
    task = record["task"]
    asked = record["request"]["protocol"]
    protocol = LatencyProtocol(**{entry: asked[entry] for entry in CONDITIONS})
    conditions = f"{protocol.title}\n{record['environment']['processor']}"
    name = task["name"]
    beside = (
        tuple(published_candidates(name, task["metric"], seq_len=128))
        if task["sizes"]["report"] == DEV_EXAMPLES.get(name)
        else ()
    )
    for cost in COSTS:
        figure = front_figure(
            [*shown, *beside],
            cost,
            judged=own,
            numbers=numbers,
            conditions=conditions if cost == "latency_ms" else "",
        )
        assert figure is not None
        figure.save(folder / f"{figure.name}.png")
    training, full = record["request"]["training"], own[0].network.shape
    environment = Environment.from_dict(record["environment"])
    costs = CostTable(protocol, environment, tuple(entry.profile for entry in own))
    configs = grid(full, widths=training["widths"], depths=training["depths"])
    speedups = heat_map_figure(costs, configs, num_layers=full.num_layers)
    speedups.save(folder / "speedups.png")
    judged = front_figure(own, "latency_ms", judged=own, numbers=numbers, conditions=conditions)
    assert judged is not None
    replace(judged, title=f"{name}: {judged.title.lower()}").save(folder / "front.png")


if __name__ == "__main__":
    main()
