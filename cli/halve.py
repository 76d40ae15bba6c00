"""`paretobert halve`: successive halving over ways to score, the cheap ones first."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InputError, shortened
from ..pipeline.run import Run
from ..training.pace import StudentPace
from .display import begin, metered, say, say_next, show, show_json
from .layout import Column, Sheet
from .options import Folder, Json, PaceGiven, Verbose, like_fine_tuning

if TYPE_CHECKING:
    from ..search.halving import Halving

NOTHING_FITS = 1
FINISHED = "finished"

EPILOG = """
$ paretobert halve runs/docs --rungs 100,finished

$ paretobert halve runs/docs --rungs 50,400 --eta 4 --training-batch-size 16
"""


def command(
    folder: Folder,
    pace_given: PaceGiven,
    rungs: Annotated[
        str,
        typer.Option(
            help="The rungs after that of inherited weights, the shortest first: steps of "
            "distillation, or finished, which is --epochs of it."
        ),
    ] = f"100,{FINISHED}",
    eta: Annotated[
        int, typer.Option(help="One of so many networks is let through to the next rung.")
    ] = 3,
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    """Distil the best of what a search has scored, fewer and longer from rung to rung.

    Each rung also trains a few of those that were let go. How alike neighbouring rungs rank is
    printed for each region of cost: a cheap score that ranks nothing there is worth nothing there.
    What is trained stays in the run like what `finish` trains.
    """
    begin(folder, verbose=verbose)
    run = Run.open(folder)
    base = StudentPace(**like_fine_tuning(run) | pace_given)
    paces = [_pace(base, word.strip()) for word in rungs.split(",")]
    with metered(run) as progress:
        found = run.halve(paces, eta=eta, progress=progress.scoring, training=progress.training)
    if json:
        show_json(found.to_dict())
    else:
        show(agreements_sheet(found), whole=verbose)
        show(front_sheet(found), whole=verbose)
    if not found.front:
        say("halve: no network keeps every limit")
        raise typer.Exit(NOTHING_FITS)
    if not json:
        say_next(run.context.command("report"))


def agreements_sheet(found: "Halving") -> Sheet:
    """How alike neighbouring rungs rank networks, in each region of cost."""
    entries = found.agreements
    taus = ["unknown" if entry.tau is None else f"{entry.tau:+.2f}" for entry in entries]
    return Sheet(
        [
            Column("region", [entry.region for entry in entries], is_text=True),
            Column("cheap", [entry.cheap for entry in entries], is_text=True),
            Column("dear", [entry.dear for entry in entries], is_text=True),
            Column("networks", [str(entry.n) for entry in entries]),
            Column("Kendall tau", taus),
        ],
        title="Whether a cheap score ranks as a dear one does",
        caption="regions: thirds of the networks by cost; unknown: too few networks, or all equal",
    )


def front_sheet(found: "Halving") -> Sheet:
    """What no other network of the last rung beats, with its score at each rung."""
    rungs = [{seen.config: seen.score for seen in rung} for rung in found.rungs]
    front = [seen.config for seen in found.front]
    scores = [[f"{rung[config]:.4f}" for config in front] for rung in rungs]
    return Sheet(
        [
            Column("network", [config.key for config in front], is_text=True),
            *(Column(name, cells) for name, cells in zip(found.names, scores, strict=True)),
        ],
        title=f"The front of the last rung: {len(front)} of {len(rungs[-1])} networks, of "
        f"{len(rungs[0])} at first",
    )


def _pace(base: StudentPace, word: str) -> StudentPace:
    """How a rung learns.

    Raises:
        InputError: When the word is neither a number of steps nor `finished`.
    """
    if word == FINISHED:
        return replace(base, steps=None)
    if not word.isdecimal():
        raise InputError(
            f"A rung is a whole number of steps, or {FINISHED}, not {shortened(word)}."
        )
    return replace(base, steps=int(word))
