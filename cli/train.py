"""`paretobert train`: the supernet of a run."""

from . import steps
from .display import log_to_stderr
from .options import (
    Folder,
    LedgerUrl,
    ModelOrNone,
    ProtocolGiven,
    SearchGiven,
    Seed,
    TaskGiven,
    TaskOrNone,
    TrainingGiven,
    UnlabelledFiles,
    started_run,
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
    model: ModelOrNone = None,
    task: TaskOrNone = None,
    seed: Seed = 0,
    ledger: LedgerUrl = None,
    unlabelled: UnlabelledFiles = None,
) -> None:
    """Train the supernet of a new run, or go on with a run that was interrupted.

    A new run needs --model and --task and fixes every other option, those of later steps too.
    """
    log_to_stderr()
    run = started_run(
        folder,
        model=model,
        task=task,
        seed=seed,
        ledger=ledger,
        unlabelled=unlabelled or (),
        task_given=task_given,
        training_given=training_given,
        protocol_given=protocol_given,
        search_given=search_given,
    )
    steps.train(run)
