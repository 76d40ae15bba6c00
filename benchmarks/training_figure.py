"""Draw and tabulate what `training.py` measured.

    python benchmarks/training_figure.py benchmarks/training/rte

writes `retention.png` and `results.md` beside `result.json`: the share of the full model's score
that each network keeps against its measured speed-up, on eager fp32 and in int8, both against the
full model in eager fp32. Points to beat stand beside them: CoFi (Xia, Zhong & Chen 2022) on
BERT-base. What answers one is chosen on the search split, the best network at least so fast.
"""

import argparse
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from paretobert.intervals import interval_name
from paretobert.reports.palette import FRONT, FULL, GRID, INK, MARKS
from paretobert.reports.static import STYLE
from paretobert.storage import read_json, write_text

AIMS = {
    "SST-2": ((4.7, 0.995), (7.0, 0.983), (12.2, 0.971)),
    "QNLI": ((3.7, 0.984), (6.6, 0.968), (12.1, 0.938)),
}
"""Speed-up and retention of CoFi on BERT-base, by task."""

PANELS = {"eager": "eager fp32", "int8": "int8"}

TICKS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50)


def kept(row: dict[str, Any], panel: str) -> dict[str, Any]:
    """Retention with its interval: of the first seed, or as deployed in int8."""
    found: dict[str, Any] = row["int8"]["kept"] if panel == "int8" else row["seeds"][0]
    return found


def answer(record: dict[str, Any], panel: str, speedup: float) -> dict[str, Any] | None:
    """The network with the best search score among those at least so fast."""
    fast = [row for row in record["networks"] if panel in row and row[panel]["speedup"] >= speedup]
    return max(fast, key=lambda row: row["seeds"][0]["search"], default=None)


def draw(record: dict[str, Any]) -> Figure:
    """The two panels."""
    figure = Figure(figsize=(10, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 2, sharey=True)
    for panel, place in zip(PANELS, axes, strict=True):
        _panel(place, record, panel)
    axes[0].set_ylabel(f"share of the full model's {record['task']['metric']}, report split")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    return figure


def _panel(axes: Axes, record: dict[str, Any], panel: str) -> None:
    axes.set_title(PANELS[panel], fontsize=10)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    others = sorted({row["series"] for row in record["networks"]} - {"own"})
    looks = {"own": (FRONT, "o")} | {
        name: (mark.colour, mark.matplotlib) for name, mark in zip(others, MARKS * 2, strict=False)
    }
    for number, (series, (colour, marker)) in enumerate(looks.items()):
        rows = [
            row
            for row in record["networks"]
            if row["series"] == series and panel in row and not (row["full"] and panel == "eager")
        ]
        if not rows:
            continue
        found = [kept(row, panel) for row in rows]
        ys = [entry["retention"] for entry in found]
        axes.errorbar(
            [row[panel]["speedup"] for row in rows],
            ys,
            yerr=(
                [y - entry["low"] for y, entry in zip(ys, found, strict=True)],
                [entry["high"] - y for y, entry in zip(ys, found, strict=True)],
            ),
            linestyle="none",
            marker=marker,
            color=colour,
            markerfacecolor=colour if number < len(MARKS) else "white",
            elinewidth=0.7,
            markersize=6,
            label="sub-networks of the supernet" if series == "own" else series,
        )
    if panel == "eager":
        axes.plot([1], [1], marker="*", color=FULL, markersize=12, linestyle="none", label="full")
    aims = AIMS.get(record["task"]["name"], ())
    if aims:
        axes.plot(
            [speedup for speedup, _ in aims],
            [share for _, share in aims],
            linestyle="none",
            marker="x",
            color=INK,
            label="CoFi, BERT-base (published)",
        )
    axes.set_xscale("log")
    axes.set_xlabel(f"times as fast as the full model in eager fp32\n{record['protocol']}")
    axes.set_xticks(TICKS)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    fastest = max(row[panel]["speedup"] for row in record["networks"] if panel in row)
    axes.set_xlim(0.9, 1.2 * max(fastest, *(speedup for speedup, _ in aims), 2))


def table(record: dict[str, Any]) -> str:
    """The record as Markdown."""
    metric, sizes = record["task"]["metric"], record["task"]["sizes"]
    several = len(record["stages"]) > 1
    lines = [
        f"# {record['task']['name']}",
        "",
        *(f"**{warning}**\n" for warning in record["warnings"]),
        f"{sizes['train']:,} training, {sizes['search']:,} search and {sizes['report']:,} report "
        f"examples; {metric}. Speed-ups are against the full model in eager fp32 "
        f"({record['protocol']}), one session, "
        f"{interval_name(record['noise']['num_processes'])}. Retention is "
        "the share of the full model's report score, with the interval of the difference in "
        "pairs"
        + (
            f"; the mean and standard deviation are over {len(record['stages'])} seeds."
            if several
            else "."
        ),
        "",
        "| series | network | operations / | report | retention | "
        + ("mean, sd | " if several else "")
        + "eager fp32 | int8 | retention, int8 |",
        "|---" * (9 if several else 8) + "|",
    ]
    for row in record["networks"]:
        if "eager" not in row:
            continue
        seed, int8 = row["seeds"][0], row["int8"]
        lines.append(
            f"| {row['series']} | {row['name']} | {row['operations_ratio']:.1f} | "
            f"{seed['report']['value']:.3f} | {_share(seed)} | "
            + (f"{row['mean_retention']:.3f}, {row['sd_retention']:.3f} | " if several else "")
            + f"{_times(row['eager'])} | {_times(int8)} | {_share(int8['kept'])} |"
        )
    aims = AIMS.get(record["task"]["name"], ())
    if aims:
        lines += [
            "",
            "| CoFi on BERT-base | here, eager fp32 | here, int8 |",
            "|---|---|---|",
            *(
                f"| {share:.1%} at {speedup:g}x | {_against(record, 'eager', speedup, share)} | "
                f"{_against(record, 'int8', speedup, share)} |"
                for speedup, share in aims
            ),
        ]
    return "\n".join(lines) + "\n"


def _against(record: dict[str, Any], panel: str, speedup: float, share: float) -> str:
    row = answer(record, panel, speedup)
    if row is None:
        return "none so fast"
    found = kept(row, panel)
    return (
        f"{_share(found)} at {row[panel]['speedup']:.1f}x, {found['retention'] - share:+.3f} "
        f"({row['series']} {row['name']})"
    )


def _share(found: dict[str, Any]) -> str:
    return f"{found['retention']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"


def _times(found: dict[str, Any]) -> str:
    return f"{found['speedup']:.2f} [{found['low']:.2f}, {found['high']:.2f}]"


def main() -> None:
    """Draw and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    record = read_json(folder / "result.json")
    with matplotlib.rc_context(STYLE):
        draw(record).savefig(folder / "retention.png", dpi=200)
    write_text(folder / "results.md", table(record))


if __name__ == "__main__":
    main()
