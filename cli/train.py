"""`paretobert train`: the supernet of a run."""

import os

from ..pipeline.run import Run
from . import steps
from .display import begin, keep_log, say_next
from .options import (
    Asked,
    Folder,
    Json,
    ModelOrNone,
    Plan,
    ProtocolGiven,
    SearchGiven,
    Seed,
    SettingsOption,
    StorageUrl,
    TaskGiven,
    TaskOrNone,
    TrainingGiven,
    UnlabelledFiles,
    Verbose,
)

EPILOG = """
$ paretobert train runs/docs --model minilm --task stdlib-docs

$ paretobert train runs/docs --model minilm --task stdlib-docs --plan

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
    settings: SettingsOption = "auto",
    seed: Seed = 0,
    storage: StorageUrl = None,
    unlabelled: UnlabelledFiles = None,
    plan: Plan = False,
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    """Train the supernet of a new run, or go on with a run that was interrupted.

    A new run needs --model and --task and fixes every other option, those of later steps too.
    Started by accelerate launch, several processes share each batch, a GPU for each.
    """
    begin(verbose=verbose)
    asked = Asked(
        folder=folder,
        model=model,
        task=task,
        seed=seed,
        settings=settings,
        storage=storage,
        unlabelled=unlabelled or (),
        task_given=task_given,
        training_given=training_given,
        protocol_given=protocol_given,
        search_given=search_given,
    )
    if steps.planned(asked, wanted=plan, whole=verbose, json=json):
        return
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        _train_together(asked)
    else:
        _train(asked.run())


def _train(run: Run) -> None:
    keep_log(run.folder.root)
    steps.train(run)
    say_next(run.context.command("profile"))


def _train_together(asked: Asked) -> None:
    """Train as one of the processes of a launcher, of which the main one starts the run."""
    from ..training import parallel

    with parallel.joined():
        run = parallel.in_turn(asked.run)
        if parallel.is_main():
            _train(run)
        else:
            run.train()
