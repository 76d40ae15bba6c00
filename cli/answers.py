"""What `query` prints: the answer, the networks beside it, one caveat, one command to copy."""

import shlex

from rich.console import Group, RenderableType
from rich.text import Text

from ..pipeline.run import Run
from ..search.result import QueryResult
from ..search.wording import caveats, headline, reason, rows
from .layout import INTERVAL, LABEL, Column, Sheet
from .tables import candidate_columns, latency_note


def answer_view(run: Run, result: QueryResult) -> RenderableType:
    """The answer, as short as it can be said."""
    return Group(
        Text(headline(result), style="bold"),
        Text(reason(result)),
        Text(),
        rows_table(run, result),
        *_caveat(result),
        Text(),
        Text(command(run, result)),
    )


def rows_table(run: Run, result: QueryResult) -> RenderableType:
    """The networks to see together; scores are of the search split, which the choice was by."""
    shown = rows(result)
    candidates = [entry for _, entry in shown]
    latencies = [entry.latency for entry in candidates]
    titles = [entry.deployment.title if result.several else "" for entry in candidates]
    speeds = ["" if entry is None else f"{entry.speedup:.2f}x" for entry in latencies]
    metric = candidates[0].evaluation.metric
    columns = [
        entry for entry in candidate_columns(candidates, run.numbers) if entry.heading != "called"
    ]
    columns.insert(1, Column("", [part for part, _ in shown], is_text=True))
    columns.insert(3, Column("deployment", titles, LABEL, is_text=True))
    columns.insert(-2, Column("speed", speeds, INTERVAL - 1))
    return Sheet(
        columns,
        caption=f"{metric}: on the search split, by which networks are chosen"
        + latency_note(latencies),
        bold_row=0,
        names_rest=False,
    )


def command(run: Run, result: QueryResult) -> str:
    """The command that goes on from the answer."""
    folder = shlex.quote(str(run.folder.root))
    if result.answer is None:
        return f"paretobert show {folder}"
    answer = result.answer
    words = ["paretobert export", folder, "--network", shlex.quote(answer.name)]
    own = run.request.protocol
    for option, value, default in (
        ("--runtime", answer.deployment.runtime, own.runtime),
        ("--precision", answer.deployment.precision, own.precision),
    ):
        if value != default:
            words += [option, value]
    return " ".join([*words, "--to", "small"])


def _caveat(result: QueryResult) -> list[RenderableType]:
    found = caveats(result)
    if not found:
        return []
    more = f" ({len(found) - 1} more: --verbose)" if found[1:] else ""
    return [Text(), Text(f"Caveat: {found[0]}{more}", style="yellow")]
