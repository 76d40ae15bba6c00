"""`paretobert query`: the best sub-network under a budget."""

import typer

from ..pipeline.run import Run
from .display import log_to_stderr, meter, show, show_json
from .options import (
    AccuracyBudget,
    Device,
    FlopsBudget,
    Folder,
    Json,
    LatencyBudget,
    ParamsBudget,
    Precision,
    Runtime,
)

NOTHING_FITS = 1

EPILOG = """Example:

$ paretobert query runs/docs --latency 5ms --params 15M

$ paretobert query runs/docs --flops 1G --json

$ paretobert query runs/docs --latency 5ms --runtime onnxruntime --precision int8
"""


def command(
    folder: Folder,
    latency: LatencyBudget = None,
    params: ParamsBudget = None,
    flops: FlopsBudget = None,
    accuracy: AccuracyBudget = None,
    device: Device = None,
    runtime: Runtime = None,
    precision: Precision = None,
    json: Json = False,
) -> None:
    """Answer which sub-network is best under a budget; exit with 1 when none fits.

    An answer is scored on the report split, and measured again beside its rivals, when it is given
    for the first time, which takes a minute or two. Warnings about the latencies come first.
    """
    log_to_stderr()
    with meter() as progress:
        result = Run.open(folder).query(
            latency=latency,
            params=params,
            flops=flops,
            accuracy=accuracy,
            device=device,
            runtime=runtime,
            precision=precision,
            progress=progress.latency,
        )
    if json:
        show_json(result.to_dict())
    else:
        show("\n".join(result.sentences()))
    if result.answer is None:
        raise typer.Exit(NOTHING_FITS)
