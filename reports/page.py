"""The report: one offline page with its figures and tables beside it (no torch).

`write_report` fills a folder: `index.html`, which needs no network and no other file, and for
papers and scripts `figures/*.png`, `figures/*.svg`, `tables/*.csv` and `tables/*.md`.

The page's policy (Content-Security-Policy) forbids every connection and every script but the three
whose hashes it names, and each string that came from outside is escaped on its way into the page,
into plotly's texts and into the data inside the page: a task may be called "</script>".
"""

import base64
import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import pandas as pd
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from .. import storage
from ..profiling.environment import Environment
from ..profiling.protocol import LatencyProtocol
from ..search.candidate import Candidate
from ..search.front import Hypervolume, ParetoFront
from ..search.selection import MIN_EXAMPLES, SelectionReport, corrected_front
from ..tasks.metrics import Evaluation
from . import shared
from .figures import FrontFigure, front_figure, plotly_figure
from .headlines import headlines, main_cost, selection_sentences
from .measurements import Figure, drawn
from .static import png_bytes, svg_bytes
from .tables import (
    SELECTION_SORT_KEYS,
    SORT_KEYS,
    csv_text,
    further_splits,
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


@dataclass(frozen=True, slots=True)
class ReportContent:
    """Everything that a report shows.

    Attributes:
        title: The heading.
        model: The full model's name.
        candidates: Networks scored on the search split, in the order of the
            table.
        reported: Scores on the report split by key. When every network has one, figures and
            headlines show the report split, else the search split.
        further: Scores on further report splits by the split's name and key, such as MNLI's
            mismatched half.
        published: Published candidates of the same task and metric; drawn beside the report split
            only, because they are scores of those examples.
        num_examples: The splits' sizes by name.
        seq_len: Tokens of the example that FLOPs are counted for.
        protocol: How latencies were measured; None when none were.
        environment: Where they were measured; None when none were.
        hypervolumes: Of the fronts on the search split, by a name such as "score and latency".
        provenance: Whatever tells how to make this again: command, seeds, versions.
        measurements: Further figures, of what was measured.
        warnings: What forbids to take the latencies at their word, in sentences.
    """

    title: str
    model: str
    candidates: tuple[Candidate, ...]
    reported: Mapping[str, Evaluation]
    further: Mapping[str, Mapping[str, Evaluation]]
    published: tuple[Candidate, ...]
    num_examples: Mapping[str, int]
    seq_len: int
    protocol: LatencyProtocol | None
    environment: Environment | None
    hypervolumes: Mapping[str, Hypervolume]
    provenance: Mapping[str, str]
    measurements: tuple[Figure, ...] = ()
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check that there is something to show and that it is of one task, split and metric."""
        if not shared.networks(self.candidates):
            raise ValueError("a report needs at least one network")
        kinds = {
            (candidate.evaluation.task, candidate.evaluation.split, candidate.evaluation.metric)
            for candidate in self.candidates
        }
        if len(kinds) > 1:
            raise ValueError(f"candidates of different evaluations: {sorted(kinds)}")
        if len({candidate.key for candidate in self.candidates}) < len(self.candidates):
            raise ValueError("two candidates have the same key")

    @property
    def is_reported(self) -> bool:
        """Whether every candidate has a score on the report split."""
        return all(candidate.key in self.reported for candidate in self.candidates)

    @property
    def shown(self) -> tuple[Candidate, ...]:
        """The candidates with the score that figures and headlines show."""
        if not self.is_reported:
            return self.candidates
        return tuple(replace(c, evaluation=self.reported[c.key]) for c in self.candidates)

    @property
    def selection(self) -> SelectionReport | None:
        """The corrected scores of the front that headlines show.

        None where the search split has too few examples to be divided.
        """
        networks = shared.networks(self.candidates)
        if cast(Evaluation, networks[0].evaluation).n < MIN_EXAMPLES:
            return None
        cost = main_cost(networks)
        return corrected_front(ParetoFront.of(shared.rivals(networks, cost), ("score", cost)))

    @property
    def networks(self) -> list[Candidate]:
        """Those of `shown` that were run here."""
        return shared.networks(self.shown)


def write_report(folder: Path, content: ReportContent) -> Path:
    """Write the report; an older one in the folder is replaced as a whole.

    Returns:
        The path of the page.
    """
    figures = report_figures(content)
    results = results_frame(content.candidates, content.reported, content.further)
    selection = content.selection
    published = published_frame(content.published)
    with storage.folder(folder) as new:
        for figure in (*figures, *content.measurements):
            storage.write_bytes(new / "figures" / f"{figure.name}.png", png_bytes(figure))
            storage.write_bytes(new / "figures" / f"{figure.name}.svg", svg_bytes(figure))
        storage.write_text(new / "tables" / "results.csv", csv_text(results))
        storage.write_text(new / "tables" / "results.md", markdown_text(readable(results)))
        if selection is not None:
            chosen = selection_frame(selection, content.candidates, content.reported)
            storage.write_text(new / "tables" / "selection.csv", csv_text(chosen))
            text = markdown_text(readable_selection(chosen))
            storage.write_text(new / "tables" / "selection.md", text)
        if content.published:
            storage.write_text(new / "tables" / "published.csv", csv_text(published))
            text = markdown_text(readable_published(published))
            storage.write_text(new / "tables" / "published.md", text)
        storage.write_text(new / "index.html", page_html(content, figures))
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
            conditions=conditions[cost],
        )
        for cost in shared.COSTS
    )
    return [figure for figure in figures if figure is not None]


def page_html(content: ReportContent, figures: Iterable[FrontFigure]) -> str:
    """The page, complete in itself."""
    score = content.shown[0].evaluation
    assets = files(__package__)
    scripts = (get_plotlyjs(), (assets / "page.js").read_text(encoding="utf-8"))
    sections = [
        _headline_section(content),
        *(
            _figure_section(
                figure,
                plotly_figure(figure),
                conditions=_conditions(content) if figure.quantity == "latency_ms" else "",
            )
            for figure in figures
        ),
        _selection_section(content),
        _table_section(content),
        *(_figure_section(figure, drawn(figure)) for figure in content.measurements),
        _definitions("Hypervolume", {k: str(v) for k, v in content.hypervolumes.items()}),
        _definitions("What the numbers mean", _explanations(content)),
        _definitions(
            "How this was made",
            {
                "model": content.model,
                "task": score.task,
                "metric": shared.METRICS[score.metric],
                **{f"{name} examples": f"{n:,}" for name, n in content.num_examples.items()},
                **content.provenance,
            },
        ),
    ]
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_policy(scripts)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(content.title)}</title>",
            f"<style>{(assets / 'page.css').read_text(encoding='utf-8')}</style>",
            "</head>",
            "<body>",
            *_banner(content.warnings),
            f"<h1>{escape(content.title)}</h1>",
            *sections,
            *(f"<script>{script}</script>" for script in scripts),
            "</body>",
            "</html>",
            "",
        ]
    )


def _policy(scripts: Iterable[str]) -> str:
    hashes = (base64.b64encode(hashlib.sha256(text.encode()).digest()) for text in scripts)
    allowed = " ".join(f"'sha256-{digest.decode()}'" for digest in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _listed(words: Sequence[str]) -> str:
    """Words with an "and" before the last."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _explanations(content: ReportContent) -> dict[str, str]:
    """What the numbers mean, of those that there are."""
    deployed = shared.several(content.candidates)
    return {name: text for name, text in EXPLANATIONS if deployed or name != DEPLOYMENTS}


def _banner(warnings: Iterable[str]) -> list[str]:
    lines = "<br>".join(map(escape, warnings))
    return [f'<p class="warning" role="alert">{lines}</p>'] if lines else []


def _headline_section(content: ReportContent) -> str:
    score = content.shown[0].evaluation
    cost = shared.COSTS[main_cost(content.networks)]
    judged = shared.networks(content.candidates)
    sentences = headlines(content.networks, judged=judged)
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
    trade = f"the front of {shared.METRICS[score.metric]} and {cost}"
    on_own = f" on {deployed[0].title}" if len(deployed) > 1 else ""
    front = (
        f"Against the full model{on_own}, {trade}, judged on the "
        f"{judged[0].evaluation.split} split, cheapest first and numbered as in the table and the "
        "figures; brackets are 95 % intervals:"
        if sentences
        else f"No network but the full model is on {trade} on the "
        f"{judged[0].evaluation.split} split."
    )
    items = "".join(
        f'<li value="{number}">{escape(text)}</li>' for number, text in sentences.items()
    )
    return f'<p class="lead">{escape(lead)}</p>\n<p>{escape(front)}</p>\n' + (
        f"<ol>{items}</ol>" if items else ""
    )


def _figure_section(
    figure: FrontFigure | Figure, drawing: go.Figure, *, conditions: str = ""
) -> str:
    data = drawing.to_json().replace("<", "\\u003c")
    return (
        f"<h2>{escape(figure.title)}</h2>\n<figure>\n"
        f'<div class="figure" id="{figure.name}" data-source="{figure.name}-data"></div>\n'
        f'<script type="application/json" id="{figure.name}-data">{data}</script>\n'
        f"<figcaption>{escape(figure.caption)}{conditions}</figcaption>\n</figure>"
    )


def _conditions(content: ReportContent) -> str:
    several = shared.several(content.candidates)
    parts: list[tuple[str, str, list[str]]] = []
    if content.protocol is not None:
        title = content.protocol.setting if several else content.protocol.title
        varied = ("runtime", "precision") if several else ()
        parts.append(("Protocol", title, _field_lines(content.protocol, without=varied)))
    if content.environment is not None:
        lines = _field_lines(content.environment)
        parts.append(("Environment", content.environment.title, lines))
    return "".join(
        f"<p><b>{name}:</b> {escape(title)}. <small>{escape('; '.join(lines))}.</small></p>"
        for name, title, lines in parts
    )


def _field_lines(
    record: LatencyProtocol | Environment, *, without: tuple[str, ...] = ()
) -> list[str]:
    names = (field.name for field in fields(record) if field.name not in without)
    return [f"{name} {_plain(getattr(record, name))}" for name in names]


def _plain(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    if isinstance(value, dict):
        return " ".join(f"{name}=={number}" for name, number in value.items())
    return str(value)


def _selection_section(content: ReportContent) -> str:
    selection = content.selection
    if selection is None:
        return ""
    frame = selection_frame(selection, content.candidates, content.reported)
    keys = {column: frame[key].tolist() for column, key in SELECTION_SORT_KEYS.items()}
    tried = shared.networks(content.candidates)
    lead = selection_sentences(selection, tried, reported=content.reported)
    return "\n".join(
        [
            "<h2>Scores of the front, corrected for having been chosen</h2>",
            f"<p>{escape(lead)} “Chosen from” counts the "
            "networks that cost no more; “corrected” is the search score without the luck, ± "
            "its standard error.</p>",
            _table(readable_selection(frame), keys, [""] * len(frame)),
        ]
    )


def _table_section(content: ReportContent) -> str:
    results = results_frame(content.candidates, content.reported, content.further)
    sorting = SORT_KEYS | {name: name for name in further_splits(results)}
    keys = {column: results[key].tolist() for column, key in sorting.items()}
    parts = [
        "<h2>All networks</h2>",
        "<p>Brackets are 95 % intervals; “fronts” names the costs for which no other network "
        "is better on the search split. Click a heading to sort.</p>",
        _table(readable(results), keys, ["front" if text else "" for text in keys["fronts"]]),
    ]
    if content.published:
        published = published_frame(content.published)
        text = readable_published(published)
        keys = {column: published[column].tolist() for column in ("model", "split", "source")} | {
            "params": published["num_params"].tolist(),
            "FLOPs": published["num_flops"].tolist(),
            "score": published["score"].tolist(),
        }
        table = _table(text, keys, ["published"] * len(text))
        parts += [
            "<h2>Published numbers</h2>",
            f"<details><summary>{len(text)} numbers with their sources</summary>{table}</details>",
        ]
        if not content.is_reported:
            parts.append(
                "<p>They are not drawn: they belong beside scores on the report split, which not "
                "every network has.</p>"
            )
    return "\n".join(parts)


def _table(text: pd.DataFrame, keys: Mapping[str, list[Any]], classes: list[str]) -> str:
    """A sortable table: cells show `text` and carry `keys` as what they are sorted by."""
    numeric = {
        column: all(pd.isna(key) or isinstance(key, int | float) for key in keys[column])
        for column in text.columns
    }
    kind = {column: "number" if numeric[column] else "text" for column in text.columns}
    header = "".join(
        f'<th class="{kind[column]}"><button>{escape(column)}</button></th>'
        for column in text.columns
    )
    rows = []
    for i, (name, row) in enumerate(zip(classes, text.to_dict("records"), strict=True)):
        cells = "".join(
            f'<td class="{kind[column]}" data-value="{_sort_value(keys[column][i])}">'
            f"{escape(str(row[column]))}</td>"
            for column in text.columns
        )
        rows.append(f'<tr class="{name}">{cells}</tr>')
    body = "\n".join(rows)
    return (
        f'<div class="scroll"><table class="sortable"><thead><tr>{header}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _sort_value(key: Any) -> str:
    return "" if pd.isna(key) else escape(str(key))


def _definitions(title: str, entries: Mapping[str, str]) -> str:
    if not entries:
        return ""
    items = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in entries.items()
    )
    return f"<h2>{escape(title)}</h2>\n<dl>{items}</dl>"
