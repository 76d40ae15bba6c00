"""Tables as notebooks show them (no torch)."""

from collections.abc import Sequence
from html import escape

from .candidate import Candidate
from .quantities import QUANTITIES


def html_table(
    candidates: Sequence[Candidate],
    *,
    first: Sequence[str] = (),
    stressed: int | None = None,
    caption: str = "",
) -> str:
    """Networks with their scores and costs, intervals included.

    Args:
        candidates: The networks, all scored on one split.
        first: What stands before each; empty for nothing.
        stressed: The row that is set in bold.
        caption: A sentence below.
    """
    metric = candidates[0].evaluation.metric if candidates else "score"
    split = candidates[0].evaluation.split if candidates else ""
    headings = ["network", f"{metric}, {split}", "latency", "parameters", "FLOPs"]
    rows = [_cells(entry) for entry in candidates]
    if first:
        headings.insert(0, "")
        rows = [[word, *row] for word, row in zip(first, rows, strict=True)]
    lines = ["<table>", f"<thead>{_row(headings, cell='th')}</thead>", "<tbody>"]
    lines += [
        _row(row, cell="th" if place == stressed else "td") for place, row in enumerate(rows)
    ]
    foot = f"<caption style='caption-side: bottom'>{escape(caption)}</caption>" if caption else ""
    return "\n".join([*lines, "</tbody>", foot, "</table>"])


def _row(cells: Sequence[str], *, cell: str) -> str:
    inside = "".join(f"<{cell}>{escape(text)}</{cell}>" for text in cells)
    return f"<tr>{inside}</tr>"


def _cells(candidate: Candidate) -> list[str]:
    score, latency = candidate.evaluation, candidate.latency
    counts = (("num_params", candidate.num_params), ("num_flops", candidate.num_flops))
    return [
        candidate.name,
        f"{score.value:.4f}" if score.interval is None else score.interval.text(".4f"),
        "" if latency is None else latency.time_ms.text(".3g", unit=" ms"),
        *("" if value is None else QUANTITIES[name].text(value) for name, value in counts),
    ]
