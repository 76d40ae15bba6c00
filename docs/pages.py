"""Write the pages whose numbers are looked up in committed files, from their templates.

    python docs/pages.py            # or `make pages`
    python docs/pages.py --check    # says which lines differ, and ends with 1 where some do

A template begins with a comment that names its sources, JSON or CSV files, as `NAME = FILE`; the
page is written without it. In the template

- `{{NAME:PATH|FORMAT}}` is the one value that a path leads to in a source;
- `{{min NAME:PATH|FORMAT}}` is the least of all that it leads to, and so `max`, `mean` and `sum`;
  with `cells` all of them stand there, as cells of a table;
- `{{for NAME:PATH}}` at the head of a line writes the line for every value that the path leads
  to, and `{{.PATH|FORMAT}}` in that line is of this value;
- `{{cell NOTEBOOK ID}}` is what a cell printed.

See `selected` for paths and `printed` for formats.
"""

import argparse
import csv
import json
import math
import re
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

DOCS = ROOT / "docs"

PAGES = {
    DOCS / "README.in.md": ROOT / "README.md",
    DOCS / "science.in.md": DOCS / "science.md",
    DOCS / "costs.in.md": DOCS / "costs.md",
    DOCS / "statistics.in.md": DOCS / "statistics.md",
    DOCS / "many-machines.in.md": DOCS / "many-machines.md",
}
"""Each template with the page that is made of it."""

WORDS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "min": min,
    "max": max,
    "mean": statistics.fmean,
    "sum": math.fsum,
}

CELLS = "cells"

HEAD = re.compile(r"\A<!--\n(.*?)-->\n", re.DOTALL)
EACH = re.compile(r"\{\{for (.+?)\}\}")
PLACE = re.compile(r"\{\{(.+?)\}\}")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
STEP = re.compile(r"([^.\[\]]+)|\[([^\]]+)\]")
CONDITION = re.compile(r",(?=[\w.]+=)")
FORM = re.compile(
    r"(?P<ends>\[)?(?P<spec>[^\]*/]*)\]?(?:(?P<by>[*/])(?P<factor>\S+))?(?P<tie> tie)?"
)


def read(path: Path) -> Any:
    """A source: JSON, or the rows of a CSV file.

    Columns `x`, `x_low` and `x_high` of a row are one record with its interval, `x`; an empty
    field is None.
    """
    if path.suffix == ".json":
        return json.loads(path.read_text())
    with path.open(newline="") as file:
        return [joined(row) for row in csv.DictReader(file)]


def joined(row: Mapping[str, str]) -> dict[str, Any]:
    """A row of a CSV file with its intervals as records.

    >>> joined({"n": "2", "x": ".5", "x_low": ".4", "x_high": ".6"})["x"]
    {'value': 0.5, 'low': 0.4, 'high': 0.6}
    """
    ends = {
        name: (text, row.get(f"{name}_low"), row.get(f"{name}_high")) for name, text in row.items()
    }
    return {
        name: dict(zip(("value", "low", "high"), map(float, known), strict=True))
        if all(known := ends[name])
        else text or None
        for name, text in row.items()
    }


def selected(source: Any, path: str) -> list[Any]:
    """All that a path leads to.

    A path is of keys between dots, or in brackets where they hold dots themselves. `*` is every
    entry of a list or a record, `[PATH=TEXT,...]` every entry of a list in which these paths lead
    to these texts.

    >>> rows = {"rows": [{"n": 1, "x": {".5": 5}}, {"n": 2, "x": {".5": 7}}]}
    >>> selected(rows, "rows[n=2].x[.5]"), selected(rows, "rows.*.n"), selected(rows, "rows.1.n")
    ([7], [1, 2], [2])

    Raises:
        KeyError: When a key is not there, or nothing fulfils a condition.
    """
    found = [source]
    for plain, bracket in STEP.findall(path):
        key = plain or bracket
        if key == "*":
            found = [entry for value in found for entry in entries(value)]
        elif "=" in bracket:
            wanted = CONDITION.split(bracket)
            found = [
                entry
                for value in found
                for entry in value
                if all(fulfils(entry, condition) for condition in wanted)
            ]
        else:
            found = [value[int(key) if isinstance(value, list) else key] for value in found]
        if not found:
            raise KeyError(key)
    return found


def fulfils(entry: Any, condition: str) -> bool:
    """Whether `PATH=TEXT` holds for an entry; where the path leads nowhere it does not."""
    path, text = condition.split("=")
    try:
        return [str(value) for value in selected(entry, path)] == [text]
    except (KeyError, IndexError):
        return False


def entries(value: Any) -> list[Any]:
    """The entries of a list or a record."""
    return list(value.values()) if isinstance(value, dict) else value


def number(value: Any) -> float:
    """A number, or that of a record with an interval: the first that stands in it.

    >>> number("5"), number({"tie": True, "speedup": 5, "low": 4, "high": 6})
    (5.0, 5.0)
    """
    if isinstance(value, dict):
        known = (entry for entry in value.values() if not isinstance(entry, bool | str))
        return float(next(known))
    return float(value)


