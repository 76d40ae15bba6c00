"""Draw and tabulate what `training.py` measured.

    python benchmarks/training_figure.py benchmarks/training/rte

writes `retention.png` and `results.md` beside `result.json`: the share of the full model's score
that each network keeps against its measured speed-up, on eager fp32 and in int8, both against the
full model in eager fp32. Points to beat stand beside them: CoFi (Xia, Zhong & Chen 2022) on
BERT-base. What answers one is chosen on the search split, the best network at least so fast.
"""

import argparse
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from paretobert.intervals import interval_name
from paretobert.reports.figures.drawing import (
    canvas,
    legend,
    lengths,
    log_axis,
    plain,
    point_outside,
    save,
)
from paretobert.reports.palette import FRONT, FULL, INK, MARKS, SHAPES, Mark
from paretobert.storage import read_json, write_text

AIMS = {
    "SST-2": ((4.7, 0.995), (7.0, 0.983), (12.2, 0.971)),
    "QNLI": ((3.7, 0.984), (6.6, 0.968), (12.1, 0.938)),
}
"""Speed-up and retention of CoFi on BERT-base, by task."""

PANELS = {"eager": "eager fp32", "int8": "int8"}

SERIES = {
    "own": "sub-networks of the supernet",
    "finished": "finished ones",
    "alone": "a sub-network's shape, trained alone",
    "cofi": "CoFi",
    "layerdrop": "LayerDrop",
    "student": "student of evenly spaced layers",
    "repaired": "pruned and repaired",
    "bort": "what extraction picked, trained",
    "powerbert": "PoWER-BERT",
    "searched": "found by a search",
    "sandwich": "those of a trained supernet",
}
"""Each series for a reader."""


class Aim(NamedTuple):
    """A published point: its speed-up and its retention."""

    x: float
    y: float


def kept(row: dict[str, Any], panel: str) -> dict[str, Any]:
    """Retention with its interval: of the first seed, or as deployed in int8."""
    found: dict[str, Any] = row["int8"]["kept"] if panel == "int8" else row["seeds"][0]
    return found


def of_first_seed(record: dict[str, Any]) -> list[dict[str, Any]]:
    """The networks of the first run: scores on the search splits of others do not compare."""
    seed = record["training"]["seed"]
    return [row for row in record["networks"] if row["seeds"][0]["seed"] == seed]


def panels_of(record: dict[str, Any]) -> list[str]:
    """The deployments that were timed."""
    return [panel for panel in PANELS if any(panel in row for row in record["networks"])]


