"""`paretobert predict`: what an exported network says of texts."""

from pathlib import Path
from typing import Annotated

import typer

from .display import begin, show_json
from .options import Json, Verbose

EPILOG = """
$ paretobert predict small "a funny and touching film"

$ paretobert predict small "Is it open?" --pair "It closed at noon." --json
"""


def command(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="A folder of `paretobert export`.", show_default=False),
    ],
    texts: Annotated[
        list[str], typer.Argument(metavar="TEXT...", help="The texts.", show_default=False)
    ],
    pair: Annotated[
        list[str] | None,
        typer.Option(help="The second text of a pair; as often as there are texts."),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Threads inside one operator; as measured if left out."),
    ] = None,
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    """Answer texts with an exported network of any runtime: label and probability, or score."""
    begin(verbose=verbose)
    from ..deploy.answering import Answering

    answers = Answering(folder, threads=threads)(texts, pair or [])
    if json:
        show_json({"answers": [answer.to_dict() for answer in answers]})
        return
    for answer in answers:
        value = f"{answer.value:.4f}"
        print(value if answer.label is None else f"{answer.label}\t{value}")
