"""The tables: pandas frames for machines, text for readers, CSV and Markdown (no torch).

`results_frame`, `selection_frame` and `published_frame` are the only places where records become
frames; everything in them is a number or a word. `readable` turns a results frame into the columns
that people read.
"""

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import pandas as pd

from ..intervals import bracketed
from ..search.candidate import Candidate, StatedScore
from ..search.front import ParetoFront
from ..search.quantities import QUANTITIES
from ..search.selection import SelectionReport
from ..tasks.scores import Evaluation
from . import shared

COLUMNS = (
    "#",
    "network",
    "deployment",
    "params",
    "FLOPs",
    "latency, ms",
    "latency / full",
    "search",
    "report",
    "fronts",
)
"""The columns of `readable`."""

SELECTION_COLUMNS = (
    "#",
    "network",
    "deployment",
    "chosen from",
    "search",
    "corrected",
    "report",
    "search − report",
    "corrected − report",
)
"""The columns of `readable_selection`."""

FURTHER = re.compile(r"report-.+_n")
"""The column of a results frame that counts the examples of a further report split."""

_COUNT_TYPES = {"num_params": "Int64", "num_flops": "Int64"}


def results_frame(
    candidates: Sequence[Candidate],
    reported: Mapping[str, Evaluation],
    further: Mapping[str, Mapping[str, Evaluation]],
    *,
    numbers: Mapping[str, int],
) -> pd.DataFrame:
    """Networks with their costs and their scores, one row each, in order.

    Args:
        candidates: Scored on the search split.
        reported: Scores on the report split by key, as far as there are any.
        further: The same for further report splits, by the split's name.
        numbers: The networks' numbers by their ids.

    Returns:
        Columns `number`, `label`, `deployment`, `key`, `origin`, `num_params`, `num_flops`, the
        latency's, the scores' with their intervals and `fronts`: the costs that no other
        candidate beats it on, judged on the search split. What is unknown is missing.
    """
    fronts = _fronts(candidates)
    rows = [
        {
            "number": numbers.get(candidate.network.id),
            "label": candidate.label,
            "deployment": "" if candidate.origin == "published" else candidate.deployment.title,
            "key": candidate.name,
            "id": candidate.network.id,
            "origin": candidate.origin,
            "num_params": candidate.num_params,
            "num_flops": candidate.num_flops,
            **_latency(candidate),
            **_score("search", candidate.evaluation),
            **_score("report", reported.get(candidate.key)),
            **{
                column: value
                for split, scores in further.items()
                for column, value in _score(split, scores.get(candidate.key)).items()
            },
            "fronts": ", ".join(fronts[candidate.key]),
        }
        for candidate in candidates
    ]
    return pd.DataFrame(rows).astype({"number": "Int64", **_COUNT_TYPES})


def selection_frame(
    selection: SelectionReport,
    candidates: Sequence[Candidate],
    reported: Mapping[str, Evaluation],
    *,
    numbers: Mapping[str, int],
) -> pd.DataFrame:
    """What a front's members score on both splits, as they are and corrected for being chosen.

    Args:
        selection: The corrected scores of a front of the candidates.
        candidates: Scored on the search split; they give labels.
        reported: Scores on the report split by key, as far as there are any.
        numbers: The networks' numbers by their ids.

    Returns:
        One row for each member, in the front's order: `number`, `label`, `deployment`, `key`,
        `num_tried` (networks that cost no more), `search`, `corrected`, `corrected_error` (its
        standard error), `report`, and how far the two former lie above it: `search_gap`,
        `corrected_gap`.
    """
    by_key = {candidate.key: candidate for candidate in candidates}
    rows = []
    for key, score in selection.scores.items():
        report = reported[key].value if key in reported else None
        rows.append(
            {
                "number": numbers[by_key[key].network.id],
                "label": by_key[key].label,
                "deployment": by_key[key].deployment.title,
                "key": key,
                "num_tried": score.num_tried,
                "search": score.plain,
                "corrected": score.corrected,
                "corrected_error": score.standard_error,
                "report": report,
                "search_gap": None if report is None else score.plain - report,
                "corrected_gap": None if report is None else score.corrected - report,
            }
        )
    return pd.DataFrame(rows)


def published_frame(published: Sequence[Candidate]) -> pd.DataFrame:
    """Published numbers with their sources, one row each."""
    columns = ("model", "num_params", "num_flops", "metric", "split", "score", "source")
    rows = [
        (
            candidate.label,
            candidate.num_params,
            candidate.num_flops,
            candidate.evaluation.metric,
            candidate.evaluation.split,
            candidate.evaluation.value,
            shared.source(candidate),
        )
        for candidate in published
    ]
    return pd.DataFrame(rows, columns=columns).astype(_COUNT_TYPES)


