"""Tables that fit a terminal."""

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from paretobert.cli.layout import ALWAYS, EXTRA, INTERVAL, LABEL, Column, Sheet, fitting

COLUMNS = [
    Column("#", ["4", "12"]),
    Column("network", ["L1.3.5-H6-F768", "full"], is_text=True),
    Column("called", ["width 0.5, 3 of 6 layers", ""], LABEL, is_text=True),
    Column("accuracy", ["0.8802", "0.8963"]),
    Column("95 %", ["0.856 to 0.900", "0.874 to 0.914"], INTERVAL),
    Column("latency", ["9.64 ms", "35.7 ms"]),
    Column("interval", ["9.5 to 9.8", "35.1 to 36.2"], INTERVAL),
    Column("FLOPs", ["0.72G", "2.87G"], EXTRA),
    Column("energy", ["", ""], EXTRA),
]


def printed(sheet: Sheet, *, columns_wide: int) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=columns_wide).print(sheet)
    return out.getvalue().splitlines()


def headings(columns_wide: int) -> list[str]:
    return [entry.heading for entry in fitting(COLUMNS, columns_wide)]


def test_intervals_go_first_then_costs_then_labels() -> None:
    every = ["#", "network", "called", "accuracy", "95 %", "latency", "interval", "FLOPs"]
    assert headings(200) == every
    assert headings(100) == [name for name in every if name != "interval"]
    kept = ["#", "network", "called", "accuracy", "latency", "FLOPs"]
    assert headings(80) == kept
    assert headings(70) == kept[:-1]
    assert headings(50) == ["#", "network", "accuracy", "latency"]
    assert headings(10) == headings(50)


@given(st.integers(1, 200))
def test_numbers_and_names_are_never_cut(columns_wide: int) -> None:
    kept = fitting(COLUMNS, columns_wide)
    asked = [entry for entry in COLUMNS if entry.rank == ALWAYS]
    assert [entry for entry in kept if entry.rank == ALWAYS] == asked
    lines = printed(Sheet(COLUMNS), columns_wide=max(columns_wide, 50))
    for entry in asked:
        assert all(any(cell in line for line in lines) for cell in entry.cells)


def test_a_name_that_is_wider_than_the_terminal_breaks() -> None:
    name = "L0.1.2.3.4.5.6.7.8.9.10.11-H" + "12." * 11 + "12-F" + "3072." * 11 + "3072"
    columns = [Column("network", [name], is_text=True), Column("accuracy", ["0.8802"])]
    lines = printed(Sheet(columns), columns_wide=60)
    assert "".join(line.split()[0] for line in lines[1:]) == name
    assert "0.8802" in lines[1]
    assert all(cell_len(line) <= 60 for line in lines)


def test_what_went_is_named() -> None:
    assert "more with --verbose: 95 %, interval" in printed(Sheet(COLUMNS), columns_wide=80)[-1]
