"""The `paretobert` command: its list of commands, and what becomes of errors.

Exit status: 0 done, 1 nothing fits the budget, 2 bad input, a failing disk or an interruption.
Results go to standard output, everything else to standard error.
"""

import os
import sys
from collections.abc import Sequence

import typer

from ..errors import InputError
from . import (
    add,
    compare,
    export,
    measure,
    predict,
    profile,
    query,
    report,
    run,
    search,
    show,
    train,
)
from .display import say
from .fields import expanded

CLICK_INTERRUPTED = 130

app = typer.Typer(
    name="paretobert",
    help="From a BERT checkpoint to its best sub-network under a budget.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

for module in (
    run,
    train,
    profile,
    search,
    add,
    report,
    query,
    compare,
    show,
    export,
    predict,
    measure,
):
    app.command(module.__name__.rpartition(".")[2], epilog=module.EPILOG)(expanded(module.command))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line.

    Args:
        arguments: Its words; None for those of this process.

    Returns:
        The exit status.
    """
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        app(words, prog_name="paretobert")
    except InputError as error:
        say(f"[red]error:[/] {_plain(error)}")
        return 2
    except OSError as error:
        say(f"[red]error:[/] {_plain(error)} Nothing was left half-written.")
        return 2
    except SystemExit as end:
        if end.code == CLICK_INTERRUPTED:
            say("Interrupted. To resume, run the same command again.")
            return 2
        return end.code if isinstance(end.code, int) else 2
    return 0


def _plain(error: Exception) -> str:
    """The error as one line that rich prints as it stands."""
    from rich.markup import escape

    if isinstance(error, OSError) and error.strerror:
        place = f": {error.filename}" if error.filename else ""
        return escape(f"{error.strerror}{place}.")
    return escape(str(error))
