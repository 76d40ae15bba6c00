"""`paretobert search`: which sub-networks of a run are worth having."""

from dataclasses import replace

from ..pipeline.run import Run
from . import steps
from .display import begin, say_next, show, show_json
from .options import Folder, Json, SearchGiven, Verbose, Workers
from .tables import corrected_scores, front_table, question

EPILOG = """
$ paretobert search runs/docs

$ paretobert search runs/docs --engine model --trials 60 --max-latency 8ms

$ paretobert search runs/docs --engine model --trials 500 --workers 4
"""


def command(
    folder: Folder,
    search_given: SearchGiven,
    workers: Workers = 1,
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    """Score sub-networks on the search split and print the front."""
    begin(folder, verbose=verbose)
    run = Run.open(folder)
    options = replace(run.request.search, **search_given)
    front = steps.search(run, options, workers=workers)
    if json:
        scores = corrected_scores(front)
        show_json(
            {
                "warnings": list(run.warnings(run.table())),
                "front": [
                    {**entry.summary(), "corrected": scores[entry.key].to_dict()}
                    if entry.key in scores
                    else entry.summary()
                    for entry in front.members
                ],
            }
        )
    else:
        steps.warn(run.warnings(run.table()))
        show(front_table(front, run.numbers), whole=verbose)
        say_next(question(run, front))
