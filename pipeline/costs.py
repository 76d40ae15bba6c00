"""Which measurements are meant, and the cost tables and candidates they make (no torch).

A table is one session in which networks were measured together: one machine, one protocol, one
deployment. Networks that were added later were measured in sessions of their own, beside the full
model; they join the table by their ratio to it, so that every time of a table is a ratio times one
reference.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np

from ..deploy.deployment import PRECISIONS, RUNTIMES, Deployment
from ..errors import InputError
from ..intervals import Interval
from ..networks.network import Network
from ..networks.shape import EncoderShape
from ..networks.subnet import SubnetConfig
from ..profiling.conditions import Conditions
from ..profiling.counts import FLOPS_PER_MAC, Counts, Totals, count_macs_of, count_parameters_of
from ..profiling.environment import Environment
from ..profiling.protocol import LatencyProtocol
from ..profiling.table import CostTable, LatencySummary, Profile
from ..search.candidate import Candidate
from ..search.pool import Column, Floats, Outcomes, Pool, outcomes
from ..tasks.comparison import compare
from .context import Context
from .observations import Evaluations, Purpose, SessionRecord, Subject

ANY = "any"
"""Every runtime, or every precision, that was measured."""

HERE = "here"
"""The machine that this program runs on."""


_MS_PER_S = 1000.0


@dataclass(frozen=True, slots=True)
class Where:
    """Which measurements count; what is None is the run's own.

    Attributes:
        machine: A machine's name or the beginning of its id, or `here`; the machine that the run
            was profiled on if left out.
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


def chosen(context: Context, where: Where) -> list[SessionRecord]:
    """The sessions that count, one for each deployment, the run's own first.

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
    return sorted(
        by_deployment.values(),
        key=lambda record: record.conditions.protocol.deployment != own.deployment,
    )


def session_here(context: Context) -> SessionRecord:
    """The run's session of this machine as it is now, which more networks can be timed beside.

    Raises:
        InputError: When there is none.
    """
    record = chosen(context, Where(machine=HERE))[0]
    changed = elsewhere(record.conditions)
    if changed is not None:
        raise InputError(f"{changed.rstrip('.')} first: {context.command('profile')}.")
    return record


def table(context: Context, where: Where | None = None) -> CostTable:
    """The cost table that counts, of one deployment; see `chosen`.

    Raises:
        InputError: When nothing was measured so.
    """
    return cost_table(context, chosen(context, where or Where())[0])


def cost_table(context: Context, record: SessionRecord) -> CostTable:
    """The costs of a session's networks, and of those that were added since."""
    sheet = Sheet(context, record, Networks(context))
    conditions = record.conditions
    profiles = tuple(map(sheet.profile, sheet.networks))
    return CostTable(conditions.protocol, conditions.environment, profiles, record.noise)


def numbers(context: Context) -> dict[str, int]:
    """Each network's number by its id, wherever it is shown.

    The networks of the run's space come first, the others as they were added, so that what is
    added later changes no number.
    """
    own = (network.id for network in context.subnets().values())
    known = dict.fromkeys([*own, *context.ledger.ids()])
    return {identifier: number for number, identifier in enumerate(known, start=1)}


class Networks:
    """Every network of a run by its id, its own first; read once for several sessions.

    Attributes:
        ids: In order.
        shape: The full model's sizes.
    """

    def __init__(self, context: Context) -> None:
        """Read the run's own networks, and those that only the ledger knows."""
        self._own, self._known = context.networks(), context.ledger.networks()
        self.ids = tuple(dict.fromkeys([*self._own, *self._known]))
        self.shape = context.shape

    def __getitem__(self, identifier: str) -> Network:
        """A network by its id."""
        own = self._own.get(identifier)
        return self._known[identifier] if own is None else own

    @cached_property
    def totals(self) -> Mapping[str, tuple[int, int, int]]:
        """The sizes of what is cut from the full model and in the ledger: `Known.totals`."""
        return self._known.totals(self.shape)


