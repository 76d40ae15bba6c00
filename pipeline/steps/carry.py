"""Measurements that were made elsewhere, by `paretobert measure`, entered into a run's ledger.

A table of the ledger is of one deployment and relative to the full model on it, so a file with
several deployments becomes a session for each.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ...deploy.deployment import Deployment
from ...errors import InputError
from ...networks.network import identifier
from ...profiling.carried import Carried, CarriedNetwork, read_carried
from ...profiling.conditions import Conditions
from ...profiling.footprint import Footprint
from ...profiling.table import LatencySummary
from ..context import Context
from ..observations import SessionRecord, Subject


def import_measurements(context: Context, path: Path) -> tuple[SessionRecord, ...]:
    """Add what another machine measured of this run's networks.

    Args:
        context: The run.
        path: What `paretobert measure` wrote.

    Returns:
        One session of the ledger for each deployment, the reference's first; importing the same
        file twice changes nothing.

    Raises:
        InputError: When the file is damaged, of another run's networks, of other files than the
            run's, without the full model on a deployment, or made under the very conditions that
            the run was profiled under.
    """
    carried = read_carried(path)
    _refuse_others(context, carried, path=path)
    own = carried.protocol.deployment
    by_deployment: dict[Deployment, list[CarriedNetwork]] = {own: []}
    for entry in carried.networks:
        by_deployment.setdefault(entry.deployment, []).append(entry)
    fulls = {deployment: _full(found) for deployment, found in by_deployment.items()}
    for deployment, full in fulls.items():
        if full is None:
            raise InputError(
                f"{path} has networks on {deployment.title} without the full model, which "
                "latencies are relative to: export it, and measure it with them."
            )
    if carried.reference != _key(fulls[own]):
        raise InputError(
            f"{path} is relative to {carried[carried.reference].network.label}, not to the full "
            "model: measure again with --reference on the full model's folder."
        )
    for deployment in by_deployment:
        _refuse_own(context, _conditions(carried, deployment), path=path)
    return tuple(
        _entered(context, carried, deployment, {entry.key: entry for entry in found})
        for deployment, found in by_deployment.items()
    )


def _refuse_others(context: Context, carried: Carried, *, path: Path) -> None:
    networks = context.networks()
    for entry in carried.networks:
        label, identity = entry.network.label, entry.network.id
        if entry.run != context.manifest["run"]:
            raise InputError(
                f"{path}: {label} was exported from another run than {context.folder.root}."
            )
        if identity not in networks:
            raise InputError(f"{path}: {label} ({identity}) is no network of this run.")
        known = context.ledger.fingerprint(Subject(identity, entry.deployment))
        if known is not None and known != entry.fingerprint:
            raise InputError(
                f"{path}: the files of {label} on {entry.deployment.title} are not those that "
                "this run has scored and timed: export it again and measure that."
            )


def _refuse_own(context: Context, conditions: Conditions, *, path: Path) -> None:
    """A file that would take the place of the run's own table."""
    if context.ledger.sessions(purpose="profile", conditions_id=conditions.id):
        raise InputError(
            f"{path} was measured on the machine and by the protocol of this run's own profile: "
            f"measure there with {context.command('profile')}."
        )


def _full(entries: list[CarriedNetwork]) -> CarriedNetwork | None:
    return next((entry for entry in entries if entry.network.is_full), None)


def _key(entry: CarriedNetwork | None) -> str | None:
    return None if entry is None else entry.key


def _conditions(carried: Carried, deployment: Deployment) -> Conditions:
    protocol = replace(
        carried.protocol, runtime=deployment.runtime, precision=deployment.precision
    )
    return Conditions(protocol, carried.environment)


def _entered(
    context: Context,
    carried: Carried,
    deployment: Deployment,
    entries: Mapping[str, CarriedNetwork],
) -> SessionRecord:
    """The session of one deployment, relative to the full model on it."""
    ledger, conditions = context.ledger, _conditions(carried, deployment)
    name = identifier({"session": carried.session, "deployment": deployment.slug})
    for known in ledger.sessions(purpose="import", conditions_id=conditions.id):
        if known.id == name:
            return known
    subjects = {key: Subject(entry.network.id, deployment) for key, entry in entries.items()}
    sentinel = next(key for key, entry in entries.items() if entry.network.is_full)
    # The full model comes first in every table.
    ordered = (subjects[sentinel], *(s for key, s in subjects.items() if key != sentinel))
    record = ledger.session(
        purpose="import",
        conditions=conditions,
        subjects=ordered,
        sentinel=subjects[sentinel],
        name=name,
    )
    session = replace(carried.relative_to(sentinel), name=name)
    for process in carried.processes:
        ledger.add_process(record.id, process)
    for key, entry in entries.items():
        footprint = Footprint(key, entry.size_bytes, entry.peak_memory_bytes)
        ledger.add_footprint(subjects[key], conditions, footprint)
    return ledger.finish_session(
        record,
        environment=carried.environment,
        noise=carried.noise,
        time_budget_s=carried.protocol.time_budget_s,
        spent=False,
        latencies={
            subject: LatencySummary.from_measurement(session[subject.key]) for subject in ordered
        },
        energies_j={
            subject: session.energies_j[subject.key]
            for subject in ordered
            if subject.key in session.energies_j
        },
    )
