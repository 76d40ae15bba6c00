"""`paretobert add`: a network that a method makes, or the user brings, beside the supernet's."""

from dataclasses import MISSING, fields
from typing import Annotated

import typer

from ..baselines.methods import METHODS
from ..errors import InputError
from ..pipeline.run import Run
from ..search.candidate import score_record
from .display import begin, metered, say_next, show, show_json
from .fields import FieldsOfAny, Given, option_words
from .options import TRAINING_NAMES, Folder, Json, Verbose, like_fine_tuning
from .tables import added_table

EPILOG = """
$ paretobert add runs/docs --checkpoint mine=checkpoints/mine

$ paretobert add runs/docs --method first-layers --layers 3

$ paretobert add runs/docs --method cofi --target-speedup 4x
"""

OPTIONS = {"penalty": "--lambda", **TRAINING_NAMES}
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
            help=" ".join(f"{entry.name}: {entry.summary}" for entry in METHODS.values())
        ),
    ] = None,
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    """Make a network, score it and measure it beside the run's others.

    From then on it is a network like them: in the report, in queries and comparisons, and for
    export, on every runtime. A target speed-up is how many times fewer multiply-adds the encoder
    is to have than the full model's over the training texts; a method comes as near to it as it
    can, and what it reached is said. Seed and learning rate are those of the run's fine-tuning
    where nothing else is given.
    """
    begin(folder, verbose=verbose)
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
    for entry in fields(options):
        if entry.name not in method_given and entry.default is entry.default_factory is MISSING:
            raise InputError(f"The method {name} needs {_option(entry.name)}.")
    defaults = {key: value for key, value in like_fine_tuning(run).items() if key in known}
    with metered(run) as progress:
        added = run.add(
            name,
            options(**defaults | method_given),
            progress=progress.training,
            timing=progress.latency,
        )
    if json:
        show_json(
            {
                **added.candidate.summary(),
                "report": score_record(added.report),
                "speedup_macs": added.speedup_macs,
            }
        )
    else:
        show(added_table(added))
        say_next(f"{run.context.command('report')}   # with the network in it")


def _option(field: str) -> str:
    return option_words(field, OPTIONS)[0]
