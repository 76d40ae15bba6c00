"""Measure on this machine what papers published about cost, on models with random weights.

(a) BERT-base, DynaBERT's twelve width-depth pairs: latency ratios here beside the paper's on a
    K40 and a Kirin 810, and beside the ratios of multiply-adds. The paper's figures are read off
    its efficiency figure (Hou et al. 2020; +-1 s and +-3 ms), `published_costs_data.csv`.
(b) Bort (de Wynter & Perry 2020) in both published shapes against BERT-base and BERT-large:
    claimed are 7.9 and 20 times the speed on a CPU.
(c) What extraction costs: an extracted network against a stock model of the same shape, and the
    narrow class at full width against the stock class. Both ratios are to be 1.

    python benchmarks/published_costs.py
"""

import argparse
import csv
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib
import torch
from transformers import BertConfig, BertForSequenceClassification, PreTrainedModel

from paretobert.dynabert.extraction import extract
from paretobert.dynabert.modeling_subnet import (
    SubnetBertConfig,
    SubnetBertForSequenceClassification,
)
from paretobert.dynabert.shape import EncoderShape
from paretobert.dynabert.subnet import SubnetConfig, grid
from paretobert.profiling.counts import count_macs
from paretobert.profiling.inputs import random_batches
from paretobert.profiling.latency import Progress, measure
from paretobert.profiling.protocol import LatencyProtocol
from paretobert.profiling.statistics import Estimate, Session
from paretobert.storage import folder, write_json

matplotlib.use("Agg")

PUBLISHED = Path(__file__).with_name("published_costs_data.csv")
BASE = BertConfig()
LARGE = BertConfig(
    hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096
)
BORT = {
    "Bort, released (H 1024, I 768)": BertConfig(
        vocab_size=50265,
        hidden_size=1024,
        num_hidden_layers=4,
        num_attention_heads=8,
        intermediate_size=768,
    ),
    "Bort, as first printed (H 768, I 1024)": BertConfig(
        vocab_size=50265,
        hidden_size=768,
        num_hidden_layers=4,
        num_attention_heads=8,
        intermediate_size=1024,
    ),
}
CLAIMS = {"BERT-base": 7.9, "BERT-large": 20.0}

Run = Callable[[], object]


def bert(config: BertConfig) -> PreTrainedModel:
    """A BERT with random weights, in evaluation mode."""
    torch.manual_seed(0)
    return BertForSequenceClassification(config).eval()


def bound(model: PreTrainedModel, protocol: LatencyProtocol) -> Run:
    """A call that runs a model on the protocol's batch."""
    config = model.config
    (batch,) = random_batches(
        protocol, vocab_size=config.vocab_size, padding_id=config.pad_token_id
    )
    return partial(model, **{name: torch.from_numpy(entry) for name, entry in batch.items()})


def measured(
    models: Mapping[str, PreTrainedModel], protocol: LatencyProtocol, *, sentinel: str
) -> Session:
    """Measure models against one of them, and say how far it is."""
    runs = {name: bound(model, protocol) for name, model in models.items()}
    return measure(runs, protocol, sentinel=sentinel, front=tuple(runs), progress=_say)


def macs(model: PreTrainedModel, *, seq_len: int) -> int:
    """Multiply-adds of a stock model."""
    shape = EncoderShape.from_config(model.config)
    return count_macs(shape, SubnetConfig.full(shape), seq_len=seq_len)


def published() -> dict[tuple[float, float], dict[str, float]]:
    """The paper's times by width and depth, where they can be read off."""
    with PUBLISHED.open(newline="") as file:
        return {
            (float(row["width"]), float(row["depth"])): {
                name: float(row[name]) for name in ("k40_s", "kirin810_ms") if row[name]
            }
            for row in csv.DictReader(file)
        }


def width_depth_pairs(protocol: LatencyProtocol) -> dict[str, Any]:
    """Part (a)."""
    model = bert(BASE)
    shape = EncoderShape.from_config(model.config)
    full = SubnetConfig.full(shape)
    configs = grid(shape)
    session = measured(
        {config.key: extract(model, config) for config in configs}, protocol, sentinel=full.key
    )
    theirs = published()
    whole = theirs[1.0, 1.0]
    rows = []
    for config, pair in configs.items():
        ratios = {name: time / whole[name] for name, time in theirs[pair[:2]].items()}
        full_macs = count_macs(shape, full, seq_len=protocol.seq_len)
        rows.append(
            {
                "width": pair[0],
                "depth": pair[1],
                "latency_ms": session[config.key].time_s.value * 1e3,
                "ratio": asdict(session[config.key].ratio),
                "k40_ratio": ratios.get("k40_s"),
                "kirin810_ratio": ratios.get("kirin810_ms"),
                "mac_ratio": count_macs(shape, config, seq_len=protocol.seq_len) / full_macs,
            }
        )
    return _record(session) | {"rows": rows}


def bort(protocol: LatencyProtocol) -> dict[str, Any]:
    """Part (b)."""
    models = {"BERT-base": bert(BASE), "BERT-large": bert(LARGE)}
    models |= {name: bert(config) for name, config in BORT.items()}
    session = measured(models, protocol, sentinel="BERT-base")
    rows = []
    for name in BORT:
        for against, claim in CLAIMS.items():
            speedup = session[against].ratio_to(session[name])
            ours, theirs = (macs(models[m], seq_len=protocol.seq_len) for m in (name, against))
            rows.append(
                {
                    "model": name,
                    "against": against,
                    "claimed_speedup": claim,
                    "speedup": asdict(speedup),
                    "mac_speedup": theirs / ours,
                }
            )
    times_ms = {name: session[name].time_s.value * 1e3 for name in models}
    return _record(session) | {"latency_ms": times_ms, "rows": rows}


