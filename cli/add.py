"""`paretobert add`: a network that a method makes, or the user brings, beside the supernet's."""

from dataclasses import fields
from typing import Annotated

import typer

from ..baselines.methods import METHODS
from ..errors import InputError
from ..pipeline.run import Run
from ..search.candidate import score_record
from .display import log_to_stderr, meter, show, show_json
from .fields import FieldsOfAny, Given
from .options import Folder, Json
from .tables import added_table

EPILOG = """Example:

$ paretobert add runs/docs --checkpoint mine=checkpoints/mine

$ paretobert add runs/docs --method first-layers --layers 3

$ paretobert add runs/docs --method powerbert --target-speedup 3x
"""

OPTIONS = {"penalty": "--lambda"}
"""The option of each field that is not simply `--field-name`."""

MethodGiven = Annotated[
    Given,
    FieldsOfAny(
        {method.name: method.options for method in METHODS.values()},
        names=OPTIONS,
        without=("seed",),
    ),
]


def command(
    folder: Folder,
    method_given: MethodGiven,
    method: Annotated[
        str | None,
        typer.Option(
            help="; ".join(f"{entry.name}: {entry.summary}" for entry in METHODS.values())
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Make a network, score it and measure it beside the run's others.

    From then on it is a network like them: in the report, in queries and comparisons, and for
    export, on every runtime.
    """
    log_to_stderr()
    run = Run.open(folder)
    name = method or ("checkpoint" if "checkpoint" in method_given else None)
    if name not in METHODS:
        raise InputError(
            f"Name a method: --method {', '.join(METHODS)}."
            if name is None
            else f"There is no method {name!r}: choose from {', '.join(METHODS)}."
        )
    options = METHODS[name].options
    known = {entry.name for entry in fields(options)}
    for given in method_given:
        if given not in known:
            has = ", ".join(map(_option, sorted(known - {"seed"})))
            raise InputError(f"The method {name} has no option {_option(given)}; it has {has}.")
    defaults = {
        "seed": run.request.training.seed,
        "learning_rate": run.request.training.fine_tuning_rate,
    }
    chosen = {key: value for key, value in defaults.items() if key in known} | method_given
    with meter() as progress:
        added = run.add(
            name, options(**chosen), progress=progress.training, timing=progress.latency
        )
    if json:
        show_json({**added.candidate.summary(), "report": score_record(added.report)})
    else:
        show(added_table(added))


def _option(field: str) -> str:
    return OPTIONS.get(field, f"--{field.replace('_', '-')}")
