"""`paretobert export`: a sub-network of a run as files for other programs."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markup import escape

from ..pipeline.run import NothingFits, Run
from .display import log_to_stderr, say
from .options import AccuracyBudget, Device, FlopsBudget, Folder, LatencyBudget, ParamsBudget

FAILED = 1

EPILOG = """Example:

$ paretobert export runs/docs --params 15M --to small

$ paretobert export runs/docs --subnet L0.1.2.3.4.5-H6-F768 --to small-onnx --format onnx
"""


def command(
    folder: Folder,
    to: Annotated[
        Path, typer.Option(help="The destination: a new or empty folder.", show_default=False)
    ],
    subnet: Annotated[
        str | None, typer.Option(help="The key of a sub-network, instead of a budget.")
    ] = None,
    latency: LatencyBudget = None,
    params: ParamsBudget = None,
    flops: FlopsBudget = None,
    accuracy: AccuracyBudget = None,
    device: Device = None,
    format: Annotated[
        Literal["hf", "onnx"], typer.Option(help="A Hugging Face folder, or ONNX.")
    ] = "hf",
) -> None:
    """Write a sub-network as a Hugging Face folder or ONNX, after comparing its logits."""
    from ..deploy.export import ExportError

    log_to_stderr()
    try:
        result = Run.open(folder).export(
            to=to,
            subnet=subnet,
            latency=latency,
            params=params,
            flops=flops,
            accuracy=accuracy,
            device=device,
            format=format,
        )
    except (NothingFits, ExportError) as refusal:
        say(escape(str(refusal)))
        raise typer.Exit(FAILED) from None
    say(
        f"export: {result.folder} ({result.num_bytes / 1e6:.1f} MB); its logits differ from the "
        f"supernet's by at most {result.max_difference:.1e} on {result.num_batches} batches"
    )
