"""`paretobert ose`: the best architecture of a set by size, speed and error together."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from ..bort.options import ErrorOptions
from ..errors import InputError
from ..pipeline.contest import OseRequest, Speed
from ..pipeline.steps.ose import extract_architecture
from ..tasks.loading import TaskRequest
from .display import begin, meter, say, say_next, show, show_json
from .fields import FieldsOf, Given
from .options import Json, ModelOrNone, Seed, TaskGiven, TaskOrNone, Verbose
from .tables import extraction_table

EPILOG = """
$ paretobert ose ose/a --space a.toml --model minilm --task SST-2 --steps 100

$ paretobert ose ose/bort --model minilm --error mlm --text a.txt --steps 20

$ paretobert ose ose/docs --space runs/docs --steps 50 --speed latency
"""

ErrorGiven = Annotated[
    Given,
    FieldsOf(
        ErrorOptions,
        panel="Error",
        names={
            "rates": "--learning-rates",
            "batch_size": "--training-batch-size",
            "precision": "--training-precision",
        },
        without=("seed",),
    ),
]


def command(
    folder: Annotated[
        Path, typer.Argument(help="The folder of the extraction.", show_default=False)
    ],
    task_given: TaskGiven,
    error_given: ErrorGiven,
    space: Annotated[
        str,
        typer.Option(
            help="The candidates: bort, the published 300; a .csv or .toml file; or a run folder, "
            "whose sub-networks are meant, with the weights that the run gives them."
        ),
    ] = "bort",
    model: ModelOrNone = None,
    task: TaskOrNone = None,
    text: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="A file of one text a line, for the error mlm; the task's texts if left out. May "
            "be given several times.",
            show_default=False,
        ),
    ] = None,
    epsilon: Annotated[
        float, typer.Option(help="How far W may be below the best: above 0, at most 1.")
    ] = 0.1,
    speed: Annotated[
        Speed,
        typer.Option(help="What inference costs: macs, multiply-adds; or latency, as measured."),
    ] = "macs",
    seq_len: Annotated[
        int,
        typer.Option(
            help="Tokens of the text whose inference is costed; texts of --text are cut there."
        ),
    ] = 128,
    measure_s: Annotated[float, typer.Option(help="Seconds that measuring may take.")] = 180.0,
    seed: Seed = 0,
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    """Rank a set of architectures by W, and save the best one as a configuration.

    W is the share of the largest parameters that is saved, times the share of the largest
    inference cost that is saved, divided by the error: the loss after a few training steps (de
    Wynter 2020). One size of each block of similar ones is trained. What was trained before is
    not trained again.
    """
    begin(verbose=verbose)
    if "steps" not in error_given:
        raise InputError("Say for how many steps each candidate is trained: --steps.")
    if task is None and task_given:
        raise InputError("Options of a task are given without it: name it with --task.")
    request = OseRequest(
        space=space,
        epsilon=epsilon,
        error=ErrorOptions(seed=seed, **error_given),
        model=model,
        task=None if task is None else TaskRequest(name=task, seed=seed, **task_given),
        texts=tuple(text or ()),
        speed=speed,
        seq_len=seq_len,
        measure_s=measure_s,
    )
    with meter() as progress:
        found = extract_architecture(
            folder, request, progress=progress.training, timing=progress.latency
        )
    if json:
        show_json(found.to_dict())
        return
    show(extraction_table(found), whole=verbose)
    say(f"ose: {escape(str(folder / 'figure.png'))}, and the winner in {folder / 'winner'}")
    if request.is_run:
        say_next(f"paretobert add {space} --method bort --extraction {folder}")
