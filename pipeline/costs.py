"""Which measurements are meant, and the cost tables and candidates they make (no torch).

A table is one session in which networks were measured together: one machine, one protocol, one
deployment. Networks that were added later were measured in sessions of their own, beside the full
model; they join the table by their ratio to it, so that every time of a table is a ratio times one
reference.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace

from ..deploy.deployment import PRECISIONS, RUNTIMES, Deployment
from ..errors import InputError
from ..intervals import Interval
from ..networks.network import Network
from ..profiling.environment import Environment
from ..profiling.protocol import LatencyProtocol
from ..profiling.table import CostTable, LatencySummary, Profile
from ..search.candidate import Candidate
from .context import Context
from .ledger import Purpose, SessionRecord, Subject

ANY = "any"
"""Every runtime, or every precision, that was measured."""

HERE = "here"
"""The machine that this program runs on."""


@dataclass(frozen=True, slots=True)
class Where:
    """Which measurements count; what is None is the run's own.

    Attributes:
        machine: A machine's name or the beginning of its id, or `here`; None for the machine that
            the run was profiled on.
        device: The device.
        runtime: The runtime, or `any`.
        precision: The precision, or `any`.
        threads: Threads inside one operator.
        batch_size: Sequences of one batch.
        seq_len: Tokens of each sequence.
        lengths: Whether sequences have the task's own lengths.
    """

    machine: str | None = None
    device: str | None = None
    runtime: str | None = None
    precision: str | None = None
    threads: int | None = None
    batch_size: int | None = None
    seq_len: int | None = None
    lengths: bool | None = None

    def __post_init__(self) -> None:
        """Check runtime and precision.

        Raises:
            InputError: When one is unknown.
        """
        for name, value, known in (
            ("runtime", self.runtime, RUNTIMES),
            ("precision", self.precision, PRECISIONS),
        ):
            if value is not None and value not in (*known, ANY):
                raise InputError(
                    f"The {name} {value!r} is not supported; use {', '.join(known)}, or {ANY}."
                )

    def on(self, deployment: Deployment) -> "Where":
        """The same for one deployment."""
        return replace(self, runtime=deployment.runtime, precision=deployment.precision)

    def fits(self, protocol: LatencyProtocol, own: LatencyProtocol) -> bool:
        """Whether measurements by a protocol are meant; the machine is another question."""
        for name in ("device", "runtime", "precision"):
            asked = getattr(self, name) or getattr(own, name)
            if asked not in (ANY, getattr(protocol, name)):
                return False
        for name in ("threads", "batch_size", "seq_len"):
            asked = getattr(self, name)
            if asked is not None and asked != getattr(protocol, name):
                return False
        return self.lengths is None or self.lengths == bool(protocol.lengths)

    @property
    def options(self) -> str:
        """The options of `profile` that would measure so."""
        return "".join(
            f" --{entry.name.replace('_', '-')} {getattr(self, entry.name)}"
            for entry in fields(self)
            if entry.name not in ("machine", "lengths") and getattr(self, entry.name) is not None
        ) + (" --lengths task" if self.lengths else "")


def measured(context: Context) -> list[SessionRecord]:
    """The sessions that make tables, the latest of each conditions, latest first."""
    found: dict[str, SessionRecord] = {}
    if not context.has_ledger:
        return []
    purposes: tuple[Purpose, ...] = ("profile", "import")
    for purpose in purposes:
        for record in context.ledger.sessions(purpose=purpose):
            known = found.get(record.conditions.id)
            if known is None or known.created < record.created:
                found[record.conditions.id] = record
    return sorted(found.values(), key=lambda record: record.created, reverse=True)


def home(context: Context, sessions: Sequence[SessionRecord]) -> str | None:
    """The id of the machine that the run was first profiled on; None where it was not."""
    own = [record for record in sessions if record.purpose == "profile"] or list(sessions)
    first = min(own, key=lambda record: record.created, default=None)
    return None if first is None else first.conditions.environment.machine_id


def tables(context: Context, where: Where) -> list[CostTable]:
    """The cost tables that count, one for each deployment, the run's own first.

    Raises:
        InputError: When nothing was measured so; the message says which command measures it.
    """
    sessions = measured(context)
    if not sessions:
        raise InputError(
            f"{context.folder.root} is not profiled yet: {context.command('profile')}."
        )
    machine = _machine(context, where, sessions)
    own = context.request.protocol
    by_deployment: dict[str, SessionRecord] = {}
    for record in sessions:
        protocol = record.conditions.protocol
        if record.conditions.environment.machine_id != machine or not where.fits(protocol, own):
            continue
        known = by_deployment.get(protocol.deployment.slug)
        if known is None or _distance(record, own) < _distance(known, own):
            by_deployment[protocol.deployment.slug] = record
    if not by_deployment:
        raise InputError(
            f"{context.folder.root} has no latencies of {_wanted(where, own)}: "
            f"{context.command('profile')}{where.options}."
        )
    found = sorted(
        by_deployment.values(),
        key=lambda record: record.conditions.protocol.deployment != own.deployment,
    )
    return [cost_table(context, record) for record in found]


def table(context: Context, where: Where | None = None) -> CostTable:
    """The cost table that counts, of one deployment; see `tables`.

    Raises:
        InputError: When nothing was measured so.
    """
    return tables(context, where or Where())[0]


def cost_table(context: Context, record: SessionRecord) -> CostTable:
    """The costs of a session's networks, and of those that were added since."""
    conditions = record.conditions
    protocol, deployment = conditions.protocol, conditions.protocol.deployment
    later = context.ledger.latencies(
        deployment=deployment, conditions_id=conditions.id, purpose="addition"
    )
    footprints = context.ledger.footprints(deployment=deployment, conditions_id=conditions.id)
    energies = record.energies_j
    own = {
        subject.network: latency
        for subject, latency in record.latencies.items()
        if subject.deployment == deployment
    }
    full = next(iter(own.values()))
    joined = {
        identifier: replace(latency, full_ms=full.full_ms)
        for identifier, latency in later.items()
        if identifier not in own
    }
    mine = context.networks()
    networks = mine | context.ledger.networks() | mine
    latencies = own | joined
    sequences = sum(map(len, protocol.batch_lengths)) / len(protocol.batch_lengths)
    profiles = []
    for identifier in (key for key in networks if key in latencies):
        footprint = footprints.get(identifier)
        profiles.append(
            Profile.counted(
                networks[identifier],
                seq_len=protocol.seq_len,
                latency=latencies[identifier],
                size_bytes=None if footprint is None else footprint.size_bytes,
                peak_memory_bytes=None if footprint is None else footprint.peak_memory_bytes,
                energy_j=energies.get(Subject(identifier, deployment)),
                sequences=sequences,
            )
        )
    return CostTable(protocol, conditions.environment, tuple(profiles), record.noise)


