"""Measure on this machine what papers published about cost, on models with random weights.

(a) BERT-base, DynaBERT's twelve width-depth pairs: latency ratios here beside the paper's on a
    K40 and a Kirin 810, and beside the ratios of multiply-adds. The paper's figures are read off
    its efficiency figure (Hou et al. 2020; +-1 s and +-3 ms), `published_costs_data.csv`.
(b) Bort (de Wynter & Perry 2020) in both published shapes against BERT-base and BERT-large:
    claimed are 7.9 and 20 times the speed on a CPU.
(c) What our classes cost: an extracted network and the narrow class at full width against the
    stock class, and extracted networks, narrow ones too, against a module in plain torch that
    shares no code with either and gives the same logits (`plain_module.py`).

The networks are in `cost_subjects.py`, by name.

    python benchmarks/published_costs.py
"""

import argparse
import csv
import sys
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cost_subjects import (
    BASE,
    BORT,
    FULL,
    HALF_DEPTH,
    LARGE,
    NARROW_CLASS,
    OVERHEAD_PAIRS,
    SHAPE,
    extracted_name,
    plain_name,
)
from matplotlib.figure import Figure as Canvas
from progress import say
from transformers import BertConfig

from paretobert.encoders.families import shape_of
from paretobert.intervals import Interval, interval_name
from paretobert.networks.subnet import SubnetConfig, grid
from paretobert.profiling.counts import count_macs
from paretobert.profiling.fresh import FreshProcesses, Made, Subject
from paretobert.profiling.measuring import measure
from paretobert.profiling.protocol import LatencyProtocol
from paretobert.profiling.statistics import Session
from paretobert.reports.figures.drawing import canvas, legend, plain, save
from paretobert.reports.palette import DOMINATED, FRONT, MARKS
from paretobert.storage import folder, read_json, write_json

SUBJECTS = Path(__file__).with_name("cost_subjects.py")
PUBLISHED = Path(__file__).with_name("published_costs_data.csv")
CLAIMS = {FULL: (BASE, 7.9), "BERT-large": (LARGE, 20.0)}


def measured(names: Sequence[str], protocol: LatencyProtocol) -> Session:
    """Measure networks by their names, BERT-base the first of them, and say how far it is."""
    subjects: dict[str, Subject] = {name: Made(SUBJECTS, "bind", {"name": name}) for name in names}
    fresh = FreshProcesses(subjects, protocol, sentinel=names[0])
    return measure(
        fresh,
        protocol,
        networks=names,
        sentinel=names[0],
        name=uuid.uuid4().hex,
        progress=say,
    )


def macs(config: BertConfig, *, seq_len: int) -> int:
    """Multiply-adds of a stock model."""
    shape = shape_of(config)
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
    configs = grid(SHAPE)
    session = measured([extracted_name(*pair[:2]) for pair in configs.values()], protocol)
    theirs = published()
    whole = theirs[1.0, 1.0]
    full_macs = macs(BASE, seq_len=protocol.seq_len)
    rows = []
    for config, (width, depth, _) in configs.items():
        ratios = {name: time / whole[name] for name, time in theirs[width, depth].items()}
        found = session[extracted_name(width, depth)]
        rows.append(
            {
                "width": width,
                "depth": depth,
                "layers": config.num_layers,
                "latency_ms": found.time_s.value * 1e3,
                "ratio": found.ratio.to_dict(),
                "process_ratios": list(found.process_ratios),
                "k40_ratio": ratios.get("k40_s"),
                "kirin810_ratio": ratios.get("kirin810_ms"),
                "mac_ratio": count_macs(SHAPE, config, seq_len=protocol.seq_len) / full_macs,
            }
        )
    return _record(session) | {"rows": rows}


def bort(protocol: LatencyProtocol) -> dict[str, Any]:
    """Part (b)."""
    names = (*CLAIMS, *BORT)
    session = measured(names, protocol)
    rows = []
    for name, config in BORT.items():
        for against, (stock, claim) in CLAIMS.items():
            ours, theirs = (macs(each, seq_len=protocol.seq_len) for each in (config, stock))
            rows.append(
                {
                    "model": name,
                    "against": against,
                    "claimed_speedup": claim,
                    **_compared(session, against, name),
                    "mac_speedup": theirs / ours,
                }
            )
    times_ms = {name: session[name].time_s.value * 1e3 for name in names}
    return _record(session) | {"latency_ms": times_ms, "rows": rows}