def overhead(protocol: LatencyProtocol) -> dict[str, Any]:
    """Part (c)."""
    model = bert(BASE)
    shape = EncoderShape.from_config(model.config)
    half = SubnetConfig.from_multipliers(shape, 1.0, 0.5)
    settings = {name: value for name, value in BASE.to_dict().items() if name != "model_type"}
    narrow = SubnetBertConfig(**settings)
    models = {
        "stock, 6 layers": bert(BertConfig(num_hidden_layers=6)),
        "extracted, 6 of 12 layers": extract(model, half),
        "stock, 12 layers": model,
        "narrow class at full width, 12 layers": SubnetBertForSequenceClassification(
            narrow
        ).eval(),
    }
    session = measured(models, protocol, sentinel="stock, 12 layers")
    pairs = (
        ("extracted, 6 of 12 layers", "stock, 6 layers"),
        ("narrow class at full width, 12 layers", "stock, 12 layers"),
    )
    rows = []
    for ours, stock in pairs:
        ratio = session[ours].ratio_to(session[stock])
        rows.append(
            {
                "network": ours,
                "stock": stock,
                "ratio": asdict(ratio),
                "tie": not ratio.excludes_one,
            }
        )
    return _record(session) | {"rows": rows}


def figure(rows: list[dict[str, Any]], protocol: LatencyProtocol, path: Path) -> None:
    """Ratios measured here beside published ones and those of multiply-adds."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 5), layout="constrained")
    series = (
        ("mac_ratio", "multiply-adds", "o", "#767676"),
        ("k40_ratio", "K40, published", "s", "#E69F00"),
        ("kirin810_ratio", "Kirin 810, published", "^", "#0072B2"),
    )
    for name, label, marker, colour in series:
        known = [row for row in rows if row[name] is not None]
        axes.scatter(
            [row[name] for row in known],
            [row["ratio"]["value"] for row in known],
            marker=marker,
            facecolors="none",
            edgecolors=colour,
            label=label,
        )
    axes.plot([0, 1], [0, 1], color="#BBBBBB", linewidth=1, zorder=0)
    axes.set_xlabel("ratio to the full model: published, or of multiply-adds")
    axes.set_ylabel(f"latency ratio measured here\n({protocol.title})")
    axes.set_title("BERT-base, twelve width-depth pairs")
    axes.legend(loc="upper left", frameon=False)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def main() -> None:
    """Measure all three parts and write result, tables and figure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--measure-s", type=float, default=240.0, help="seconds for each part")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/published_costs"))
    arguments = parser.parse_args()
    protocol = replace(LatencyProtocol(), time_budget_s=arguments.measure_s)
    result = {
        "command": "python " + " ".join(sys.argv),
        "protocol": protocol.to_dict(),
        "width_depth_pairs": width_depth_pairs(protocol),
        "bort": bort(protocol),
        "overhead": overhead(protocol),
    }
    with folder(arguments.out) as into:
        write_json(into / "result.json", result)
        figure(result["width_depth_pairs"]["rows"], protocol, into / "width_depth_pairs.png")
        _write_table(result, into / "results.md")


def _record(session: Session) -> dict[str, Any]:
    return {
        "environment": session.environment.to_dict(),
        "noise": session.noise.to_dict(),
        "resolved": session.resolved,
    }


def _write_table(result: dict[str, Any], path: Path) -> None:
    pairs = [
        "| width | depth | here | K40 | Kirin 810 | multiply-adds |",
        "|---|---|---|---|---|---|",
        *(
            f"| {row['width']:g} | {row['depth']:g} | {_interval(row['ratio'])} | "
            f"{_ratio(row['k40_ratio'])} | {_ratio(row['kirin810_ratio'])} | "
            f"{_ratio(row['mac_ratio'])} |"
            for row in result["width_depth_pairs"]["rows"]
        ),
    ]
    borts = [
        "| model | against | claimed | here | multiply-adds |",
        "|---|---|---|---|---|",
        *(
            f"| {row['model']} | {row['against']} | {row['claimed_speedup']:g} | "
            f"{_interval(row['speedup'], digits=2)} | {row['mac_speedup']:.2f} |"
            for row in result["bort"]["rows"]
        ),
    ]
    costs = [
        "| network | against | ratio |",
        "|---|---|---|",
        *(
            f"| {row['network']} | {row['stock']} | {_interval(row['ratio'])}"
            f"{' (a tie)' if row['tie'] else ''} |"
            for row in result["overhead"]["rows"]
        ),
    ]
    protocol = LatencyProtocol.from_dict(result["protocol"])
    parts = (
        f"Measured at {protocol.title}; 95 % intervals over rounds.",
        "## BERT-base: latency relative to the full model",
        "\n".join(pairs),
        "## Bort: how many times faster",
        "\n".join(borts),
        "## What extraction costs",
        "\n".join(costs),
    )
    path.write_text("\n\n".join(parts) + "\n")


def _interval(estimate: dict[str, float], *, digits: int = 3) -> str:
    found = Estimate(**estimate)
    return f"{found.value:.{digits}f} [{found.low:.{digits}f}, {found.high:.{digits}f}]"


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _say(progress: Progress) -> None:
    if progress.num_visits == progress.visits_per_round:
        print(f"round {progress.num_rounds + 1}, {progress.elapsed_s:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