def candidates(context: Context, costs: Sequence[CostTable]) -> list[Candidate]:
    """The scored networks of some tables, as each deploys them, with their costs.

    Raises:
        InputError: When the run is not searched yet.
    """
    reference = costs[0].full.latency
    found = [entry for each in costs for entry in _candidates(context, each)]
    if len(costs) > 1 and reference is not None:
        found = [entry.timed(_rebased(entry.latency, reference)) for entry in found]
    if not found:
        raise InputError(
            f"{context.folder.root} is not searched yet: {context.command('search')}."
        )
    return found


def _candidates(context: Context, costs: CostTable) -> Iterator[Candidate]:
    deployment = costs.protocol.deployment
    scores = context.ledger.evaluations(split="search", deployment=deployment)
    for profile in costs:
        if profile.network.id in scores:
            yield Candidate(profile, deployment, scores[profile.network.id])


def _rebased(latency: LatencySummary | None, reference: LatencySummary) -> LatencySummary | None:
    """The same time, its ratio against the full model on the first table's deployment.

    The two are of different sessions: the reference's own interval is left out, and nothing but a
    choice of what to time again together is made by such ratios.
    """
    if latency is None:
        return None
    full_ms = reference.full_ms.value
    exact = Interval(full_ms, full_ms, full_ms, reference.full_ms.n, "processes")
    return replace(latency, ratio=latency.time_ms.scaled(1 / full_ms), full_ms=exact)


def elsewhere(costs: CostTable) -> str | None:
    """Whether a table was measured on another machine than this, as a sentence."""
    here = Environment.capture(device=costs.protocol.device, runtime=costs.protocol.runtime)
    there = costs.environment
    if here.machine_id != there.machine_id:
        return (
            f"These latencies were measured on {there.machine} ({there.title}), not on this "
            f"machine ({here.machine}); what is answered is not timed again here."
        )
    changed = there.differences(here)
    if changed:
        return (
            f"Since these latencies were measured, {', '.join(changed)} changed on this machine: "
            "profile again."
        )
    return None


def is_here(costs: CostTable) -> bool:
    """Whether a table was measured on this machine, whatever its versions were."""
    here = Environment.capture(device=costs.protocol.device, runtime=costs.protocol.runtime)
    return here.machine_id == costs.environment.machine_id


def find_network(networks: Mapping[str, Network], name: str) -> Network:
    """A network by its id or the beginning of it, its label, its key, or `full`.

    Raises:
        InputError: When none or several are meant; the message lists the networks.
    """
    found = {
        network.id: network
        for network in networks.values()
        if name in (network.id, network.label, network.name)
        or (name == "full" and network.is_full)
    } or {
        identifier: network
        for identifier, network in networks.items()
        if len(name) >= 4 and identifier.startswith(name)
    }
    if len(found) == 1:
        return next(iter(found.values()))
    reason = "Several networks are" if found else "There is no network"
    known = ", ".join(f"{n.id} ({n.label})" for n in (found or networks).values())
    raise InputError(f"{reason} called {name!r}: the run has {known}.")


def _machine(context: Context, where: Where, sessions: Sequence[SessionRecord]) -> str | None:
    if where.machine is None:
        return home(context, sessions)
    environments = {
        record.conditions.environment.machine_id: record.conditions.environment
        for record in sessions
    }
    if where.machine == HERE:
        device = where.device or context.request.protocol.device
        here = Environment.capture(device=device).machine_id
        if here not in environments:
            raise InputError(
                f"{context.folder.root} was not profiled on this machine: "
                f"{context.command('profile')}."
            )
        return here
    names = [
        identifier
        for identifier, environment in environments.items()
        if where.machine == environment.machine or identifier.startswith(where.machine)
    ]
    if len(names) == 1:
        return names[0]
    known = ", ".join(f"{e.machine} ({i})" for i, e in environments.items())
    raise InputError(
        f"{where.machine!r} names {'several machines' if names else 'no machine'} of "
        f"{context.folder.root}; it has measurements of {known}."
    )


def _distance(record: SessionRecord, own: LatencyProtocol) -> int:
    """In how many fields a session's protocol differs from the run's own."""
    return len(own.differences(record.conditions.protocol))


def _wanted(where: Where, own: LatencyProtocol) -> str:
    deployment = f"{where.runtime or own.runtime} {where.precision or own.precision}"
    details = [
        f"{name.replace('_', ' ')} {value}"
        for name in ("threads", "batch_size", "seq_len", "machine")
        if (value := getattr(where, name)) is not None
    ]
    return ", ".join([f"{deployment} on {where.device or own.device}", *details])
