"""The report: one offline page with figures and tables beside it (no torch).

`write_report` fills a folder: `index.html`, which needs no network and no other file, and for
papers and scripts `figures/*.png`, `figures/*.svg`, `tables/*.csv` and `tables/*.md`. The page is
the explorer (`reports.explorer`) between sentences that need no script.
"""

import base64
import logging
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import pandas as pd

from .. import storage
from . import shared
from .content import ReportContent
from .explorer.data import explorer_data
from .explorer.document import document
from .figures.drawing import Picture
from .figures.front import FrontFigure, front_figure
from .headlines import headlines, main_cost, selection_sentences
from .tables import (
    csv_text,
    markdown_text,
    published_frame,
    readable,
    readable_published,
    readable_selection,
    results_frame,
    selection_frame,
)

logger = logging.getLogger(__name__)

DEPLOYMENTS = "Deployments"

EXPLANATIONS = (
    (
        "Splits",
        "Networks are chosen on the search split, which is held out of the training data. The "
        "report split is the task's own dev or test split; nothing was chosen on it.",
    ),
    (
        "Scores",
        "Fractions between 0 and 1 (correlations from −1) with 95 % intervals over examples: "
        "Wilson's for accuracy, bootstrap percentiles for F1 and Matthews correlation, Fisher's z "
        "with errors that assume no shape for Pearson and Spearman correlation. They hold for the "
        "networks as trained; variation over training seeds is not in them.",
    ),
    (
        "Differences",
        "Two networks are compared on the same examples, in pairs. Accuracies are “not "
        "distinguishable” where McNemar's exact test of the examples that only one has right "
        "does not reject at 5 %; brackets are Tango's interval, which may disagree at the edge. "
        "Other metrics are so where the 95 % interval of the difference contains 0. The loss that "
        "would have been seen is the smallest that so many examples show with 80 % power.",
    ),
    (
        "Corrected scores",
        "The best of many networks on the search split is partly lucky there. To take the luck "
        "off, the search examples are divided in two at random, again and again; the network is "
        "chosen again on one half and compared on the other with the network that all examples "
        "chose. What it loses is taken off the plain score; because half the examples choose "
        "worse than all, this is rather too much. The standard error is over examples.",
    ),
    (
        "Latency",
        "Medians over rounds in several fresh processes, because memory layout and kernels differ "
        "between processes and never inside one. Intervals are over processes: Student's t on the "
        "logarithm, 95 % from five processes on, else a range. A time is the ratio to the full "
        "model of the same rounds, in which slow drift cancels, times one reference time. “Not "
        "resolved” means that measuring ended before the interval was narrow enough. Tokenisation "
        "is not included.",
    ),
    (
        DEPLOYMENTS,
        "A network on two runtimes or in two precisions is two candidates. Every time of a "
        "deployment is its ratio to the full model on the same deployment, measured together, "
        "times that model's one reference time; “latency / full” sets it against the full model "
        "on the run's own deployment. Runtimes in fp32 share one score, because each is checked "
        "to give the same logits. The fronts of parameters and FLOPs are of the run's own "
        "deployment, because no deployment changes these.",
    ),
    (
        "Parameters and FLOPs",
        "Exact counts in closed form; FLOPs are two per multiply-add, for one example.",
    ),
    (
        "Published numbers",
        "Copied from the sources named in the table, as printed. They belong to other full models "
        "and other training runs, and have no intervals. Latencies published for other hardware "
        "are not shown.",
    ),
)
"""What the numbers of a report mean."""

SHOWN_WARNINGS = 5
"""Warnings that are shown before the heading; the others are folded."""

SHOWN_BYTES = 300_000
"""Of a measurement's figure on the page; a larger one is shown as pixels."""


