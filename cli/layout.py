"""Tables that fit a terminal: columns go, the least important first, and nothing is cut.

Numbers and the names by which networks are asked for never go and never break over lines. Where
even those are too wide, a label wraps, and at last a name does.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

ALWAYS, LABEL, EXTRA, INTERVAL = range(4)
"""Ranks: what never goes; then, the last one first, a second name, another cost, an interval."""

_GAP = 2


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        heading: Its heading.
        cells: A text for each row.
        rank: How soon it goes where the table is too wide; `ALWAYS` stays.
        is_text: Whether it is flush left.
        wraps: Whether its cells may break over lines, rather than go.
    """

    heading: str
    cells: Sequence[str]
    rank: int = ALWAYS
    is_text: bool = False
    wraps: bool = False

    @property
    def width(self) -> int:
        """Columns that its widest cell takes."""
        return max(map(cell_len, (self.heading, *self.cells)))


def fitting(columns: Sequence[Column], columns_wide: int) -> list[Column]:
    """The columns that fit beside each other; what stays at any width is always among them.

    Empty columns go first. Of equal ranks the last goes first.

    Args:
        columns: All of them.
        columns_wide: What the terminal has.
    """
    kept = [entry for entry in columns if any(entry.cells)]
    while _width(kept) > columns_wide and any(entry.rank for entry in kept):
        worst = max(entry.rank for entry in kept)
        last = max(place for place, entry in enumerate(kept) if entry.rank == worst)
        if kept[last].wraps:
            kept[last] = replace(kept[last], rank=ALWAYS)
        else:
            kept.pop(last)
    return kept


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table that fits whatever it is printed on.

    Attributes:
        columns: Its columns.
        title: A line above it.
        caption: A line below it.
        bold_row: A row to stress.
        names_rest: Whether the columns that went are named.
    """

    columns: Sequence[Column]
    title: str = ""
    caption: str = ""
    bold_row: int | None = None
    names_rest: bool = True

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table in as many columns as there are."""
        asked = [entry for entry in self.columns if any(entry.cells)]
        kept = fitting(asked, options.max_width)
        headings = {entry.heading for entry in kept}
        rest = [entry.heading for entry in asked if entry.heading not in headings]
        if self.title:
            yield Text(self.title, style="italic")
        yield self._table(kept, too_wide=_width(kept) > options.max_width)
        if self.caption:
            yield Text(self.caption, style="dim")
        if rest and self.names_rest:
            yield Text(f"more with --verbose: {', '.join(rest)}", style="dim")

    def _table(self, columns: Sequence[Column], *, too_wide: bool) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0))
        for entry in columns:
            table.add_column(
                Text(entry.heading),
                justify="left" if entry.is_text else "right",
                no_wrap=not (entry.wraps or (too_wide and entry.is_text)),
                overflow="fold",
            )
        for place, row in enumerate(zip(*(entry.cells for entry in columns), strict=True)):
            table.add_row(*map(Text, row), style="bold" if place == self.bold_row else None)
        return table


def _width(columns: Sequence[Column]) -> int:
    return sum(entry.width for entry in columns) + _GAP * len(columns)