def further_splits(frame: pd.DataFrame) -> list[str]:
    """The further report splits of a results frame."""
    return [name.removesuffix("_n") for name in frame.columns if FURTHER.fullmatch(name)]


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """A results frame as text: short counts, values with their intervals, "" for the unknown."""
    further = further_splits(frame)
    rows = [
        {
            "#": "" if row["number"] is None else str(row["number"]),
            "network": row["label"],
            "deployment": row["deployment"],
            "params": _quantity("num_params", row["num_params"]),
            "FLOPs": _quantity("num_flops", row["num_flops"]),
            "latency, ms": _interval(row, "latency_ms", "latency_low_ms", "latency_high_ms", ".2f")
            + _unresolved(row),
            "latency / full": _interval(
                row, "latency_ratio", "latency_ratio_low", "latency_ratio_high", ".3f"
            ),
            "search": _interval(row, "search", "search_low", "search_high", ".4f"),
            "report": _interval(row, "report", "report_low", "report_high", ".4f"),
            **{
                name: _interval(row, name, f"{name}_low", f"{name}_high", ".4f")
                for name in further
            },
            "fronts": row["fronts"],
        }
        for row in _records(frame)
    ]
    return _naming_deployments(pd.DataFrame(rows, columns=[*COLUMNS, *further]))


def readable_selection(frame: pd.DataFrame) -> pd.DataFrame:
    """A selection frame as text."""
    rows = [
        {
            "#": str(row["number"]),
            "network": row["label"],
            "deployment": row["deployment"],
            "chosen from": str(row["num_tried"]),
            "search": f"{row['search']:.4f}",
            "corrected": f"{row['corrected']:.4f} ± {row['corrected_error']:.4f}",
            "report": "" if row["report"] is None else f"{row['report']:.4f}",
            "search − report": _signed(row["search_gap"]),
            "corrected − report": _signed(row["corrected_gap"]),
        }
        for row in _records(frame)
    ]
    return _naming_deployments(pd.DataFrame(rows, columns=list(SELECTION_COLUMNS)))


def readable_published(frame: pd.DataFrame) -> pd.DataFrame:
    """A published frame as text."""
    rows = [
        {
            "model": row["model"],
            "params": _quantity("num_params", row["num_params"]),
            "FLOPs": _quantity("num_flops", row["num_flops"]),
            "score": f"{row['score']:.4f}",
            "split": row["split"],
            "source": row["source"],
        }
        for row in _records(frame)
    ]
    return pd.DataFrame(rows, columns=["model", "params", "FLOPs", "score", "split", "source"])


def csv_text(frame: pd.DataFrame) -> str:
    """A frame as CSV with a header line and line feeds."""
    return frame.to_csv(index=False, float_format="%.6g", lineterminator="\n")


def markdown_text(frame: pd.DataFrame) -> str:
    """A frame of text as a Markdown table; what Markdown or HTML would read is escaped."""
    lines = [list(frame.columns), ["---"] * len(frame.columns), *frame.values.tolist()]
    cells = [[_markdown_cell(str(cell)) for cell in line] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


def _naming_deployments(text: pd.DataFrame) -> pd.DataFrame:
    """A table without the column of deployments where there is one, or none."""
    found = set(text["deployment"]) - {""}
    return text if len(found) > 1 else text.drop(columns="deployment")


def _fronts(candidates: Sequence[Candidate]) -> dict[str, list[str]]:
    fronts: dict[str, list[str]] = {candidate.key: [] for candidate in candidates}
    for quantity in QUANTITIES.values():
        if not quantity.larger_is_better:
            known = shared.rivals(candidates, quantity.name)
            for member in ParetoFront.of(known, ("score", quantity.name)).members:
                fronts[member.key].append(quantity.word)
    return fronts


def _latency(candidate: Candidate) -> dict[str, Any]:
    latency = candidate.latency
    return {
        "latency_ms": latency and latency.time_ms.value,
        "latency_low_ms": latency and latency.time_ms.low,
        "latency_high_ms": latency and latency.time_ms.high,
        "latency_p90_ms": latency and latency.p90_ms,
        "latency_ratio": latency and latency.ratio.value,
        "latency_ratio_low": latency and latency.ratio.low,
        "latency_ratio_high": latency and latency.ratio.high,
        "latency_processes": latency and latency.ratio.n,
        "latency_resolved": latency and latency.resolved,
    }


def _score(name: str, evaluation: Evaluation | StatedScore | None) -> dict[str, Any]:
    interval = evaluation and evaluation.interval
    return {
        name: evaluation and evaluation.value,
        f"{name}_low": interval and interval.low,
        f"{name}_high": interval and interval.high,
        f"{name}_n": interval and interval.n,
    }


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows with None for what is missing."""
    return [
        {str(name): None if pd.isna(value) else value for name, value in row.items()}
        for row in frame.to_dict("records")
    ]


def _quantity(name: str, value: Any) -> str:
    return "" if value is None else QUANTITIES[name].text(value)


def _interval(row: Mapping[str, Any], value: str, low: str, high: str, places: str) -> str:
    if row[value] is None:
        return ""
    if row[low] is None:
        return format(row[value], places)
    return bracketed(row[value], row[low], row[high], show=places)


def _signed(difference: float | None) -> str:
    return "" if difference is None else f"{difference:+.4f}".replace("-", "−")


def _unresolved(row: Mapping[str, Any]) -> str:
    return " (not resolved)" if row["latency_resolved"] is False else ""


def _markdown_cell(text: str) -> str:
    return escape(" ".join(text.split()), quote=False).replace("|", "\\|")
