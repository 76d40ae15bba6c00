"""`paretobert finish`: members of the front, trained on by themselves."""

from typing import Annotated

import typer

from ..pipeline.run import Run
from . import steps
from .display import begin, say_next, show, show_json
from .options import Folder, Json, PaceGiven, Verbose

EPILOG = """
$ paretobert finish runs/docs --members 3

$ paretobert finish runs/docs --members 1 --steps 500
"""


def command(
    folder: Folder,
    pace_given: PaceGiven,
    members: Annotated[
        int,
        typer.Option(help="How many are trained on, those farthest below the full model first."),
    ] = 3,
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    """Train members of the front on, each by itself, and compare them with what they were.

    The fine-tuned model teaches them. One that is better in pairs on the search split takes the
    other's place; a tie changes nothing. Seed and learning rate are those of the run's fine-tuning
    where nothing else is given.
    """
    begin(folder, verbose=verbose)
    run = Run.open(folder)
    found = steps.finish(run, members, pace_given)
    if json:
        show_json({"members": [entry.to_dict() for entry in found]})
    else:
        show("\n".join(entry.sentence() for entry in found))
        say_next(run.context.command("report"))
