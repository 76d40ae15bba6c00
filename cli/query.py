"""`paretobert query`: the best network under a budget."""

import typer

from ..pipeline.costs import Where
from ..pipeline.run import Run
from .answers import answer_view
from .display import begin, meter, show, show_json
from .options import Cheapest, Folder, Json, LimitsGiven, Verbose, WhereGiven

NOTHING_FITS = 1

EPILOG = """
$ paretobert query runs/docs --latency 5ms --params 15M

$ paretobert query runs/docs --cheapest latency --max-loss 1pt --runtime any

$ paretobert query runs/docs --throughput 200/s --memory 300MB --json
"""


def command(
    folder: Folder,
    limits_given: LimitsGiven,
    where_given: WhereGiven,
    cheapest: Cheapest = None,
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    """Answer which network is best under a budget; exit with 1 when none fits.

    An answer is scored on the report split, and measured again beside its rivals, when it is given
    for the first time, which takes a minute or two.
    """
    begin(folder, verbose=verbose)
    run = Run.open(folder)
    with meter() as progress:
        result = run.query(
            cheapest=cheapest,
            where=Where(**where_given),
            progress=progress.latency,
            **limits_given,
        )
    if json:
        show_json(result.to_dict())
    elif verbose:
        show("\n".join(result.sentences()))
    else:
        show(answer_view(run, result))
    if result.answer is None:
        raise typer.Exit(NOTHING_FITS)
