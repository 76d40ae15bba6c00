"""`paretobert report`: the page, figures and tables of a run."""

from ..pipeline.run import Run
from . import steps
from .display import log_to_stderr
from .options import Folder

EPILOG = """Example:

$ paretobert report runs/docs
"""


def command(folder: Folder) -> None:
    """Write the report; it holds whatever has been delivered so far."""
    log_to_stderr()
    steps.report(Run.open(folder))