def write_report(folder: Path, content: ReportContent) -> Path:
    """Write the report; an older one in the folder is replaced as a whole.

    Returns:
        The path of the page.
    """
    results = results_frame(
        content.candidates, content.reported, content.further, numbers=content.numbers
    )
    selection = content.selection
    published = published_frame(content.published)
    drawings = {
        figure.name: figure.files("svg", "png")
        for figure in (*report_figures(content), *content.measurements)
    }
    with storage.folder(folder) as new:
        for name, files in drawings.items():
            for kind, data in files.items():
                storage.write_bytes(new / "figures" / f"{name}.{kind}", data)
        storage.write_text(new / "tables" / "results.csv", csv_text(results))
        storage.write_text(new / "tables" / "results.md", markdown_text(readable(results)))
        if selection is not None:
            chosen = selection_frame(
                selection, content.candidates, content.reported, numbers=content.numbers
            )
            storage.write_text(new / "tables" / "selection.csv", csv_text(chosen))
            text = markdown_text(readable_selection(chosen))
            storage.write_text(new / "tables" / "selection.md", text)
        if content.published:
            storage.write_text(new / "tables" / "published.csv", csv_text(published))
            text = markdown_text(readable_published(published))
            storage.write_text(new / "tables" / "published.md", text)
        storage.write_text(new / "index.html", page_html(content, drawings))
    logger.info("Wrote the report to %s", folder / "index.html")
    return folder / "index.html"


def report_figures(content: ReportContent) -> list[FrontFigure]:
    """The records of the report's figures, one for each cost that is known."""
    beside = content.published if content.is_reported else ()
    deployed = shared.deployments(content.candidates)
    first = deployed[0].title if len(deployed) > 1 else ""
    conditions = {
        "latency_ms": shared.latency_conditions(
            content.protocol, content.environment, several=len(deployed) > 1
        ),
        "num_params": first,
        "num_flops": ", ".join(filter(None, [f"{content.seq_len} tokens", first])),
    }
    figures = (
        front_figure(
            (*content.shown, *beside),
            cost,
            judged=shared.networks(content.candidates),
            numbers=content.numbers,
            conditions=conditions[cost],
        )
        for cost in shared.COSTS
    )
    return [figure for figure in figures if figure is not None]


def page_html(content: ReportContent, drawings: Mapping[str, Mapping[str, bytes]]) -> str:
    """The page, complete in itself.

    Args:
        content: What it shows.
        drawings: Measurements' figures by name, as "svg" and as "png".
    """
    score = content.shown[0].evaluation
    made = {
        "model": content.model,
        "task": score.task,
        "metric": shared.METRICS[score.metric],
        **{f"{name} examples": f"{n:,}" for name, n in content.num_examples.items()},
        **content.provenance,
    }
    return document(
        content.title,
        explorer_data(content),
        before=[*_banner(content.warnings), f"<h1>{escape(content.title)}</h1>", _lead(content)],
        after=[
            _front_section(content),
            _published_section(content),
            *(_measured_section(each, drawings[each.name]) for each in content.measurements),
            _definitions("Hypervolume", {k: str(v) for k, v in content.hypervolumes.items()}),
            _definitions("What the numbers mean", _explanations(content)),
            _definitions("How this was made", made),
        ],
    )


