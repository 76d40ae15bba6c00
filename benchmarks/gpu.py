"""BERT-base's twelve width-depth pairs on a GPU, by the protocol of the DynaBERT paper.

The paper times 100 batches of 128 x 128 tokens on a K40 (Hou et al. 2020, section 3). Here every
network is timed on at least as many, in rounds, with random weights, eager and compiled, in fp32
and bf16. What is finished is kept in the tables' folder: a run that was cut off goes on.

    python benchmarks/gpu.py
"""

import argparse
import sys
import uuid
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from progress import say
from transformers import BertConfig, BertForSequenceClassification

from paretobert.deploy.artefact import write
from paretobert.encoders.extraction import extract
from paretobert.encoders.families import shape_of
from paretobert.networks.network import Cut, Network
from paretobert.networks.subnet import SubnetConfig, grid
from paretobert.profiling.profiler import Writer, measure_deployed
from paretobert.profiling.protocol import LatencyProtocol
from paretobert.profiling.table import CostTable, LatencySummary, Profile
from paretobert.storage import folder, write_json

DEPLOYMENTS = ("eager-fp32", "eager-bf16", "compile-fp32", "compile-bf16")
BATCHES = 100


def main() -> None:
    """Measure what is missing and write the result and its table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cuda", help="cuda, cuda:<index>, or cpu to try it")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--deployments", nargs="+", default=list(DEPLOYMENTS))
    parser.add_argument("--measure-s", type=float, default=240.0, help="seconds for each table")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/gpu"))
    arguments = parser.parse_args()
    torch.manual_seed(0)
    model = BertForSequenceClassification(BertConfig()).eval()
    configs = grid(shape_of(model.config))
    protocol = LatencyProtocol(
        device=arguments.device,
        batch_size=arguments.batch_size,
        visit_min_runs=10,
        rounds=BATCHES // (10 * LatencyProtocol().min_processes),
        time_budget_s=arguments.measure_s,
    )
    tables = []
    for deployment in arguments.deployments:
        runtime, _, precision = deployment.partition("-")
        print(deployment, file=sys.stderr)
        asked = replace(protocol, runtime=runtime, precision=precision)
        tables.append(measured(model, configs, asked))
    result = {
        "command": "python " + " ".join(sys.argv),
        "environment": tables[0].environment.to_dict(),
        "tables": [
            {
                "protocol": table.protocol.to_dict(),
                "noise": None if table.noise is None else table.noise.to_dict(),
                "profiles": [profile.to_dict() for profile in table],
            }
            for table in tables
        ],
    }
    with folder(arguments.out) as into:
        write_json(into / "result.json", result)
        (into / "results.md").write_text(_written(configs, tables))


def measured(
    model: BertForSequenceClassification,
    configs: Collection[SubnetConfig],
    protocol: LatencyProtocol,
) -> CostTable:
    """Measure sub-networks together, the full model first."""
    shape = shape_of(model.config)
    networks = [Network(config.key, Cut(shape, config)) for config in configs]

    def writer(config: SubnetConfig) -> Writer:
        return lambda folder: write(extract(model, config), protocol.deployment, folder)

    found = measure_deployed(
        {config.key: writer(config) for config in configs},
        protocol,
        sentinel=SubnetConfig.full(shape).key,
        session=uuid.uuid4().hex,
        front=[config.key for config in configs],
        progress=say,
    ).session
    profiles = tuple(
        replace(
            Profile.counted(network, seq_len=protocol.seq_len),
            latency=LatencySummary.from_measurement(found[network.label]),
        )
        for network in networks
    )
    return CostTable(protocol, found.environment, profiles, found.noise)


def _written(
    configs: dict[SubnetConfig, tuple[float, float, float]], tables: list[CostTable]
) -> str:
    environment, protocol = tables[0].environment, tables[0].protocol
    names = " | ".join(table.protocol.deployment.title for table in tables)
    lines = [
        f"BERT-base, random weights, batch {protocol.batch_size} x {protocol.seq_len} tokens on "
        f"{environment.title}; latency ratio to the full model of the column, 95 % intervals.",
        "",
        f"| width | depth | multiply-adds | {names} |",
        "|---" * (3 + len(tables)) + "|",
        "| | | full model, ms | " + " | ".join(_time(table) for table in tables) + " |",
    ]
    full_macs = tables[0].full.num_macs
    for config, (width, depth, _) in configs.items():
        ratios = " | ".join(_ratio(table, config) for table in tables)
        share = _of(tables[0], config).num_macs / full_macs
        lines.append(f"| {width:g} | {depth:g} | {share:.3f} | {ratios} |")
    return "\n".join(lines) + "\n"


def _time(table: CostTable) -> str:
    latency: Any = table.full.latency
    text: str = latency.time_ms.text(".2f")
    return text


def _of(table: CostTable, config: SubnetConfig) -> Any:
    return next(profile for profile in table if profile.network.config == config)


def _ratio(table: CostTable, config: SubnetConfig) -> str:
    latency: Any = _of(table, config).latency
    text: str = latency.ratio.text(".3f")
    return text


if __name__ == "__main__":
    main()
