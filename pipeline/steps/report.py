"""Gathering what the report of a run shows, and writing it (no torch but for missing scores)."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...baselines.published import DEV_EXAMPLES, published_candidates
from ...deploy.deployment import Deployment
from ...errors import InputError
from ...profiling.conditions import Conditions
from ...profiling.table import CostTable
from ...reports.content import Measured, ReportContent, Setting, TimedAgain
from ...reports.figures.drawing import Picture
from ...reports.page import write_report
from ...reports.shared import rivals
from ...search.candidate import Candidate
from ...search.front import Hypervolume, ParetoFront, reference_beyond
from ...search.quantities import QUANTITIES
from ...tasks.scores import Evaluation
from ..context import Context
from ..costs import (
    ANY,
    Where,
    candidates,
    chosen,
    competing,
    cost_table,
    measured,
    numbers,
)
from ..delivery import serves
from ..figures import run_figures
from ..observations import SessionRecord
from ..request import RunRequest
from ..scores import known_reports, score_reported
from ..warnings import table_warnings

HYPERVOLUME_COSTS = ("latency_ms", "num_params", "num_flops")
"""Costs whose front with the score is measured by its hypervolume."""


def report(
    context: Context,
    *,
    warnings: Sequence[str],
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write the report, with every network scored on the report split as it is deployed.

    All deployments take part that were measured on the run's machine by the run's protocol but
    for runtime and precision.

    Args:
        context: The run.
        warnings: What forbids to take the latencies of the run's own deployment at their word.
        progress: Is called with the number of scored networks and of all.

    Returns:
        The path of the page.

    Raises:
        InputError: When the run is not searched yet.
    """
    record = chosen(context, Where())[0]
    costs, own = cost_table(context, record), list(candidates(context, [record]))
    with context.timed("report"):
        _score_reported(context, own, progress=progress)
        records, doubts = [record], list(warnings)
        others = _others(context, record)
        tables = [cost_table(context, other) for other in others]
        for other, table in zip(others, tables, strict=True):
            deployment = table.protocol.deployment
            try:
                _score_reported(context, _scored(context, other), progress=progress)
            except InputError as error:
                doubts.append(f"{deployment.title} is not on this page: {error}")
            else:
                records.append(other)
                doubtful = table_warnings(context, table)
                doubts += [f"{deployment.title}: {sentence}" for sentence in doubtful]
        scored = list(competing(context, records))
        places = settings(context, records)
        shown = [c for place in places for each in place.measured for c in each.candidates]
        content = report_content(
            context.request,
            candidates=scored,
            reported=known_reports(context, [*scored, *shown]),
            costs=costs,
            manifest=context.manifest,
            warnings=doubts,
            measurements=run_figures(context, [costs, *tables], own),
            settings=places,
            commands=[
                context.command("run"),
                *dict.fromkeys(
                    " ".join(
                        [context.command("profile"), *context.options(each.conditions.protocol)]
                    )
                    for each in measured(context)
                    if each.purpose == "profile"
                ),
                context.command("report"),
            ],
            folder=str(context.folder.root),
            numbers=numbers(context),
        )
        return write_report(context.folder.report, content)


def settings(context: Context, records: Sequence[SessionRecord]) -> list[Setting]:
    """What was measured of scored networks, by machine and protocol, the run's own first.

    What is of one setting differs in runtime and precision alone, as far as a query's options tell
    settings apart.

    Args:
        context: The run.
        records: The sessions of the run's own setting.
    """
    own = records[0].conditions
    found: dict[Where, str] = {}
    for record in [records[0], *measured(context)]:
        protocol, environment = record.conditions.protocol, record.conditions.environment
        where = Where(
            machine=environment.machine_id,
            device=protocol.device,
            runtime=ANY,
            precision=ANY,
            threads=protocol.threads,
            batch_size=protocol.batch_size,
            seq_len=protocol.seq_len,
            lengths=bool(protocol.lengths),
        )
        elsewhere = environment.machine_id != own.environment.machine_id
        found.setdefault(where, protocol.setting + f", {environment.machine}" * elsewhere)
    made = []
    for number, (where, title) in enumerate(found.items()):
        sessions = chosen(context, where) if number else records
        sheets = tuple(filter(None, (_sheet(context, each) for each in sessions)))
        if sheets:
            made.append(Setting(title, _options(where, own), sheets))
    return made


def _sheet(context: Context, record: SessionRecord) -> Measured | None:
    """A session's scored networks; None where none of them is scored as it is deployed."""
    protocol = record.conditions.protocol
    if not context.ledger.evaluations(split="search", deployment=protocol.deployment):
        return None
    costs = cost_table(context, record)
    again = context.ledger.sessions(purpose="delivery", conditions_id=record.conditions.id)
    return Measured(
        deployment=protocol.deployment,
        protocol=protocol,
        environment=costs.environment,
        candidates=tuple(competing(context, [record])),
        noise=costs.noise,
        warnings=table_warnings(context, costs),
        again=tuple(
            TimedAgain(
                enough=serves(each, (), protocol),
                spent=each.spent,
                latencies={subject.key: found for subject, found in each.latencies.items()},
            )
            for each in again
        ),
    )


