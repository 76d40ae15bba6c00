"""`paretobert profile`: what the sub-networks of a run cost."""

from dataclasses import replace

from ..pipeline.run import Run
from . import steps
from .display import log_to_stderr, show, show_json
from .options import Folder, Json, ProtocolGiven, protocol_of
from .tables import cost_table

EPILOG = """Example:

$ paretobert profile runs/docs

$ paretobert profile runs/docs --device cuda
"""


def command(folder: Folder, protocol_given: ProtocolGiven, json: Json = False) -> None:
    """Count parameters and FLOPs, measure latency, and print the table.

    Without options it measures as the run was asked to. With others it makes a further table;
    with a larger --measure-s it goes on with the same one.
    """
    log_to_stderr()
    run = Run.open(folder)
    if "device" in protocol_given:
        protocol = replace(protocol_of(protocol_given), seed=run.request.protocol.seed)
    else:
        protocol = replace(run.request.protocol, **protocol_given)
    table = steps.profile(run, protocol)
    if json:
        show_json({"profiles": [entry.to_dict() for entry in table]})
    else:
        show(cost_table(table))
