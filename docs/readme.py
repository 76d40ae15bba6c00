"""Write README.md from docs/README.in.md: every number in it is looked up in a committed file.

    python docs/readme.py            # or `make readme`
    python docs/readme.py --check    # says which lines differ, and ends with 1 where some do

In the template `{{NAME:PATH|FORMAT}}` is a value of a source. Sources are named in the comment at
the template's head, which is left out of the result, as `NAME = FILE`. A path is of keys between
dots; `[key=value,...]` picks the first entry of a list, or row of a CSV file, that has them. A
format is Python's, `[.1f]` prints a record with its interval, and `*1e-6` after it scales.
`{{cell NOTEBOOK ID}}` is what a cell printed.
"""

import argparse
import csv
import json
import re
import sys
from difflib import unified_diff
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TEMPLATE, RESULT = ROOT / "docs" / "README.in.md", ROOT / "README.md"

HEAD = re.compile(r"\A<!--\n(.*?)-->\n", re.DOTALL)
PLACE = re.compile(r"\{\{(.+?)\}\}")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
STEP = re.compile(r"([^.\[\]]+)|\[([^\]]+)\]")


def read(path: Path) -> Any:
    """A source: JSON, or the rows of a CSV file."""
    if path.suffix == ".json":
        return json.loads(path.read_text())
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def looked_up(source: Any, path: str) -> Any:
    """What stands at a path in a source.

    >>> looked_up({"rows": [{"n": "1", "x": 5}, {"n": "2", "x": 7}]}, "rows[n=2].x")
    7

    Raises:
        KeyError: When nothing does.
    """
    for key, conditions in STEP.findall(path):
        if key:
            source = source[int(key) if isinstance(source, list) else key]
            continue
        wanted = dict(entry.split("=") for entry in conditions.split(","))
        found = [row for row in source if all(str(row[k]) == v for k, v in wanted.items())]
        if not found:
            raise KeyError(conditions)
        source = found[0]
    return source


def output(notebook: dict[str, Any], identifier: str) -> str:
    """What a cell of a notebook printed on standard output, without colours."""
    (cell,) = (entry for entry in notebook["cells"] if entry["id"] == identifier)
    found = (entry for entry in cell["outputs"] if entry.get("name") == "stdout")
    text = COLOUR.sub("", "".join("".join(entry["text"]) for entry in found))
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def printed(value: Any, form: str) -> str:
    """A value in a format.

    >>> printed(22713986, ".1f*1e-6"), printed({"value": 5, "low": 4, "high": 6}, "[.1f]")
    ('22.7', '5.0 [4.0, 6.0]')
    """
    form, _, factor = form.partition("*")
    scale = float(factor or 1)
    if form.startswith("["):
        value, low, high = (
            format(scale * float(value[end]), form[1:-1]) for end in ("value", "low", "high")
        )
        return f"{value} [{low}, {high}]"
    return format(scale * float(value), form) if form else str(value)


def rendered(template: str) -> str:
    """The text with every placeholder filled.

    Raises:
        KeyError: When a placeholder names what no source has; the message says which.
    """
    head = HEAD.match(template)
    assert head is not None, "the template begins with a comment that names its sources"
    names = dict(line.split(" = ") for line in head[1].strip().splitlines())
    sources = {name: read(ROOT / path) for name, path in names.items()}

    def filled(match: re.Match[str]) -> str:
        words = match[1]
        if words.startswith("cell "):
            _, notebook, identifier = words.split()
            return output(json.loads((ROOT / notebook).read_text()), identifier)
        name, _, rest = words.partition(":")
        path, _, form = rest.partition("|")
        try:
            return printed(looked_up(sources[name], path), form)
        except (KeyError, IndexError, TypeError) as error:
            raise KeyError(f"{words}: {names.get(name, name)} has no {error}") from None

    return PLACE.sub(filled, template[head.end() :])


def main() -> int:
    """Write README.md, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; say what differs")
    text = rendered(TEMPLATE.read_text())
    if not parser.parse_args().check:
        RESULT.write_text(text)
        return 0
    lines = [entry.splitlines(keepends=True) for entry in (RESULT.read_text(), text)]
    differences = list(unified_diff(*lines, "README.md", "README.md from its sources"))
    sys.stdout.writelines(differences)
    return bool(differences)


if __name__ == "__main__":
    sys.exit(main())
