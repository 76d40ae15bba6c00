"""`paretobert train`: the supernet of a run."""

from typing import Annotated

import typer

from ..errors import InputError
from ..pipeline.run import Run
from . import steps
from .display import log_to_stderr
from .options import (
    Folder,
    ProtocolGiven,
    SearchGiven,
    Seed,
    TaskGiven,
    TrainingGiven,
    start_run,
)

EPILOG = """Example:

$ paretobert train runs/docs --model minilm --task stdlib-docs

$ paretobert train runs/docs    # after an interruption
"""


def command(
    folder: Folder,
    task_given: TaskGiven,
    training_given: TrainingGiven,
    protocol_given: ProtocolGiven,
    search_given: SearchGiven,
    model: Annotated[
        str | None, typer.Option(help="minilm, a checkpoint folder, or a hub name.")
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(help="stdlib-docs, files (own data), or a GLUE task such as SST-2."),
    ] = None,
    seed: Seed = 0,
) -> None:
    """Train the supernet of a new run, or go on with a run that was interrupted.

    A new run needs --model and --task and fixes every other option, those of later steps too.
    """
    log_to_stderr()
    given = task_given | training_given | protocol_given | search_given
    if model is not None and task is not None:
        run = start_run(
            folder,
            model=model,
            task=task,
            seed=seed,
            task_given=task_given,
            training_given=training_given,
            protocol_given=protocol_given,
            search_given=search_given,
        )
    elif model is None and task is None and not given:
        run = Run.open(folder)
    else:
        raise InputError(
            "To start a run give both --model and --task; to go on with one give the folder alone."
        )
    steps.train(run)
