"""`paretobert report`: the page, figures and tables of a run."""

from ..pipeline.run import Run
from . import steps
from .display import begin
from .options import Folder, Verbose

EPILOG = """
$ paretobert report runs/docs
"""


def command(folder: Folder, verbose: Verbose = False) -> None:
    """Write the report; it holds whatever has been delivered so far."""
    begin(folder, verbose=verbose)
    steps.report(Run.open(folder))