def overhead(protocol: LatencyProtocol) -> dict[str, Any]:
    """Part (c)."""
    pairs = [
        (extracted_name(1.0, 0.5), HALF_DEPTH),
        (NARROW_CLASS, FULL),
        *((extracted_name(*pair), plain_name(*pair)) for pair in OVERHEAD_PAIRS),
    ]
    session = measured([FULL, *dict.fromkeys(n for p in pairs for n in p if n != FULL)], protocol)
    rows = []
    for ours, other in pairs:
        rows.append(
            {
                "network": ours,
                "against": other,
                **_compared(session, ours, other),
            }
        )
    return _record(session) | {"rows": rows}


def figure(result: dict[str, Any]) -> Canvas:
    """Ratios measured here beside published ones and those of multiply-adds."""
    rows = result["width_depth_pairs"]["rows"]
    protocol = LatencyProtocol.from_dict(result["protocol"])
    drawing = canvas()
    axes = plain(drawing.add_subplot(), title="BERT-base, twelve width-depth pairs")
    series = (
        ("mac_ratio", "multiply-adds", "o", DOMINATED),
        ("k40_ratio", "K40, published", "s", MARKS[2].colour),
        ("kirin810_ratio", "Kirin 810, published", "^", FRONT),
    )
    axes.plot([0, 1], [0, 1], color=DOMINATED, linewidth=1, label="equal ratios")
    for name, label, marker, colour in series:
        known = [row for row in rows if row[name] is not None]
        axes.plot(
            [row[name] for row in known],
            [row["ratio"]["value"] for row in known],
            linestyle="none",
            marker=marker,
            markerfacecolor="none",
            markeredgecolor=colour,
            label=label,
        )
    axes.set_xlabel("ratio to the full model: published, or of multiply-adds")
    axes.set_ylabel(f"latency ratio measured here\n{protocol.title}")
    legend(drawing, axes)
    return drawing


def main() -> None:
    """Measure all three parts and write result, tables and figure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--measure-s", type=float, default=420.0, help="seconds for each part")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/published_costs"))
    parser.add_argument(
        "--render", action="store_true", help="write figure and tables of an earlier result anew"
    )
    arguments = parser.parse_args()
    if arguments.render:
        _render(read_json(arguments.out / "result.json"), arguments.out)
        return
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
        _render(result, into)


def _render(result: dict[str, Any], into: Path) -> None:
    """Write the figure and the tables of a result."""
    save(lambda: figure(result), into / "width_depth_pairs.png")
    _write_table(result, into / "results.md")


def _compared(session: Session, ours: str, theirs: str) -> dict[str, Any]:
    """The time of one network relative to another's."""
    ratio = session[ours].ratio_to(session[theirs])
    return {
        "ratio": ratio.to_dict(),
        "tie": ratio.holds(1),
        "process_ratios": [entry.ratio(ours, theirs) for entry in session.processes],
    }


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
            f"{_interval(row['ratio'], digits=2)} | {row['mac_speedup']:.2f} |"
            for row in result["bort"]["rows"]
        ),
    ]
    costs = [
        "| network | against | ratio |",
        "|---|---|---|",
        *(
            f"| {row['network']} | {row['against']} | {_interval(row['ratio'])}"
            f"{' (a tie)' if row['tie'] else ''} |"
            for row in result["overhead"]["rows"]
        ),
    ]
    protocol = LatencyProtocol.from_dict(result["protocol"])
    parts = (
        f"Measured at {protocol.title}.",
        "## BERT-base: latency relative to the full model",
        _session(result["width_depth_pairs"]),
        "\n".join(pairs),
        "## Bort: how many times faster",
        _session(result["bort"]),
        "\n".join(borts),
        "## What extraction costs",
        _session(result["overhead"]),
        "\n".join(costs),
    )
    path.write_text("\n\n".join(parts) + "\n")


def _session(part: dict[str, Any]) -> str:
    """What a part's intervals rest on, and whether they became narrow enough."""
    noise = part["noise"]
    meaning = interval_name(noise["num_processes"])
    resolved = "" if part["resolved"] else "; **not resolved in the time given**"
    return (
        f"In brackets: {meaning}{resolved}. Other programs used {noise['foreign_share']:.1%} of "
        "the processors."
    )


def _interval(record: dict[str, float], *, digits: int = 3) -> str:
    return Interval.from_dict(record).text(f".{digits}f")


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    main()