def _listed(words: Sequence[str]) -> str:
    """Words with an "and" before the last."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _explanations(content: ReportContent) -> dict[str, str]:
    """What the numbers mean, of those that there are."""
    deployed = any(len(setting.measured) > 1 for setting in content.settings)
    return {name: text for name, text in EXPLANATIONS if deployed or name != DEPLOYMENTS}


def _banner(warnings: Sequence[str]) -> list[str]:
    """What is doubtful, before everything else; what would fill a page is folded."""
    if not warnings:
        return []
    shown, folded = (
        "<br>".join(map(escape, lines))
        for lines in (warnings[:SHOWN_WARNINGS], warnings[SHOWN_WARNINGS:])
    )
    more = len(warnings) - SHOWN_WARNINGS
    rest = f"<details><summary>and {more} more</summary>{folded}</details>" if more > 0 else ""
    return [f'<div class="warning" role="alert">{shown}{rest}</div>']


def _lead(content: ReportContent) -> str:
    score = content.shown[0].evaluation
    deployed = shared.deployments(content.networks)
    number = len({entry.network.id for entry in content.networks})
    networks = f"{number} networks"
    if len(deployed) > 1:
        runtimes = _listed([each.title for each in deployed])
        networks += f" as {runtimes} run them ({len(content.networks)} in all)"
    lead = (
        f"{content.model} on {score.task}: {networks}, "
        f"{shared.METRICS[score.metric]} on the {score.split} split "
        f"({score.n} examples) against what they cost."
    )
    return f'<p class="lead">{escape(lead)}</p>'


def _front_section(content: ReportContent) -> str:
    """The front in words, and how much having been chosen flatters it."""
    score = content.shown[0].evaluation
    cost = shared.COSTS[main_cost(content.networks)]
    judged = shared.networks(content.candidates)
    sentences = headlines(content.networks, judged=judged)
    numbers = {entry.key: content.numbers[entry.network.id] for entry in content.networks}
    deployed = shared.deployments(content.networks)
    trade = f"the front of {shared.METRICS[score.metric]} and {cost}"
    on_own = f" on {deployed[0].title}" if len(deployed) > 1 else ""
    split = judged[0].evaluation.split
    times = next((each.latency.ratio.meaning for each in content.networks if each.latency), None)
    of_times = "" if times is None else f", of latency: {times}"
    front = (
        f"Against the full model{on_own}, {trade}, judged on the {split} split, cheapest first "
        f"and numbered as in the table and the figures; scores are of the {score.split} split, "
        f"brackets are 95 % intervals{of_times}:"
        if sentences
        else f"No network but the full model is on {trade} on the {split} split."
    )
    items = "".join(
        f'<li value="{numbers[key]}">{escape(text)}</li>' for key, text in sentences.items()
    )
    parts = [
        "<h2>The front in words</h2>",
        f"<p>{escape(front)}</p>",
        f"<ol>{items}</ol>" if items else "",
    ]
    selection = content.selection
    if selection is not None:
        text = selection_sentences(selection, judged, reported=content.reported)
        parts.append(f"<p>{escape(text)}</p>")
    return "\n".join(parts)


def _published_section(content: ReportContent) -> str:
    if not content.published:
        return ""
    text = readable_published(published_frame(content.published))
    drawn = (
        "They are drawn beside scores on the report split."
        if content.is_reported
        else "They are not drawn: they belong beside scores on the report split, which not every "
        "network has."
    )
    return (
        f"<h2>Published numbers</h2>\n<p>{drawn}</p>\n<details>"
        f"<summary>{len(text)} numbers with their sources</summary>{_table(text)}</details>"
    )


def _table(text: pd.DataFrame) -> str:
    header = "".join(f'<th scope="col">{escape(column)}</th>' for column in text.columns)
    rows = "".join(
        f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>"
        for row in text.values.tolist()
    )
    return (
        f'<div class="scroll"><table><thead><tr>{header}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _measured_section(figure: Picture, files: Mapping[str, bytes]) -> str:
    kind, drawing = "svg+xml", files["svg"]
    if len(drawing) > SHOWN_BYTES:
        kind, drawing = "png", files["png"]
    source = f"data:image/{kind};base64,{base64.b64encode(drawing).decode()}"
    return (
        f"<h2>{escape(figure.title)}</h2>\n<figure>\n"
        f'<img class="measured" width="750" alt="{escape(figure.title)}: '
        f'{escape(figure.caption)}" src="{source}">\n'
        f"<figcaption>{escape(figure.caption)}</figcaption>\n</figure>"
    )


def _definitions(title: str, entries: Mapping[str, str]) -> str:
    if not entries:
        return ""
    items = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in entries.items()
    )
    return f"<h2>{escape(title)}</h2>\n<dl>{items}</dl>"
