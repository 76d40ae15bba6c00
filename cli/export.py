"""`paretobert export`: a network of a run as files for other programs."""

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from ..pipeline.costs import Where
from ..pipeline.run import NothingFits, Run
from .display import begin, metered, say, say_next
from .options import Cheapest, Folder, LimitsGiven, Verbose, WhereGiven

FAILED = 1

EPILOG = """
$ paretobert export runs/docs --params 15M --to small

$ paretobert export runs/docs --latency 5ms --runtime openvino --to small

$ paretobert export runs/docs --network full --runtime onnxruntime --to full
"""


def command(
    folder: Folder,
    to: Annotated[
        Path, typer.Option(help="The destination: a new or empty folder.", show_default=False)
    ],
    limits_given: LimitsGiven,
    where_given: WhereGiven,
    network: Annotated[
        str | None,
        typer.Option(help="A network's id, label or key, or `full`, instead of a budget."),
    ] = None,
    cheapest: Cheapest = None,
    verbose: Verbose = False,
) -> None:
    """Write a network as it was scored and timed, with what runs it, after scoring it again.

    The folder holds the network's files for its runtime, the tokenizer, the labels, a model card
    with this deployment's numbers, and predict.py, which needs the runtime and tokenizers alone.
    """
    from ..deploy.runner import ExportError

    begin(folder, verbose=verbose)
    run = Run.open(folder)
    try:
        with metered(run) as progress:
            exported = run.export(
                to=to,
                network=network,
                cheapest=cheapest,
                where=Where(**where_given),
                progress=progress.latency,
                **limits_given,
            )
    except (NothingFits, ExportError) as refusal:
        say(escape(str(refusal)))
        raise typer.Exit(FAILED) from None
    result = exported.result
    same = "the very files that were scored and timed" if exported.same_artefact else "new files"
    say(
        f"export: {escape(str(result.folder))} ({result.num_bytes / 1e6:.1f} MB): "
        f"{escape(exported.candidate.name)} on {result.deployment.title}, {same}; "
        f"{exported.num_checked} examples answered again, {exported.num_changed} otherwise"
    )
    if result.needs_code:
        say("export: stock transformers loads it with trust_remote_code=True")
    say_next(f'paretobert predict {shlex.quote(str(result.folder))} "a text"')
