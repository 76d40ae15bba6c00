"""`paretobert profile`: what the sub-networks of a run cost."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from ..deploy.deployment import require_cores
from ..errors import InputError, shortened
from ..pipeline.run import Run
from ..profiling.protocol import LatencyProtocol
from . import steps
from .display import begin, say, say_next, show, show_json
from .fields import Given
from .options import Folder, Json, OneProtocolGiven, Verbose
from .tables import cost_table, deployment_table

EPILOG = """
$ paretobert profile runs/docs

$ paretobert profile runs/docs --runtime eager,openvino --precision fp32,int8

$ paretobert profile runs/docs --build-predictor

$ paretobert profile runs/docs --predict L0.1.3-H12.3.6-F1536.512.768

$ paretobert profile runs/docs --lengths task --batch-size 32 --threads 1,2
"""


def command(
    folder: Folder,
    protocol_given: OneProtocolGiven,
    runtime: Annotated[
        str | None,
        typer.Option(help="eager, compile, onnxruntime, openvino; several between commas."),
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="fp32, bf16, int8; several between commas.")
    ] = None,
    threads: Annotated[
        str | None,
        typer.Option(help="Threads inside one operator on the CPU; several between commas."),
    ] = None,
    lengths: Annotated[
        str | None,
        typer.Option(help="`task` for the task's own lengths, or lengths between commas."),
    ] = None,
    self_test: Annotated[
        bool, typer.Option("--self-test", help="Test whether this machine can be measured on.")
    ] = False,
    build_predictor: Annotated[
        bool,
        typer.Option("--build-predictor", help="Learn to predict the latency of any sub-network."),
    ] = False,
    anew: Annotated[
        bool, typer.Option("--anew", help="Begin anew, leaving what was measured aside.")
    ] = False,
    import_file: Annotated[
        Path | None,
        typer.Option("--import", help="Add what `paretobert measure` wrote on another machine."),
    ] = None,
    predict: Annotated[
        str | None, typer.Option(help="Predict the latency of the sub-network of this key.")
    ] = None,
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    """Count parameters and FLOPs, measure size, memory and latency, and print the table.

    Without options it measures as the run was asked to. With others it makes further tables, one
    for each combination; with a larger --measure-s it goes on with the same ones.
    """
    begin(folder, verbose=verbose)
    run = Run.open(folder)
    if import_file is not None:
        records = run.import_measurements(import_file)
        machine = records[0].conditions.environment.machine
        number = sum(len(record.subjects) for record in records)
        say(f"profile: {number} networks as measured on {escape(machine)}")
        return
    protocols = [
        _with_lengths(run, protocol, lengths)
        for protocol in _protocols(
            run.request.protocol,
            protocol_given,
            runtimes=_words(runtime),
            precisions=_words(precision),
            threads=_counts(threads),
        )
    ]
    for protocol in protocols:
        protocol.deployment.require(protocol.device)
        require_cores(protocol.threads, device=protocol.device)
    if self_test:
        steps.self_test(run, protocols, json=json)
        return
    if build_predictor:
        steps.build_predictors(run, protocols, whole=verbose, json=json)
        return
    if predict is not None:
        steps.predict(run, protocols, predict, json=json)
        return
    tables = [steps.profile(run, protocol, anew=anew) for protocol in protocols]
    if json:
        show_json(
            {
                "tables": [
                    {
                        "warnings": list(run.warnings(table)),
                        "protocol": table.protocol.to_dict(),
                        "machine": table.environment.machine,
                        "profiles": [
                            {
                                "id": entry.network.id,
                                "name": entry.network.name,
                                **entry.to_dict(),
                                "throughput_per_s": entry.throughput_per_s,
                            }
                            for entry in table
                        ],
                    }
                    for table in tables
                ]
            }
        )
        return
    steps.warn([line for table in tables for line in run.warnings(table)])
    for table in tables:
        show(cost_table(table, run.numbers), whole=verbose)
    if len(tables) > 1 or tables[0].protocol.deployment.changes_numbers:
        losses = [(table, run.deployment_loss(table)) for table in tables]
        show(deployment_table(losses), whole=verbose)
    say_next(run.context.command("search"))


def _protocols(
    own: LatencyProtocol,
    given: Given,
    *,
    runtimes: Sequence[str],
    precisions: Sequence[str],
    threads: Sequence[int],
) -> list[LatencyProtocol]:
    """One protocol per combination; what is not given is the run's own."""
    base = replace(own, **given)
    if "device" in given:
        base = LatencyProtocol.of({"seed": own.seed, **given})
    return [
        replace(base, runtime=runtime, precision=precision, threads=count)
        for runtime, precision, count in product(
            runtimes or [base.runtime], precisions or [base.precision], threads or [base.threads]
        )
    ]


def _with_lengths(run: Run, protocol: LatencyProtocol, lengths: str | None) -> LatencyProtocol:
    if lengths is None:
        return protocol
    if lengths == "task":
        return run.with_task_lengths(protocol)
    return protocol.with_lengths(_counts(lengths))


def _words(text: str | None) -> list[str]:
    return [] if text is None else [word.strip() for word in text.split(",")]


def _counts(text: str | None) -> list[int]:
    try:
        return [int(word) for word in _words(text)]
    except ValueError:
        raise InputError(
            f"{shortened(text)} is not a list of whole numbers between commas."
        ) from None