def printed(value: Any, form: str) -> str:
    """A value in a format.

    That is one of Python's, or `.3p`, which is `.3f` without the zero before the point; `*1e-6` or
    `/60` after it scales. In brackets it prints a record with its interval, and after ` tie` a
    difference that is one says so, with the difference that would have shown. Without a format a
    value is printed as it stands, and None always as nothing.

    >>> printed(22713986, ".1f*1e-6"), printed("word", ""), printed(-0.0004, ".3p")
    ('22.7', 'word', '.000')
    >>> loss = {"value": -.5, "low": -1.5, "high": .25, "tie": True, "detectable": 1.25}
    >>> printed(loss, ".1p"), printed(loss, "[.2p]*-1"), printed(loss, "[.2f] tie")
    ('-.5', '.50 [-.25, 1.50]', '-0.50 [-1.50, 0.25], tie, 1.25')
    """
    if value is None:
        return ""
    if not form:
        return str(value)
    parts = FORM.fullmatch(form)
    if parts is None:
        raise ValueError(f"{form} is no format")
    factor = float(parts["factor"] or 1)
    scale = 1 / factor if parts["by"] == "/" else factor

    def scaled(value: Any) -> str:
        return figure(scale * number(value), parts["spec"])

    if not parts["ends"]:
        return scaled(value)
    ends = (value["low"], value["high"])
    low, high = map(scaled, ends if scale > 0 else reversed(ends))
    text = f"{scaled(value)} [{low}, {high}]"
    if parts["tie"] and value["tie"]:
        text += f", tie, {scaled(value['detectable'])}"
    return text


def figure(value: float, spec: str) -> str:
    """A number by a format of Python's, or by `.3p`."""
    if not spec.endswith("p"):
        return format(value, spec)
    return re.sub(r"^(-?)0\.", r"\1.", format(value, f"z{spec[:-1]}f"))


def output(notebook: Mapping[str, Any], identifier: str) -> str:
    """What a cell of a notebook printed on standard output, without colours."""
    (cell,) = (entry for entry in notebook["cells"] if entry["id"] == identifier)
    found = (entry for entry in cell["outputs"] if entry.get("name") == "stdout")
    text = COLOUR.sub("", "".join("".join(entry["text"]) for entry in found))
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


@dataclass(frozen=True, slots=True)
class Sources:
    """The files that a template names, read.

    Attributes:
        files: The path of each, by its name.
        contents: What is in each, by its name.
    """

    files: Mapping[str, str]
    contents: Mapping[str, Any]

    @classmethod
    def of(cls, head: str) -> "Sources":
        """Read what the lines of a template's head name."""
        files = dict(line.split(" = ") for line in head.strip().splitlines())
        return cls(files, {name: read(ROOT / path) for name, path in files.items()})

    def found(self, place: str, here: Any = None) -> list[Any]:
        """What `NAME:PATH` leads to, or `.PATH` from a value.

        Raises:
            KeyError: When that is nothing; the message says where.
        """
        name, path = ("", place) if place.startswith(".") else place.split(":", 1)
        try:
            return selected(self.contents[name] if name else here, path)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise KeyError(f"{place}: {self.files.get(name, name)} has no {error}") from None

    def filled(self, words: str, here: Any = None) -> str:
        """The text in a placeholder's stead.

        Args:
            words: What is in its braces.
            here: The value that its line is written for.

        Raises:
            KeyError: See `found`, or when several values are found where one is meant.
        """
        word, _, rest = words.partition(" ")
        if word == "cell":
            notebook, identifier = rest.split()
            return output(json.loads((ROOT / notebook).read_text()), identifier)
        place, _, form = (rest if word in (*WORDS, CELLS) else words).partition("|")
        values = self.found(place, here)
        if word in WORDS:
            values = [WORDS[word]([number(value) for value in values])]
        if len(values) > 1 and word != CELLS:
            raise KeyError(f"{place} leads to {len(values)} values")
        return " | ".join(printed(value, form) for value in values)

    def line(self, line: str) -> str:
        """A template's line with every placeholder filled, as often as it is to be written."""
        each = EACH.match(line)
        if each is None:
            return PLACE.sub(lambda match: self.filled(match[1]), line)
        return "".join(
            PLACE.sub(lambda match, here=here: self.filled(match[1], here), line[each.end() :])
            for here in self.found(each[1])
        )


def rendered(template: str) -> str:
    """The text with every placeholder filled.

    Raises:
        KeyError: See `Sources.filled`.
    """
    head = HEAD.match(template)
    assert head is not None, "the template begins with a comment that names its sources"
    sources = Sources.of(head[1])
    return "".join(map(sources.line, template[head.end() :].splitlines(keepends=True)))


def main() -> int:
    """Write the pages, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; say what differs")
    check = parser.parse_args().check
    differences = []
    for template, page in PAGES.items():
        text = rendered(template.read_text())
        if not check:
            page.write_text(text)
            continue
        lines = [entry.splitlines(keepends=True) for entry in (page.read_text(), text)]
        differences += unified_diff(*lines, page.name, f"{page.name} from its sources")
    sys.stdout.writelines(differences)
    return bool(differences)


if __name__ == "__main__":
    sys.exit(main())
