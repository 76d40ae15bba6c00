"""Table and picture of a PoWER-BERT benchmark's result.

Every row says how its network was trained and who chose the word-vectors that it keeps. Speed-ups
are printed with the range over the rounds of their session. Results from before rounds were kept
have none: neither the rounds nor their number are known.

    python benchmarks/powerbert_tables.py benchmarks/powerbert/qnli

writes both anew from the folder's `result.json`, and measures nothing.
"""

import argparse
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from paretobert.intervals import bracketed
from paretobert.networks.retention import Retention
from paretobert.networks.subnet import SubnetConfig
from paretobert.reports import palette
from paretobert.reports.figures.drawing import canvas, legend, lengths, log_axis, plain, save
from paretobert.reports.palette import FRONT, MARKS, SHAPES
from paretobert.storage import read_json

FULL = "full"
POWER, DIAGONAL = "PoWER-BERT", "PoWER-BERT, diagonal"
BY_HAND = "PoWER-BERT's configuration, put in by hand"

SELECTIONS = {
    "head": "the first word-vectors (Head-WS)",
    "random": "fixed random positions (Rand-WS)",
}


def table(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    rows = result["networks"]
    columns = list(rows[0]["speedup"])
    padded = ", ".join(f"{_times(result['padded'][column])} ({column})" for column in columns)
    counted = result["retention_with_diagonal"]
    other = f"; with the diagonal {_amounts(counted)}" if counted else ""
    lines = [
        f"# {result['title']}",
        "",
        f"PoWER-BERT's retention configuration: {_amounts(result['retention'])} "
        f"({result['retention']['unit']}){other}. Latencies are of eager fp32 where nothing else "
        f"is said. {_measured(result)}",
        "",
        f"Padded to N = {result['padded']['N']}, (a), the full model takes {padded} times as long "
        "as in (b).",
        "",
        "Losses are against the full model, in pairs, with 95 % intervals. McNemar's exact test "
        "says what is a tie; of a tie the smallest loss is given that so many examples show with "
        "a probability of 80 %. No other two rows were compared in pairs, and no training was "
        "repeated with another seed.",
        "",
        "| network | trained | word-vectors kept | chosen as | score, report | loss | "
        + " | ".join(f"speed-up, {column}" for column in columns)
        + " | search |",
        "|---" * (7 + len(columns)) + "|",
    ]
    for row in rows:
        name = row["network"]
        loss = "" if name == FULL else _difference(row["loss_against_full"])
        cells = " | ".join(_times(row["speedup"][column]) for column in columns)
        lines.append(
            f"| {name} | {_training_of(name, result)} | {_tokens_of(name, result)} | "
            f"{'<br>'.join(row['roles'])} | {_interval(row['report'])} | {loss} | {cells} | "
            f"{row['search']:.3f} |"
        )
    for row in result["static"]:
        lines += [
            "",
            f"(e) {SELECTIONS[row['strategy']]}, in PoWER-BERT's numbers and re-trained as it was:"
            f" {_interval(row['report'])}; {_verdict(row['loss_against_attention'])}.",
        ]
    return "\n".join(lines) + "\n"


def _amounts(retention: dict[str, Any]) -> str:
    return ", ".join(map(str, retention["amounts"]))


def _measured(result: dict[str, Any]) -> str:
    """What the speed-ups rest on."""
    environment = result["environment"]
    load = (
        f"the load average was {environment['load_before']} before the first session, with "
        f"{environment['num_cores']} core(s) to run on"
    )
    if "sessions" not in result:
        return (
            "Each speed-up column is one session of a few rounds without an interval: the rounds "
            "and their number were not kept, nor whether a session became as exact as it should; "
            f"{load}."
        )
    sessions = "; ".join(
        f"{column}: range of {session['num_rounds']} rounds"
        + ("" if session["resolved"] else ", not resolved in the time given")
        for column, session in result["sessions"].items()
    )
    return f"Each speed-up column is one session, in brackets the range ({sessions}); {load}."


def _training_of(name: str, result: dict[str, Any]) -> str:
    """How a network was trained: on what, from what, how long, at which rate."""
    runs = list(result["trained"].values())
    base = runs[0]["training"]
    if name == FULL:
        rate = base["teacher_learning_rate"] or base["learning_rate"]
        epochs = base["teacher_epochs"]
        return f"on labels from {runs[0]['model']}, {epochs} epochs at {rate:g}"
    if name in (POWER, DIAGONAL):
        options = result["retention"]["options"]
        return (
            f"on labels from the full model, {options['search_epochs']} + "
            f"{options['retrain_epochs']} epochs (search, re-training) at "
            f"{options['learning_rate']:g}"
        )
    joint = name.startswith("joint")
    run = next(r["training"] for r in runs if (r["training"]["token_epochs"] > 0) == joint)
    teacher = "the full model" if run is base else "a full model of its own run"
    stages = ("width", "depth", "token") if joint else ("width", "depth")
    epochs = " + ".join(str(run[f"{stage}_epochs"]) for stage in stages)
    return (
        f"distilled from {teacher}, {epochs} epochs ({', '.join(f'{s}s' for s in stages)}; "
        f"{run['recipe']}) at {run['learning_rate']:g}"
    )


def _tokens_of(name: str, result: dict[str, Any]) -> str:
    """Which word-vectors a network keeps, and who chose their numbers."""
    if name in (POWER, DIAGONAL):
        return "learnt by PoWER-BERT"
    config = None if name == FULL else SubnetConfig.from_key(name.split(" ")[-1])
    if config is None or config.tokens is None:
        return "all"
    if config.tokens == Retention.from_dict(result["retention"]):
        return BY_HAND
    multipliers = {
        Retention.from_multiplier(config.num_layers, multiplier): multiplier
        for run in result["trained"].values()
        for multiplier in run["training"]["tokens"]
        if multiplier < 1
    }
    return f"tokens {multipliers[config.tokens]:g} of the supernet's space"


def _difference(loss: dict[str, Any]) -> str:
    if not loss["tie"]:
        return _interval(loss)
    detectable = loss["detectable"]
    seen = "none would have been" if detectable is None else f"{detectable:.3f} would have been"
    return f"{_interval(loss)} (a tie; {seen} shown)"


def _verdict(lead: dict[str, Any]) -> str:
    """The attention score against another selection of word-vectors."""
    if lead["tie"]:
        worse = "scores no lower" if lead["value"] <= 0 else "is not shown to be worse"
        return f"this {worse}: the attention score leads by {_difference(lead)}"
    if lead["value"] > 0:
        return f"the attention score is better by {_interval(lead)}"
    return f"this is better than the attention score, which leads by {_interval(lead)}"


def draw(result: dict[str, Any]) -> Canvas:
    """Score on the report split against the latency ratio at each batch size, with intervals.

    The fronts were judged on the search split: their networks are marked and not joined.
    """
    drawing = canvas(width=10, height=5.2)
    panels = drawing.subplots(1, 2, sharey=True)
    for axes, record in zip(panels, result["protocols"], strict=False):
        _panel(axes, result, record)
    report = result["networks"][0]["report"]
    panels[0].set_ylabel(f"{report['metric']}, report split, n = {report['n']}")
    legend(drawing, panels[0])
    return drawing


def _panel(axes: Axes, result: dict[str, Any], record: dict[str, Any]) -> None:
    batch = f"batch {record['batch_size']}"
    plain(axes, title=f"{result['title']}, {batch}")
    joint = f"(d) joint, front at {batch}"
    networks = result["networks"]
    by_hand = [
        row
        for row in networks
        if joint in row["roles"] and _tokens_of(row["network"], result) == BY_HAND
    ]
    series = (
        (
            "full model",
            "star",
            palette.FULL,
            [r for r in networks if "(b) dynamic padding" in r["roles"]],
        ),
        ("PoWER-BERT", "square", MARKS[1].colour, [r for r in networks if POWER in r["roles"]]),
        (
            "front of DynaBERT's supernet",
            "diamond",
            MARKS[2].colour,
            [r for r in networks if f"(c) DynaBERT, front at {batch}" in r["roles"]],
        ),
        (
            "front of the joint supernet",
            "circle",
            FRONT,
            [r for r in networks if joint in r["roles"] and r not in by_hand],
        ),
        ("the same, PoWER-BERT's tokens put in by hand", "hollow", FRONT, by_hand),
    )
    shown = [1 / row["speedup"][batch]["value"] for *_, rows in series for row in rows]
    log_axis(axes.xaxis, min(shown), max(shown))
    axes.set_xlim(min(shown) / 1.2, max(shown) * 1.2)
    for label, shape, colour, rows in series:
        speedups = [row["speedup"][batch] for row in rows]
        ratios = [1 / speedup["value"] for speedup in speedups]
        ends = [(r, 1 / s["high"], 1 / s["low"]) for r, s in zip(ratios, speedups, strict=True)]
        reports = [row["report"] for row in rows]
        axes.errorbar(
            ratios,
            [report["value"] for report in reports],
            xerr=lengths(ends) if "sessions" in result else None,
            yerr=lengths([(r["value"], r["low"], r["high"]) for r in reports]),
            linestyle="none",
            marker=SHAPES.get(shape, "o"),
            markersize=12 if shape == "star" else 6,
            color=colour,
            markerfacecolor="white" if shape == "hollow" else colour,
            elinewidth=0.9,
            label=label if rows else None,
            zorder=3 if shape == "star" else 2,
        )
    axes.set_xlabel(
        f"latency relative to the full model with dynamic padding\n{_conditions(record)}\n"
        + ("bars: range over rounds" if "sessions" in result else "one session, no interval"),
        fontsize=9,
    )


def _conditions(protocol: dict[str, Any]) -> str:
    """A protocol's record as a line; records of older versions have other fields than today's."""
    lengths, threads = protocol["lengths"], protocol["threads"]
    return (
        f"{min(lengths)} to {max(lengths)} tokens (mean {protocol['seq_len']}), "
        f"{protocol['device']}, {threads} thread{'s' if threads > 1 else ''}, "
        f"{protocol['runtime']} {protocol['precision']}, batch {protocol['batch_size']}"
    )


def _interval(record: dict[str, Any]) -> str:
    return bracketed(record["value"], record["low"], record["high"], show=".3f")


def _times(ratio: dict[str, Any]) -> str:
    """A ratio with its range over rounds, where these were kept."""
    return _interval(ratio) if "rounds" in ratio else f"{ratio['value']:.2f}"


def render(result: dict[str, Any], into: Path) -> None:
    """Write a result's table and picture."""
    (into / "results.md").write_text(table(result))
    save(lambda: draw(result), into / "fronts.png")


def main() -> None:
    """Write table and picture of some results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("results", type=Path, nargs="+", help="folders with a result.json")
    for into in parser.parse_args().results:
        render(read_json(into / "result.json"), into)


if __name__ == "__main__":
    main()
