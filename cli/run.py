"""`paretobert run`: every step of a run, from the checkpoint to the report."""

from pathlib import Path
from typing import Annotated

import typer

from . import steps
from .display import log_to_stderr, show
from .options import (
    ModelName,
    ProtocolGiven,
    SearchGiven,
    Seed,
    TaskGiven,
    TaskName,
    TrainingGiven,
    start_run,
)
from .tables import front_table

EPILOG = """Example:

$ paretobert run --model minilm --task stdlib-docs --out runs/docs

$ paretobert query runs/docs --params 15M
"""


def command(
    model: ModelName,
    task: TaskName,
    out: Annotated[Path, typer.Option(help="The run folder.", show_default=False)],
    task_given: TaskGiven,
    training_given: TrainingGiven,
    protocol_given: ProtocolGiven,
    search_given: SearchGiven,
    seed: Seed = 0,
) -> None:
    """Train, profile, search and report; each step resumes where it was."""
    log_to_stderr()
    run = start_run(
        out,
        model=model,
        task=task,
        seed=seed,
        task_given=task_given,
        training_given=training_given,
        protocol_given=protocol_given,
        search_given=search_given,
    )
    steps.train(run)
    steps.profile(run)
    front = steps.search(run)
    steps.report(run)
    steps.warn(run.warnings(run.table()))
    show(front_table(front))
