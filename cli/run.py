"""`paretobert run`: every step of a run, from the checkpoint to the report."""

import time
from typing import Annotated

import typer

from ..intervals import duration
from . import steps
from .display import begin, keep_log, say, say_next, show
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
    Workers,
)
from .tables import front_table, question

EPILOG = """
$ paretobert run runs/docs --model minilm --task stdlib-docs

$ paretobert run runs/docs --model minilm --task stdlib-docs --plan

$ paretobert run runs/docs    # after an interruption

$ paretobert run docs.toml    # the options in a file

$ paretobert query runs/docs --params 15M
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
    finish: Annotated[
        int, typer.Option(help="How many members of the front are finished: see `finish`.")
    ] = 0,
    workers: Workers = 1,
    unlabelled: UnlabelledFiles = None,
    plan: Plan = False,
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    """Train, profile, search and report; each step resumes where it was.

    A new run needs --model and --task; the folder alone goes on with a run. A file such as
    docs.toml may stand for the folder and the options. --finish and --workers belong to the
    command, not to the run: give them again to go on.
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
    started = time.monotonic()
    run = asked.run()
    keep_log(run.folder.root)
    steps.train(run)
    steps.profile(run)
    front = steps.search(run, workers=workers)
    if finish:
        for entry in steps.finish(run, finish, {}):
            show(entry.sentence())
        front = run.front()
    steps.report(run)
    steps.warn(run.warnings(run.table()))
    show(front_table(front, run.numbers), whole=verbose)
    say(f"run: {duration(time.monotonic() - started)} in all")
    say_next(question(run, front))
