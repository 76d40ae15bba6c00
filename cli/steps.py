"""The steps of a run, each with its progress and its closing line."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer
from rich.markup import escape

from ..errors import InputError
from ..intervals import duration
from ..pipeline.run import Run
from ..profiling.protocol import LatencyProtocol
from ..profiling.table import CostTable
from ..search.front import ParetoFront
from ..search.options import SearchOptions
from ..training.pace import StudentPace
from .display import metered, say, show, show_json
from .fields import Given
from .options import Asked, like_fine_tuning
from .tables import plan_sentences, plan_table, validation_table

if TYPE_CHECKING:
    from ..pipeline.steps.finish import FinishedMember

NOTHING_FITS = 1
SELF_TEST_FAILED = 1
NOT_USABLE = 1


def warn(warnings: Sequence[str]) -> None:
    """Say first what forbids to take latencies at their word."""
    if warnings:
        show("\n".join(warnings))


def planned(asked: Asked, *, wanted: bool, whole: bool, json: bool) -> bool:
    """Print what a training would be, where that is wanted; whether it was.

    Raises:
        InputError: When JSON is wanted without a plan, or as `Asked.plan` has it.
    """
    if not wanted:
        if json:
            raise InputError("--json is for --plan: leave it out, or ask for the plan.")
        return False
    found = asked.plan()
    if json:
        show_json(found.to_dict())
    else:
        show(plan_table(found), whole=whole)
        show("\n".join(plan_sentences(found)))
    return True


def train(run: Run) -> None:
    """Train the supernet, or say that it is trained."""
    if run.trained:
        say(f"train: {run.folder.supernet} is trained already")
        return
    with _timed("train") as done, metered(run) as progress:
        run.train(progress=progress.training, tell=progress.tell)
        done.append(f"the supernet lies in {run.folder.supernet}")


def profile(run: Run, protocol: LatencyProtocol | None = None, *, anew: bool = False) -> CostTable:
    """Measure the costs, or say that they are measured."""
    known = not anew and run.profiled(protocol)
    with _timed("profile") as done, metered(run) as progress:
        table = run.profile(
            protocol,
            anew=anew,
            deploying=progress.deploying,
            progress=progress.latency,
            scoring=progress.evaluation,
        )
        state = " is measured already" if known else f", {len(table)} networks"
        done.append(f"{table.protocol.title}{state}")
    return table


def self_test(run: Run, protocols: Sequence[LatencyProtocol], *, json: bool) -> None:
    """Run the self-test by each protocol; end with 1 when one fails."""
    found = []
    for protocol in protocols:
        with metered(run) as progress:
            found.append(run.self_test(protocol, progress=progress.latency))
    if json:
        show_json({"self_tests": [entry.to_dict() for entry in found]})
    else:
        show("\n".join(line for entry in found for line in entry.sentences()))
    if not all(entry.passed for entry in found):
        say(
            "self-test: this machine is too unsteady now; close other programs and try again"
            if all(entry.tied is not None for entry in found)
            else "self-test: too few processes to decide; measure longer with --measure-s"
        )
        raise typer.Exit(SELF_TEST_FAILED)


def build_predictors(
    run: Run, protocols: Sequence[LatencyProtocol], *, whole: bool, json: bool
) -> None:
    """Build a predictor for each protocol; end with 1 when one may not be used."""
    found = []
    for protocol in protocols:
        with metered(run) as progress:
            predictor = run.build_predictor(
                protocol, deploying=progress.deploying, progress=progress.latency
            )
        found.append(predictor)
    if json:
        show_json(
            {
                "predictors": [
                    {
                        "protocol": entry.conditions.protocol.to_dict(),
                        "models": [validation.to_dict() for validation in entry.validations],
                    }
                    for entry in found
                ]
            }
        )
    else:
        for entry in found:
            show(validation_table(entry), whole=whole)
    if not all(entry.validation.usable for entry in found):
        say("predictor: it errs too much to be used; close other programs and build it again")
        raise typer.Exit(NOT_USABLE)


def predict(run: Run, protocols: Sequence[LatencyProtocol], subnet: str, *, json: bool) -> None:
    """Predict a sub-network's latency by each protocol."""
    found = [(protocol, run.predict_latency(subnet, protocol)) for protocol in protocols]
    if json:
        show_json(
            {
                "predictions": [
                    {"protocol": protocol.to_dict(), "key": subnet, **asdict(latency)}
                    for protocol, latency in found
                ]
            }
        )
        return
    for protocol, latency in found:
        show(
            f"{subnet}: {latency.median_ms:.4g} ms, {latency.ratio:.4f} of the full model, "
            f"predicted within {latency.error:.1%} on average ({protocol.title})"
        )


def search(run: Run, options: SearchOptions | None = None, *, workers: int = 1) -> ParetoFront:
    """Search with so many processes, and say what was skipped."""
    with _timed("search") as done, metered(run) as progress:
        result = run.search(
            options, workers=workers, progress=progress.evaluation, timing=progress.latency
        )
        if result.front.members:
            done.append(_best(result.front))
    if result.skipped:
        say(f"search: {len(result.skipped)} sub-networks are over a cost limit and not scored")
    if not result.front.members:
        say("search: no sub-network keeps every limit")
        raise typer.Exit(NOTHING_FITS)
    return result.front


def finish(run: Run, members: int, given: Given) -> "tuple[FinishedMember, ...]":
    """Finish members of the front as the user asks."""
    pace = StudentPace(**like_fine_tuning(run) | given)
    with metered(run) as progress:
        return run.finish(
            pace, members=members, progress=progress.training, timing=progress.latency
        )


def report(run: Run) -> None:
    """Write the report and say where it lies."""
    with _timed("report") as done, metered(run) as progress:
        done.append(str(run.report(progress=progress.reporting)))


def _best(front: ParetoFront) -> str:
    """How many networks were scored, and the best score of them."""
    scores = [entry.evaluation for entry in front.members]
    best = max(scores, key=lambda score: score.value)
    number = len(front.members) + len(front.dominated) + len(front.unmeasured)
    return f"{number} networks scored, the best {best.metric} on {best.split} {best.value:.4f}"


@contextmanager
def _timed(step: str) -> Iterator[list[str]]:
    """Say what a step came to, put into the list, and how long it took."""
    started_s = time.monotonic()
    done: list[str] = []
    yield done
    if done:
        say(escape(f"{step}: {', '.join(done)} ({duration(time.monotonic() - started_s)})"))
