"""The `paretobert` command: its list of commands, and what becomes of errors.

Exit status: 0 done, 1 nothing fits the budget, 2 bad input, a failing disk or an interruption.
Results go to standard output, everything else to standard error.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated

import typer
from rich.markup import escape

from ..errors import InputError
from ..garbage import nothing_collected
from .description import with_description
from .display import say, speaking
from .fields import expanded

CLICK_INTERRUPTED = 130

PYDANTIC_SAYS = "Value error, "
"""What pydantic, by which typer reads values, puts before a reason."""

COMMANDS = (
    "run",
    "train",
    "profile",
    "search",
    "add",
    "finish",
    "halve",
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
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def group(
        version: Annotated[
            bool,
            typer.Option(
                "--version", callback=_print_version, is_eager=True, help="Print the version."
            ),
        ] = False,
    ) -> None:
        """From a BERT checkpoint to its best sub-network under a budget.

        Start with `run`, then ask with `query`, and take what it answers with `export`.
        """

    for name in names:
        module = import_module(f".{name}", __package__)
        app.command(name, epilog=f"Example:\n{module.EPILOG}")(expanded(module.command))
    return app


def _print_version(asked: bool) -> None:
    if asked:
        from .. import __version__

        print(f"paretobert {__version__}")
        raise typer.Exit


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
    with speaking(words):
        return _status(words)


def _status(words: list[str]) -> int:
    """Run a command and say what went wrong; its exit status."""
    with nothing_collected():
        app = app_of(words[:1] if words[:1] and words[0] in COMMANDS else COMMANDS)
    try:
        status = app(
            with_description(words, app) or ["--help"],
            prog_name="paretobert",
            standalone_mode=False,
        )
    except InputError as error:
        say(f"[red]error:[/] {_plain(error)}")
        return 2
    except typer.TyperException as error:
        say(f"[red]error:[/] {escape(_mistyped(error))}")
        return 2
    except OSError as error:
        say(f"[red]error:[/] {_plain(error)} Nothing was left half-written.")
        return 2
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 2
    if status == CLICK_INTERRUPTED:
        say("Interrupted. To resume, run the same command again.")
        return 2
    return status or 0


def _mistyped(error: typer.TyperException) -> str:
    """What typer refuses as one sentence, and where what it takes is listed."""
    message = error.format_message().replace(PYDANTIC_SAYS, "").rstrip(".")
    context: typer.Context | None = getattr(error, "ctx", None)
    path = "paretobert" if context is None else context.command_path
    return f"{message}. See `{path} --help`."


def _plain(error: Exception) -> str:
    """The error as one line that rich prints as it stands."""
    if isinstance(error, OSError) and error.strerror:
        place = f": {error.filename}" if error.filename else ""
        return escape(f"{error.strerror}{place}.")
    return escape(str(error))
