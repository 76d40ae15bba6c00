"""A run described by a TOML file: `paretobert run docs.toml`.

Its keys are the options of the command, and `folder` is the run folder; tables are headings and
mean nothing. What is given on the command line beside it counts more. The folder is
relative to the file, and so are the data and the model where they lie there. Without `folder`
the run lies beside the file, under its name.

    model = "minilm"
    task = "files"
    data = "reviews.csv"

    [training]
    widths = [1, 0.5, 0.25]
    recipe = "sandwich"
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup, TyperOption

from ..errors import InputError, shortened

COMMANDS = ("run", "train")
"""What may be described."""

SUFFIX = ".toml"
FOLDER = "folder"
PATHS = ("model", "data", "report-data", "unlabelled")
"""Options that may name what lies beside the file."""


def with_description(words: Sequence[str], app: typer.Typer) -> list[str]:
    """The words of a command line with a description's options in place of the file.

    Args:
        words: The command and what follows.
        app: The command line that they are for.

    Raises:
        InputError: When the file cannot be read, or has a key that is no option.
    """
    place = next((i for i, word in enumerate(words) if i and word.endswith(SUFFIX)), None)
    if place is None or words[0] not in COMMANDS:
        return list(words)
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    options = {
        word.removeprefix("--"): option
        for option in group.commands[words[0]].params
        if isinstance(option, TyperOption)
        for word in option.opts
        if word.startswith("--")
    }
    folder, given = _read(Path(words[place]), options, command=words[0])
    return [words[0], folder, *given, *words[1:place], *words[place + 1 :]]


def _read(
    path: Path, options: Mapping[str, TyperOption], *, command: str
) -> tuple[str, list[str]]:
    """The run folder and the options that a file gives."""
    try:
        entries = dict(_flat(tomllib.loads(path.read_text(encoding="utf-8"))))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid TOML: {error}.") from None
    folder = entries.pop(FOLDER, path.stem)
    words: list[str] = []
    for key, value in entries.items():
        name = key.replace("_", "-")
        if name not in options:
            near = get_close_matches(name, options, n=1)
            hint = f"; did you mean {near[0]}?" if near else f": see `paretobert {command} -h`."
            raise InputError(f"{path}: {shortened(key)} is no option of {command}{hint}")
        words += _words(name, value, options[name], beside=path.parent)
    return str(path.parent / str(folder)), words


def _flat(table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value)
        else:
            yield key, value


def _words(name: str, value: Any, option: TyperOption, *, beside: Path) -> list[str]:
    """An option as it would be typed."""
    if option.is_flag:
        return [f"--{name}"] if value else []
    several = value if isinstance(value, list) else [value]
    if name in PATHS:
        several = [near if (near := beside / str(entry)).exists() else entry for entry in several]
    if option.multiple:
        return [word for entry in several for word in (f"--{name}", str(entry))]
    return [f"--{name}", ",".join(map(str, several))]
