"""`paretobert measure`: what exported networks cost on the machine that they will run on."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from ..errors import InputError, shortened
from ..profiling.carried import Carried, write_carried
from ..profiling.exported import (
    Exported,
    measure_exports,
    protocol_for,
    read_exports,
    reference_of,
)
from ..profiling.quietness import disturbances
from .display import begin, meter, say, say_next, show, show_json
from .options import Json, MeasuredGiven, Verbose
from .tables import carried_table

EPILOG = """
$ paretobert measure full-onnx small-onnx --name edge-box

$ paretobert profile runs/docs --import edge-box.json
"""


def command(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR...", help="Folders of `paretobert export`.", show_default=False
        ),
    ],
    protocol_given: MeasuredGiven,
    lengths: Annotated[
        str | None, typer.Option(help="Lengths of texts in tokens, between commas.")
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(help="The folder that ratios refer to; the full model's if left out."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="What to call this machine.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="The file to write; NAME.json if left out.")
    ] = None,
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    """Measure exported folders together on this machine, and write one file to carry back.

    Neither a run nor its data is needed here, and for ONNX Runtime and OpenVINO neither torch nor
    transformers. Without options the folders are measured as their run was.
    """
    begin(verbose=verbose)
    exports = read_exports(folders)
    sentinel = reference_of(exports, reference)
    protocol = protocol_for(sentinel, protocol_given)
    if lengths is not None:
        protocol = protocol.with_lengths(_counts(lengths))
    target = out or Path(f"{_file_name(name)}.json")
    if target.exists():
        raise InputError(f"{target} exists already: name another file with --out.")
    for line in _doubts(exports, sentinel):
        say(f"[yellow]warning:[/] {escape(line)}")
    with meter() as progress:
        carried = measure_exports(
            exports,
            protocol,
            reference=sentinel,
            machine=name,
            on_weighed=progress.weighing,
            progress=progress.latency,
        )
    write_carried(target, carried)
    if json:
        show_json(carried.to_dict())
    else:
        for line in _disturbances(carried):
            say(f"[yellow]warning:[/] {escape(line)}")
        show(carried_table(carried), whole=verbose)
    say(f"measure: {escape(str(target))}, to be carried back to the run")
    say_next(f"paretobert profile RUN --import {shlex.quote(str(target))}")


def _doubts(exports: Sequence[Exported], reference: Exported) -> list[str]:
    """What will keep the file from being imported, said before the time is spent."""
    if not reference.network.is_full:
        return ["The reference is not the full model: the file cannot be imported into a run."]
    with_full = {entry.deployment for entry in exports if entry.network.is_full}
    without = dict.fromkeys(
        entry.deployment.title for entry in exports if entry.deployment not in with_full
    )
    return [
        f"The full model on {title} is not among the folders: the file cannot be imported into "
        "a run."
        for title in without
    ]


def _disturbances(carried: Carried) -> tuple[str, ...]:
    return disturbances(carried.noise, [entry.latency.resolved for entry in carried.networks])


def _file_name(name: str | None) -> str:
    """A file name made of a machine's name."""
    words = "".join(
        letter if letter.isalnum() or letter in "-_." else "-" for letter in name or ""
    )
    return words.strip(".-") or "measured"


def _counts(text: str) -> list[int]:
    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise InputError(
            f"{shortened(text)} is not a list of whole numbers between commas."
        ) from None