def against_published(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Each published point with what answers it in each panel, None where nothing is so fast."""
    return [
        {
            "speedup": speedup,
            "retention": share,
            **{panel: _answer(record, panel, speedup, share) for panel in panels_of(record)},
        }
        for speedup, share in AIMS.get(record["task"]["name"], ())
    ]


def _answer(
    record: dict[str, Any], panel: str, speedup: float, share: float
) -> dict[str, Any] | None:
    """The network with the best search score among those at least so fast."""
    fast = [
        row for row in of_first_seed(record) if panel in row and row[panel]["speedup"] >= speedup
    ]
    if not fast:
        return None
    row = max(fast, key=lambda row: row["seeds"][0]["search"])
    found = kept(row, panel)
    return {
        "network": f"{row['series']} {row['name']}",
        "speedup": row[panel]["speedup"],
        **{name: found[name] for name in ("retention", "low", "high")},
        "short": share - found["retention"],
    }


def draw(record: dict[str, Any]) -> Canvas:
    """One panel for each deployment."""
    names = panels_of(record)
    drawing = canvas(width=max(8.5, 1 + 4.5 * len(names)), height=5.2)
    panels = drawing.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for panel, axes in zip(names, panels, strict=True):
        _panel(axes, record, panel)
    panels[0].set_ylabel(f"share of the full model's {record['task']['metric']}, report split")
    legend(drawing, panels[0])
    return drawing


def _panel(axes: Axes, record: dict[str, Any], panel: str) -> None:
    plain(axes, title=f"{record['task']['name']}, {PANELS[panel]}")
    own = [row for row in of_first_seed(record) if panel in row]
    speeds = [row[panel]["speedup"] for row in own]
    log_axis(axes.xaxis, 1, max(speeds))
    axes.set_xlim(0.9, 1.15 * max(speeds))
    for series, (mark, filled) in _looks(record).items():
        rows = [
            row
            for row in own
            if row["series"] == series and not (row["full"] and panel == "eager")
        ]
        if not rows:
            continue
        found = [kept(row, panel) for row in rows]
        axes.errorbar(
            [row[panel]["speedup"] for row in rows],
            [entry["retention"] for entry in found],
            yerr=lengths([(e["retention"], e["low"], e["high"]) for e in found]),
            linestyle="none",
            marker=SHAPES[mark.shape],
            color=mark.colour,
            markerfacecolor=mark.colour if filled else "white",
            elinewidth=0.7,
            markersize=6,
            label=SERIES.get(series, series),
        )
    if panel == "eager":
        axes.plot([1], [1], marker="*", color=FULL, markersize=12, linestyle="none", label="full")
    aims = [Aim(point["speedup"], point["retention"]) for point in record["published"]]
    axes.plot(
        [aim.x for aim in aims],
        [aim.y for aim in aims],
        linestyle="none",
        marker="x",
        color=INK,
        label="CoFi, BERT-base (published)" if aims else None,
    )
    axes.set_xlabel(f"times as fast as the full model in eager fp32\n{record['protocol']}")
    point_outside(axes, aims, what="published beyond")


def _looks(record: dict[str, Any]) -> dict[str, tuple[Mark, bool]]:
    """The mark of each series and whether it is filled; those of `SERIES` are alike everywhere."""
    _, *known = SERIES
    further = sorted({row["series"] for row in record["networks"]} - {*SERIES})
    marks = zip(MARKS * 2, [True] * len(MARKS) + [False] * len(MARKS), strict=True)
    return {"own": (Mark(FRONT, "circle"), True)} | dict(
        zip([*known, *further], marks, strict=False)
    )


def table(record: dict[str, Any]) -> str:
    """The record as Markdown."""
    metric, sizes = record["task"]["metric"], record["task"]["sizes"]
    several, in_int8 = len(record["stages"]) > 1, "int8" in panels_of(record)
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
        + ("eager fp32 | int8 | retention, int8 |" if in_int8 else "eager fp32 |"),
        "|---" * (6 + several + 2 * in_int8) + "|",
    ]
    for row in record["networks"]:
        if "eager" not in row:
            continue
        seed = row["seeds"][0]
        lines.append(
            f"| {row['series']} | {row['name']} | {row['operations_ratio']:.1f} | "
            f"{seed['report']['value']:.3f} | {_share(seed)} | "
            + (f"{_over_seeds(row)} | " if several else "")
            + f"{_times(row['eager'])} |"
            + (f" {_times(row['int8'])} | {_share(row['int8']['kept'])} |" if in_int8 else "")
        )
    if record["against_landmarks"]:
        lines += [
            "",
            "| found by a search | times as fast | landmark at least as fast | times as fast | "
            "gain on report, in pairs |",
            "|---|---|---|---|---|",
            *(
                f"| {gain['network']} | {gain['speedup']:.2f} | {gain['landmark']} | "
                f"{gain['landmark_speedup']:.2f} | {_gain(gain['gain'])} |"
                for gain in record["against_landmarks"]
            ),
        ]
    if several:
        asked = "Asked among all instead of among landmarks, finished or not"
        lines += _gains(asked, record["gains_over_landmarks"])
        lines += _gains(
            f"{asked}, with those that eliminate word-vectors",
            record.get("gains_with_elimination", []),
        )
    if record["published"]:
        lines += [
            "",
            "| CoFi on BERT-base | "
            + " | ".join(f"here, {PANELS[panel]}" for panel in panels_of(record))
            + " |",
            "|---" * (1 + len(panels_of(record))) + "|",
            *(
                f"| {point['retention']:.1%} at {point['speedup']:g}x | "
                + " | ".join(_against(point[panel]) for panel in panels_of(record))
                + " |"
                for point in record["published"]
            ),
        ]
    return "\n".join(lines) + "\n"


def _gains(asked: str, entries: list[dict[str, Any]]) -> list[str]:
    """What is gained at each speed-up, over seeds; no lines where nothing was asked."""
    if not entries:
        return []
    return [
        "",
        f"{asked}, over {entries[0]['gain']['seeds']} seeds:",
        "",
        "| times as fast | gain on report | of each seed |",
        "|---|---|---|",
        *(
            f"| {entry['speedup']:g} | {_signed(entry['gain'])} | "
            + ", ".join(f"{answer['gain']['value']:+.3f}" for answer in entry["answers"])
            + " |"
            for entry in entries
        ),
    ]


def _over_seeds(row: dict[str, Any]) -> str:
    """The mean and standard deviation, or the seed where it is one."""
    if len(row["seeds"]) == 1:
        return f"seed {row['seeds'][0]['seed']} alone"
    return f"{row['mean_retention']:.3f}, {row['sd_retention']:.3f}"


def _against(found: dict[str, Any] | None) -> str:
    if found is None:
        return "none so fast"
    return (
        f"{_share(found)} at {found['speedup']:.1f}x, {-found['short']:+.3f} ({found['network']})"
    )


def _gain(found: dict[str, Any]) -> str:
    return f"{_signed(found)}, a tie" if found["tie"] else _signed(found)


def _signed(found: dict[str, Any]) -> str:
    return f"{found['value']:+.3f} [{found['low']:+.3f}, {found['high']:+.3f}]"


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
    save(lambda: draw(record), folder / "retention.png")
    write_text(folder / "results.md", table(record))


if __name__ == "__main__":
    main()