def _options(where: Where, own: Conditions) -> tuple[str, ...]:
    """The options of a query that mean a setting, where it is not the run's own."""
    asked = []
    if where.machine not in (None, own.environment.machine_id):
        asked += ["--machine", str(where.machine)]
    for name in ("device", "threads", "batch_size", "seq_len"):
        if getattr(where, name) != getattr(own.protocol, name):
            asked += [f"--{name.replace('_', '-')}", str(getattr(where, name))]
    if where.lengths and not own.protocol.lengths:
        asked.append("--task-lengths")
    return tuple(asked)


def _scored(context: Context, record: SessionRecord) -> list[Candidate]:
    """The scored networks of a further deployment.

    Raises:
        InputError: When there are none; the message says which command scores them.
    """
    protocol = record.conditions.protocol
    if not context.ledger.evaluations(split="search", deployment=protocol.deployment):
        command = " ".join([context.command("profile"), *context.options(protocol)])
        raise InputError(f"its networks are not scored yet: {command}.")
    return list(candidates(context, [record]))


def _score_reported(
    context: Context,
    scored: Sequence[Candidate],
    *,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Score networks of one deployment on the report splits, where that is missing.

    Raises:
        InputError: When what runs them is not installed here.
    """
    deployment = scored[0].deployment
    known = known_reports(context, scored)
    if all(entry.key in found for found in known.values() for entry in scored):
        return
    if deployment.changes_numbers:
        deployment.require("cpu")
    networks = [entry.network for entry in scored]
    score_reported(context, networks, deployment=deployment, progress=progress)


def report_content(
    request: RunRequest,
    *,
    candidates: Sequence[Candidate],
    reported: Mapping[str, Mapping[str, Evaluation]],
    costs: CostTable,
    manifest: Mapping[str, Any],
    measurements: Sequence[Picture],
    warnings: Sequence[str],
    settings: Sequence[Setting],
    commands: Sequence[str],
    folder: str,
    numbers: Mapping[str, int],
) -> ReportContent:
    """Gather a report.

    Args:
        request: What the run was asked.
        candidates: The scored networks.
        reported: Their outcomes by report split and key, those of "report" first.
        costs: Their costs.
        manifest: The run's manifest: the task's summary and the versions.
        measurements: Further figures, of what was measured.
        warnings: What forbids to take the latencies at their word.
        settings: What was measured, by machine and protocol, the run's own first.
        commands: What makes all of this again.
        folder: The run folder.
        numbers: The networks' numbers by their ids.
    """
    task = manifest["task"]
    model = Path(request.model).name
    return ReportContent(
        title=f"{model} on {task['name']}: sub-networks on the Pareto front",
        model=request.model,
        candidates=tuple(candidates),
        reported=reported["report"],
        further={name: found for name, found in reported.items() if name != "report"},
        published=_published(request, task, seq_len=costs.protocol.seq_len),
        num_examples=task["sizes"],
        seq_len=costs.protocol.seq_len,
        protocol=costs.protocol,
        environment=costs.environment,
        hypervolumes=hypervolumes(candidates),
        provenance={
            "data": task["source"],
            **_transfer(request),
            "training": _listed(request.training.to_dict()),
            "search": _listed(request.search.to_dict()),
            "versions": _listed(manifest["versions"]),
            "again": "; ".join(commands),
        },
        settings=tuple(settings),
        run=folder,
        numbers=numbers,
        class_names=tuple(task.get("label_names") or ()),
        measurements=tuple(measurements),
        warnings=tuple(warnings),
    )


def _others(context: Context, own: SessionRecord) -> list[SessionRecord]:
    """The sessions that differ from one in runtime and precision alone."""
    found: dict[Deployment, SessionRecord] = {}
    for record in measured(context):
        ours, theirs = own.conditions, record.conditions
        deployment = theirs.protocol.deployment
        if (
            theirs.environment.machine_id == ours.environment.machine_id
            and set(ours.protocol.differences(theirs.protocol)) <= {"runtime", "precision"}
            and deployment not in (ours.protocol.deployment, *found)
        ):
            found[deployment] = record
    return list(found.values())


def _published(
    request: RunRequest, task: Mapping[str, Any], *, seq_len: int
) -> tuple[Candidate, ...]:
    """The published numbers of the same examples: GLUE's dev split, whole.

    Own data has none, whatever its name, and neither has a part of a dev split.
    """
    name = request.task.name
    if task["sizes"]["report"] != DEV_EXAMPLES.get(name):
        return ()
    return tuple(published_candidates(name, task["metric"], seq_len=seq_len))


def hypervolumes(scored: Sequence[Candidate]) -> dict[str, Hypervolume]:
    """The hypervolume of each drawn front, from a point just beyond the candidates."""
    volumes = {}
    for name in HYPERVOLUME_COSTS:
        known = rivals(scored, name)
        if known:
            objectives = ("score", name)
            front = ParetoFront.of(known, objectives)
            volumes[f"score and {QUANTITIES[name].word}"] = front.hypervolume(
                reference_beyond(known, objectives)
            )
    return volumes


def _transfer(request: RunRequest) -> dict[str, str]:
    """Which texts without labels were distilled on, where there are any."""
    files = [f"{file.kept:,} of {file.rows:,} in {file.path}" for file in request.unlabelled]
    return {"unlabelled texts": ", ".join(files)} if files else {}


def _listed(record: Mapping[str, Any]) -> str:
    known = {name: value for name, value in record.items() if value not in (None, [])}
    return ", ".join(
        f"{name} {' '.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in known.items()
    )
