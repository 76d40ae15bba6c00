"""`paretobert query`: the best network under a budget."""

from typing import Annotated

import typer

from ..garbage import nothing_collected
from ..pipeline.costs import Where
from ..pipeline.run import Run
from .answers import answer_view
from .display import begin, metered, show, show_json
from .explaining import show_explanation
from .options import Cheapest, Folder, Json, LimitsGiven, Verbose, WhereGiven

NOTHING_FITS = 1

EPILOG = """
$ paretobert query runs/docs --latency 5ms --params 15M

$ paretobert query runs/docs --cheapest latency --max-loss 1pt --runtime any

$ paretobert query runs/docs --latency 5ms --explain

$ paretobert query runs/docs --throughput 200/s --memory 300MB --json
"""


def command(
    folder: Folder,
    limits_given: LimitsGiven,
    where_given: WhereGiven,
    cheapest: Cheapest = None,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain",
            help="Say which limit binds, what a tenth more of each buys, what the same budget "
            "buys on other deployments that were measured, and what became of each layer.",
        ),
    ] = False,
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    """Answer which network is best under a budget; exit with 1 when none fits.

    An answer is scored on the report split, and measured again beside its rivals, when it is given
    for the first time, which takes a minute or two.
    """
    begin(folder, verbose=verbose)
    run, where = Run.open(folder), Where(**where_given)
    with nothing_collected(), metered(run) as progress:
        result = run.query(
            cheapest=cheapest, where=where, progress=progress.latency, **limits_given
        )
        why = run.explain(result, where=where) if explain else None
    if json:
        show_json(result.to_dict() | ({} if why is None else {"explanation": why.to_dict()}))
    elif verbose:
        show("\n".join(result.sentences()))
    else:
        show(answer_view(run, result))
    if why is not None and not json:
        show_explanation(why)
    if result.answer is None:
        raise typer.Exit(NOTHING_FITS)
