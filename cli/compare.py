"""`paretobert compare`: two networks of a run side by side."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markup import escape

from ..pipeline.costs import Where
from ..pipeline.run import Run
from ..storage import write_text
from .comparisons import comparison_view
from .display import begin, metered, say, show, show_json
from .options import Folder, Json, Verbose, WhereGiven

EPILOG = """
$ paretobert compare runs/docs full L1.3.5-H6-F768

$ paretobert compare runs/docs full full@openvino-int8 --flipped flipped.csv
"""


def command(
    folder: Folder,
    a: Annotated[str, typer.Argument(help="A network's id, label or key, or `full`.")],
    b: Annotated[
        str,
        typer.Argument(help="The other one; a name may end in a deployment: full@openvino-int8."),
    ],
    where_given: WhereGiven,
    split: Annotated[
        Literal["report", "search"], typer.Option(help="The split on which scores are compared.")
    ] = "report",
    flipped: Annotated[
        Path | None, typer.Option(help="A CSV file for the examples that flip.")
    ] = None,
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    """Test scores in pairs, time both in one session, and say what changes for users."""
    begin(folder, verbose=verbose)
    run = Run.open(folder)
    with metered(run) as progress:
        found = run.compare(
            a, b, where=Where(**where_given), split=split, progress=progress.latency
        )
    if json:
        show_json(found.to_dict())
    elif verbose:
        show("\n".join(found.sentences()))
    else:
        show(comparison_view(found, run.numbers))
    if flipped is not None:
        from ..pipeline.steps.compare import flipped_csv

        write_text(flipped, flipped_csv(found, run.task))
        say(f"compare: {len(found.flipped)} examples in {escape(str(flipped))}")