class Sheet:
    """What the networks of a session cost, and those that were added since, by columns.

    Of other networks that are cut from the supernet, counts are known.

    Attributes:
        record: The session.
        deployment: How its networks are deployed.
        networks: The ids of what was measured, the run's own networks first.
    """

    def __init__(self, context: Context, record: SessionRecord, known: Networks) -> None:
        """Read the session's ledger entries, without parsing one by one.

        Args:
            context: The run.
            record: The session.
            known: The run's networks.
        """
        ledger, conditions = context.ledger, record.conditions
        self.record = record
        self.deployment = conditions.protocol.deployment
        self._own = {
            subject.network: subject
            for subject in record.latencies
            if subject.deployment == self.deployment
        }
        full_ms = record.latencies[next(iter(self._own.values()))].full_ms
        later = ledger.latencies(
            deployment=self.deployment, conditions_id=conditions.id, purpose="addition"
        )
        self._later = {
            network: replace(latency, full_ms=full_ms)
            for network, latency in later.items()
            if network not in self._own
        }
        self._footprints = ledger.footprints(
            deployment=self.deployment, conditions_id=conditions.id
        )
        self._known = known
        batches = conditions.protocol.batch_lengths
        self._sequences = sum(map(len, batches)) / len(batches)
        self.networks = tuple(
            network for network in known.ids if network in self._own or network in self._later
        )
        self._measured = set(self.networks)

    def scored(self, scores: Evaluations) -> list[str]:
        """The ids of the networks that are scored: what was measured, then what is counted."""
        known = self._known
        counted = [network for network in scores if network not in self._measured]
        return [
            *(network for network in self.networks if network in scores),
            *(each for each in counted if each in known.totals or known[each].is_cut),
        ]

    @property
    def reference(self) -> LatencySummary:
        """The latency of the first network, which is the full model."""
        return self._latency(next(iter(self._own)))

    def profile(self, identifier: str) -> Profile:
        """All that a network costs."""
        footprint = self._footprints.get(identifier)
        return Profile.counted(
            self._known[identifier],
            seq_len=self.record.conditions.protocol.seq_len,
            latency=self._latency(identifier) if identifier in self._measured else None,
            size_bytes=None if footprint is None else footprint.size_bytes,
            peak_memory_bytes=None if footprint is None else footprint.peak_memory_bytes,
            energy_j=self.record.energies_j.get(Subject(identifier, self.deployment)),
            sequences=self._sequences,
        )

    def column(self, quantity: str, networks: Sequence[str]) -> Column:
        """One cost of some networks: what `Profile` says of each of them."""
        if quantity in _COUNTS:
            counts = self._counts(quantity, networks)
            return Column(counts, counts)
        values, judged = np.array(
            [self._cost(quantity, network) for network in networks], dtype=np.float64
        ).T
        return Column(values, judged)

    def _cost(self, quantity: str, identifier: str) -> tuple[float | None, float | None]:
        """A cost and what limits are held against; None of what was not measured."""
        if identifier not in self._measured:
            return None, None
        if quantity in ("latency_ms", "throughput_per_s"):
            value_ms, longest_ms = self._time_ms(identifier)
            if quantity == "latency_ms":
                return value_ms, longest_ms
            sequences_ms = self._sequences * _MS_PER_S
            return sequences_ms / value_ms, sequences_ms / longest_ms
        if quantity == "speedup":
            ratio = self._latency(identifier).ratio
            return 1 / ratio.value, 1 / ratio.high
        if quantity == "p99_ms":
            found: float | None = self._latency(identifier).p99_ms
        elif quantity == "energy_j":
            found = self.record.energies_j.get(Subject(identifier, self.deployment))
        else:
            found = getattr(self._footprints.get(identifier), quantity, None)
        return found, found

    def _counts(self, quantity: str, networks: Sequence[str]) -> Floats:
        """What follows from sizes: of what is cut from the full model together."""
        totals, shape = self._known.totals, self._known.shape
        cut = [network for network in networks if network in totals]
        sizes = np.array([totals[network] for network in cut], dtype=np.int64).reshape(-1, 3)
        counts = _COUNTS[quantity](shape, sizes, self.record.conditions.protocol.seq_len)
        found: dict[str, float] = dict(zip(cut, counts.tolist(), strict=True))
        others = {each: self.profile(each) for each in networks if each not in found}
        found |= {each: profile.values[quantity] for each, profile in others.items()}
        return np.array([found[network] for network in networks], dtype=np.float64)

    def _time_ms(self, identifier: str) -> tuple[float, float]:
        subject = self._own.get(identifier)
        if subject is not None:
            return self.record.times_ms[subject]
        time_ms = self._later[identifier].time_ms
        return time_ms.value, time_ms.high

    def _latency(self, identifier: str) -> LatencySummary:
        subject = self._own.get(identifier)
        return self._later[identifier] if subject is None else self.record.latencies[subject]


