"""`paretobert show`: what a run holds, or everything that it knows of one network."""

from typing import Annotated

import typer

from ..pipeline.costs import Where
from ..pipeline.run import Run
from .display import begin, show, show_json
from .options import Folder, Json, Verbose, WhereGiven
from .tables import network_table

EPILOG = """
$ paretobert show runs/docs

$ paretobert show runs/docs full
"""


def command(
    folder: Folder,
    where_given: WhereGiven,
    network: Annotated[
        str | None, typer.Argument(help="A network's id, label or key, or `full`.")
    ] = None,
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    """List a run's networks with their scores and costs, or show all that is known of one."""
    begin(folder, verbose=verbose)
    run = Run.open(folder)
    if network is not None:
        found = run.show(network)
        if json:
            show_json(found.to_dict())
        else:
            show("\n".join(found.sentences()))
        return
    candidates = run.candidates(Where(**where_given))
    if json:
        show_json({"networks": [entry.summary() for entry in candidates]})
    else:
        show(network_table(candidates, run.numbers), whole=verbose)
