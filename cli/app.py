"""The `paretobert` command: its list of commands, and what becomes of errors.

Exit status: 0 done, 1 nothing fits the budget, 2 bad input, a failing disk or an interruption.
Results go to standard output, everything else to standard error.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module

import typer

from ..errors import InputError
from .display import say
from .fields import expanded

CLICK_INTERRUPTED = 130

COMMANDS = (
    "run",
    "train",
    "profile",
    "search",
    "add",
    "finish",
    "report",
    "query",
    "compare",
    "show",
    "export",
    "predict",
    "measure",
    "ose",
)
"""Every command, each in the file of its name, in the order of the list."""


def app_of(names: Sequence[str]) -> typer.Typer:
    """The command line with some of its commands, so that one starts without the others."""
    app = typer.Typer(
        name="paretobert",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )

    @app.callback()
    def group() -> None:
        """From a BERT checkpoint to its best sub-network under a budget."""

    for name in names:
        module = import_module(f".{name}", __package__)
        app.command(name, epilog=module.EPILOG)(expanded(module.command))
    return app


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
    asked = words[:1] if words[:1] and words[0] in COMMANDS else COMMANDS
    try:
        app_of(asked)(words, prog_name="paretobert")
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