def candidates(context: Context, sessions: Sequence[SessionRecord]) -> Pool:
    """The scored networks of some sessions, as each deploys them, with their costs.

    A network that a search scored and nobody measured has counts only.

    Args:
        context: The run.
        sessions: One for each deployment, of one machine; see `chosen`.

    Raises:
        InputError: When the run is not searched yet.
    """
    known_networks = Networks(context)
    sheets = [Sheet(context, record, known_networks) for record in sessions]
    scores = [
        context.ledger.evaluations(split="search", deployment=sheet.deployment) for sheet in sheets
    ]
    scored = [sheet.scored(known) for sheet, known in zip(sheets, scores, strict=True)]
    owners = [(place, network) for place, found in enumerate(scored) for network in found]
    if not owners:
        raise InputError(
            f"{context.folder.root} is not searched yet: {context.command('search')}."
        )
    reference = sheets[0].reference

    def make(place: int) -> Candidate:
        which, network = owners[place]
        sheet = sheets[which]
        found = Candidate(sheet.profile(network), sheet.deployment, scores[which][network])
        return found if len(sheets) == 1 else found.timed(_rebased(found.latency, reference))

    def column(quantity: str) -> Column:
        if quantity == "speedup" and len(sheets) > 1:
            times_ms, full_ms = column("latency_ms"), reference.full_ms.value
            return Column(full_ms / times_ms.values, full_ms / times_ms.judged)
        parts = []
        for sheet, known, networks in zip(sheets, scores, scored, strict=True):
            if networks and quantity == "score":
                values = known.scores(networks)
                parts.append(Column(values, values))
            elif networks:
                parts.append(sheet.column(quantity, networks))
        return Column(
            np.concatenate([part.values for part in parts]),
            np.concatenate([part.judged for part in parts]),
        )

    def predictions() -> Outcomes:
        parts = [
            known.outcomes(networks)
            for known, networks in zip(scores, scored, strict=True)
            if networks
        ]
        if any(part.labels != parts[0].labels for part in parts):
            raise InputError(
                f"The deployments of {context.folder.root} are not scored on the same examples: "
                "put back the ledger, or start a new run."
            )
        rows = np.concatenate([part.predictions for part in parts])
        return replace(parts[0], predictions=rows)

    keys = [f"{network}/{sheets[which].deployment.slug}" for which, network in owners]
    return Pool(keys, make=make, columns=column, outcomes=predictions)


def competing(context: Context, sessions: Sequence[SessionRecord]) -> Pool:
    """The candidates that fronts, tables and queries are made of.

    A finished network and the one that it was have the same costs but for the noise of measuring
    them, so that one of the two is enough: the finished one where it is better in pairs on the
    search split, else the one that it was.

    Args:
        context: The run.
        sessions: See `candidates`.

    Raises:
        InputError: See `candidates`.
    """
    pool, stored = candidates(context, sessions), context.stored()
    if not stored:
        return pool
    from ..baselines.finished import finished_key

    places = {key: place for place, key in enumerate(pool.keys)}
    gone = set()
    for network in stored.values():
        cut_key = finished_key(network)
        if cut_key is None:
            continue
        inherited = context.cut(SubnetConfig.from_key(cut_key))
        for record in sessions:
            deployment = record.conditions.protocol.deployment
            keys = [Subject(entry.id, deployment).key for entry in (network, inherited)]
            if all(key in places for key in keys):
                ours, theirs = (outcomes(pool[places[key]]) for key in keys)
                gone.add(keys[1] if compare(ours, theirs).better else keys[0])
    if not gone:
        return pool
    kept = [place for key, place in places.items() if key not in gone]
    return pool.take(np.array(kept, dtype=np.int64))


def find_candidate(context: Context, record: SessionRecord, network: Network) -> Candidate | None:
    """A network as a session deploys it; None where it is not scored so."""
    pool = candidates(context, [record])
    key = Subject(network.id, record.conditions.protocol.deployment).key
    return pool[pool.keys.index(key)] if key in pool.keys else None


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


def elsewhere(conditions: Conditions) -> str | None:
    """Whether something was measured on another machine than this, as a sentence."""
    protocol, there = conditions.protocol, conditions.environment
    here = Environment.capture(device=protocol.device, runtime=protocol.runtime)
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


def is_here(conditions: Conditions) -> bool:
    """Whether something was measured on this machine, whatever its versions were."""
    protocol = conditions.protocol
    here = Environment.capture(device=protocol.device, runtime=protocol.runtime)
    return here.machine_id == conditions.environment.machine_id


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


_COUNTS: Mapping[str, Callable[[EncoderShape, Totals, int], Counts]] = {
    "num_params": lambda shape, totals, _: count_parameters_of(shape, totals),
    "num_flops": lambda shape, totals, seq_len: (
        FLOPS_PER_MAC * count_macs_of(shape, totals, seq_len=seq_len)
    ),
}
"""What follows from networks' sizes and a number of tokens, by quantity."""
