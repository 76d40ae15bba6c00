"""Everything learnt about a run's networks, in one place: scores, latencies, sizes (no torch).

An observation is of one network as deployed. A score is of a split, with every example's
outcome; the labels of a split are kept once. A latency is of a session: networks that were
measured together under the same conditions, with the raw times of each process. A size belongs to
conditions.

The ledger is an SQLite file in the run folder, or any database that SQLAlchemy reaches, such as
PostgreSQL for several machines. Every write is one transaction, so that processes may write at the
same time and a kill loses at most the write it falls into. A file that is new appears whole.
"""

import hashlib
import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple, Self

from ..bort.options import SurrogateError
from ..deploy.deployment import EAGER_FP32, Deployment
from ..networks.network import Kind, Network
from ..profiling.conditions import Conditions
from ..profiling.environment import Environment
from ..profiling.footprint import Footprint
from ..profiling.protocol import LatencyProtocol
from ..profiling.statistics import NoiseReport, Process
from ..profiling.table import LatencySummary
from ..tasks.scores import Evaluation
from .database import Execute
from .observations import (
    Evaluations,
    Known,
    Observation,
    Parsed,
    Purpose,
    SessionRecord,
    Subject,
    as_json,
    scored_as,
)
from .packing import packed, unpacked
from .store import Store

_DIGEST_DIGITS = 16
_AT_ONCE = 64
"""Networks that are read at once where one of the first is looked for."""


class Ledger:
    """What a run knows of its networks; `Ledger.open` opens or makes it."""

    def __init__(self, store: Store) -> None:
        """Use `Ledger.open`."""
        self._store = store

    @classmethod
    def open(cls, place: Path | str, *, run: str) -> Self:
        """Open a ledger, or make it where there is none; see `Store.open`."""
        return cls(Store.open(place, run=run))

    def add_network(self, network: Network) -> None:
        """Enter a network; one that is there keeps its place and gets the new label."""
        with self._store.writing() as execute:
            self._store.upsert(
                execute,
                "networks",
                {
                    "id": network.id,
                    "added": time.time(),
                    "kind": network.kind,
                    "record": as_json(network.to_dict()),
                },
                keys=("id",),
                kept=("added",),
            )

    def networks(self, *, kind: Kind | None = None) -> Known:
        """Networks by id, in the order in which they were added; those of a kind, or all."""
        query = "SELECT added, id, record FROM networks WHERE run = :run"
        with self._store.reading() as execute:
            rows = (
                execute(query, run=self._store.run)
                if kind is None
                else execute(f"{query} AND kind = :kind", run=self._store.run, kind=kind)
            )
            rows.sort()
        return Known({identifier: text for _, identifier, text in rows}, read=self._store.parsed)

    def ids(self) -> tuple[str, ...]:
        """The ids of all networks, in the order in which they were added."""
        with self._store.reading() as execute:
            rows = execute("SELECT added, id FROM networks WHERE run = :run", run=self._store.run)
        return tuple(identifier for _, identifier in sorted(rows))

    def full(self) -> Network | None:
        """The supernet's full model, as far as it was entered: the first network that is one."""
        for start in count(step=_AT_ONCE):
            with self._store.reading() as execute:
                rows = execute(
                    "SELECT added, id, record FROM networks WHERE run = :run AND id IN ("
                    "SELECT id FROM networks WHERE run = :run AND kind = 'cut' "
                    "ORDER BY added, id LIMIT :number OFFSET :start)",
                    run=self._store.run,
                    number=_AT_ONCE,
                    start=start,
                )
                for *_, text in sorted(rows):
                    network = Network.from_dict(json.loads(text))
                    if network.is_full:
                        return network
            if len(rows) < _AT_ONCE:
                break
        return None

    def add_evaluation(
        self, network: str, evaluation: Evaluation, *, deployment: Deployment
    ) -> None:
        """Enter a score with every outcome; the latest one counts.

        All fp32 runtimes share one, because each is checked to give the same logits.
        """
        record = evaluation.to_dict()
        del record["labels"], record["predictions"]
        labels, predictions = (
            packed(column) for column in (evaluation.labels, evaluation.predictions)
        )
        digest = hashlib.sha256(labels[0].encode() + labels[1]).hexdigest()[:_DIGEST_DIGITS]
        with self._store.writing() as execute:
            self._store.upsert(
                execute,
                "labels",
                {"digest": digest, "typecode": labels[0], "labels": labels[1]},
                keys=("digest",),
            )
            self._observe(
                execute,
                Subject(network, scored_as(deployment)),
                quantity="score",
                place=evaluation.split,
                value=evaluation.value,
                low=evaluation.interval.low,
                high=evaluation.interval.high,
                record=json.dumps(record),
                labels=digest,
                typecode=predictions[0],
                outcomes=predictions[1],
            )

    def evaluations(
        self, *, split: str, deployment: Deployment, network: str | None = None
    ) -> "Evaluations":
        """The evaluations on a split as deployed, by the network's id.

        Args:
            split: The split's name.
            deployment: Runtime and precision.
            network: Whose evaluation is wanted; None for everyone's.
        """
        with self._store.reading() as execute:
            rows = self._observations(
                execute,
                "score",
                deployment=scored_as(deployment),
                place=split,
                network=network,
            )
            columns = execute(
                "SELECT digest, typecode, labels FROM labels WHERE run = :run", run=self._store.run
            )
        labels = {
            digest: self._store.parsed(partial(unpacked, typecode), data)
            for digest, typecode, data in columns
        }

        def read(row: Observation) -> Evaluation:
            return Evaluation.from_dict(
                json.loads(row.record)
                | {
                    "labels": labels[row.labels],
                    "predictions": unpacked(row.typecode, row.outcomes),
                }
            )

        return Evaluations(
            {row.network: row for row in rows},
            lambda row: self._store.parsed(read, row),
            read=self._store.parsed,
            labels=labels,
        )

    def session(
        self,
        *,
        purpose: Purpose,
        conditions: Conditions,
        subjects: Sequence[Subject],
        sentinel: Subject,
        anew: bool = False,
        name: str | None = None,
    ) -> SessionRecord:
        """The latest session of the same purpose, conditions and subjects, or a new one.

        Args:
            purpose: What it is for.
            conditions: How and where it is measured.
            subjects: What every process visits.
            sentinel: What ratios refer to.
            anew: Whether a finished one does not count; an unfinished one goes on in any case.
            name: The name that it has or gets; None for any, and to invent one.
        """
        keys = sorted(subject.key for subject in subjects)
        for known in self._sessions(purpose=purpose, conditions_id=conditions.id):
            same = sorted(subject.key for subject in known.subjects) == keys
            if same and name in (None, known.id) and not (anew and known.finished):
                return known
        record = SessionRecord(
            id=name or uuid.uuid4().hex,
            purpose=purpose,
            conditions=conditions,
            subjects=tuple(subjects),
            sentinel=sentinel,
            created=time.time(),
            finished=False,
            noise=None,
            time_budget_s=None,
            spent=False,
        )
        with self._store.writing() as execute:
            self._store.upsert(
                execute,
                "sessions",
                {
                    "id": record.id,
                    "purpose": purpose,
                    "conditions": conditions.id,
                    "subjects": as_json([subject.key for subject in subjects]),
                    "sentinel": sentinel.key,
                    "protocol": as_json(conditions.protocol.to_dict()),
                    "environment": as_json(conditions.environment.to_dict()),
                    "created": record.created,
                    "finished": False,
                    "noise": None,
                    "time_budget_s": None,
                    "spent": False,
                },
                keys=("id",),
            )
        return record

    def add_process(self, session: str, process: Process) -> None:
        """Keep the raw times of a finished process."""
        with self._store.writing() as execute:
            self._store.upsert(
                execute,
                "processes",
                {
                    "session": session,
                    "number": process.index,
                    "record": json.dumps(process.to_dict()),
                },
                keys=("session", "number"),
            )

    def processes(self, session: str) -> tuple[Process, ...]:
        """The finished processes of a session, in order."""
        with self._store.reading() as execute:
            rows = execute(
                "SELECT record FROM processes WHERE run = :run AND session = :session "
                "ORDER BY number",
                run=self._store.run,
                session=session,
            )
        return tuple(
            self._store.parsed(lambda text: Process.from_dict(json.loads(text)), text)
            for (text,) in rows
        )

    def finish_session(
        self,
        record: SessionRecord,
        *,
        environment: Environment,
        noise: NoiseReport,
        time_budget_s: float,
        spent: bool,
        latencies: Mapping[Subject, LatencySummary],
        energies_j: Mapping[Subject, float],
    ) -> SessionRecord:
        """Enter what a session found; a session that went on is entered again.

        Args:
            record: The session.
            environment: The machine, with its load after measuring.
            noise: What the noise guards did.
            time_budget_s: Seconds that it could take.
            spent: Whether it was measured to the end to decide something.
            latencies: By subject.
            energies_j: Joules of one batch by subject.
        """
        finished = replace(
            record,
            conditions=Conditions(record.conditions.protocol, environment),
            finished=True,
            noise=noise,
            time_budget_s=time_budget_s,
            spent=spent,
            latencies=dict(latencies),
            times_ms={
                subject: (latency.time_ms.value, latency.time_ms.high)
                for subject, latency in latencies.items()
            },
            energies_j=dict(energies_j),
        )
        with self._store.writing() as execute:
            execute(
                "UPDATE sessions SET environment = :environment, finished = :finished, "
                "noise = :noise, time_budget_s = :time_budget_s, spent = :spent "
                "WHERE run = :run AND id = :id",
                environment=as_json(environment.to_dict()),
                finished=True,
                noise=as_json(noise.to_dict()),
                time_budget_s=time_budget_s,
                spent=spent,
                run=self._store.run,
                id=record.id,
            )
            for subject, latency in latencies.items():
                time_ms = latency.time_ms
                self._observe(
                    execute,
                    subject,
                    quantity="latency_ms",
                    place=record.id,
                    value=time_ms.value,
                    low=time_ms.low,
                    high=time_ms.high,
                    record=json.dumps(latency.to_dict()),
                )
            for subject, energy_j in energies_j.items():
                self._observe(
                    execute, subject, quantity="energy_j", place=record.id, value=energy_j
                )
        return finished

    def sessions(
        self, *, purpose: Purpose, conditions_id: str | None = None
    ) -> list[SessionRecord]:
        """The finished sessions of a purpose with their latencies, the latest first."""
        found = [
            record
            for record in self._sessions(purpose=purpose, conditions_id=conditions_id)
            if record.finished
        ]
        return [self._with_latencies(record) for record in found]

    def latencies(
        self, *, deployment: Deployment, conditions_id: str, purpose: Purpose
    ) -> dict[str, LatencySummary]:
        """Each network's latest latency among the sessions of a purpose, by the network's id."""
        found: dict[str, LatencySummary] = {}
        for record in self.sessions(purpose=purpose, conditions_id=conditions_id):
            for subject, latency in record.latencies.items():
                if subject.deployment == deployment:
                    found.setdefault(subject.network, latency)
        return found

    def add_footprint(
        self, subject: Subject, conditions: Conditions, footprint: Footprint
    ) -> None:
        """Enter a network's bytes on disk and in memory, as deployed."""
        with self._store.writing() as execute:
            for quantity, value in (
                ("size_bytes", footprint.size_bytes),
                ("peak_memory_bytes", footprint.peak_memory_bytes),
            ):
                self._observe(
                    execute, subject, quantity=quantity, place=conditions.id, value=value
                )

    def footprints(self, *, deployment: Deployment, conditions_id: str) -> dict[str, Footprint]:
        """The footprints under some conditions, by the network's id."""
        with self._store.reading() as execute:
            sizes, peaks = (
                {
                    row.network: round(row.value)
                    for row in self._observations(
                        execute, quantity, deployment=deployment, place=conditions_id
                    )
                }
                for quantity in ("size_bytes", "peak_memory_bytes")
            )
        return {
            network: Footprint(Subject(network, deployment).key, size, peaks[network])
            for network, size in sizes.items()
            if network in peaks
        }

    def add_error(self, network: str, error: SurrogateError, *, conditions: str) -> None:
        """Enter the error of a network after a short training.

        Args:
            network: The network's id.
            error: What was found.
            conditions: A short hash of everything else that decides it.
        """
        with self._store.writing() as execute:
            self._observe(
                execute,
                Subject(network, EAGER_FP32),
                quantity="surrogate_error",
                place=conditions,
                value=error.loss,
                record=as_json({"seconds": error.seconds}),
            )

    def errors(self, *, conditions: str) -> dict[str, SurrogateError]:
        """The errors that were found under some conditions, by the network's id."""

        def read(row: Observation) -> SurrogateError:
            return SurrogateError(float(row.value), float(json.loads(row.record)["seconds"]))

        with self._store.reading() as execute:
            rows = self._observations(
                execute, "surrogate_error", deployment=EAGER_FP32, place=conditions
            )
        return {row.network: self._store.parsed(read, row) for row in rows}

    def add_fingerprint(self, subject: Subject, fingerprint: str) -> None:
        """Enter the fingerprint of the files that were scored and timed."""
        with self._store.writing() as execute:
            self._observe(execute, subject, quantity="fingerprint", place="", record=fingerprint)

    def fingerprint(self, subject: Subject) -> str | None:
        """The fingerprint of the files that were last scored or timed; None where none were."""
        with self._store.reading() as execute:
            rows = self._observations(
                execute,
                "fingerprint",
                deployment=subject.deployment,
                place="",
                network=subject.network,
            )
        return str(rows[0].record) if rows else None

    def close(self) -> None:
        """Give back what is open."""
        self._store.close()

    def _observe(
        self, execute: Execute, subject: Subject, *, quantity: str, place: str, **values: Any
    ) -> None:
        row = {
            "quantity": quantity,
            "deployment": subject.deployment.slug,
            "place": place,
            "network": subject.network,
            "observed": time.time(),
            **values,
        }
        keys = ("quantity", "deployment", "place", "network")
        self._store.upsert(execute, "observations", row, keys=keys)

    def _observations(
        self,
        execute: Execute,
        quantity: str,
        *,
        deployment: Deployment,
        place: str,
        network: str | None = None,
    ) -> list[Observation]:
        """What was observed of a network, or of all, the latest last."""
        query = (
            f"SELECT {', '.join(Observation._fields)} FROM observations WHERE run = :run "
            "AND quantity = :quantity AND deployment = :deployment AND place = :place"
        )
        values = {
            "run": self._store.run,
            "quantity": quantity,
            "deployment": deployment.slug,
            "place": place,
        }
        rows = (
            execute(query, **values)
            if network is None
            else execute(f"{query} AND network = :network", **values, network=network)
        )
        return sorted(map(Observation._make, rows), key=attrgetter("observed"))

    def _sessions(
        self, *, purpose: Purpose, conditions_id: str | None = None
    ) -> list[SessionRecord]:
        query = (
            f"SELECT {', '.join(_Session._fields)} FROM sessions "
            "WHERE run = :run AND purpose = :purpose"
        )
        with self._store.reading() as execute:
            rows = (
                execute(query, run=self._store.run, purpose=purpose)
                if conditions_id is None
                else execute(
                    f"{query} AND conditions = :conditions",
                    run=self._store.run,
                    purpose=purpose,
                    conditions=conditions_id,
                )
            )
        latest_first = sorted(map(_Session._make, rows), key=attrgetter("created"), reverse=True)
        return [self._store.parsed(_session, row) for row in latest_first]

    def _with_latencies(self, record: SessionRecord) -> SessionRecord:
        """A session with what was found, a latency of which is parsed when it is asked for."""
        deployments = dict.fromkeys(subject.deployment for subject in record.subjects)
        with self._store.reading() as execute:
            times, energies = (
                {
                    deployment.slug: {
                        row.network: row
                        for row in self._observations(
                            execute, quantity, deployment=deployment, place=record.id
                        )
                    }
                    for deployment in deployments
                }
                for quantity in ("latency_ms", "energy_j")
            )
            timed = {
                entry: row
                for entry in record.subjects
                if (row := times[entry.deployment.slug].get(entry.network)) is not None
            }
            for row in timed.values():
                if not 0 < row.value <= row.high:
                    raise ValueError(
                        f"{row.value!r} and {row.high!r} are no latency and its upper end"
                    )
        return replace(
            record,
            latencies=Parsed(timed, lambda row: self._store.parsed(_latency, row)),
            times_ms={entry: (row.value, row.high) for entry, row in timed.items()},
            energies_j={
                Subject(network, deployment): row.value
                for deployment in deployments
                for network, row in energies[deployment.slug].items()
            },
        )


def _latency(row: Observation) -> LatencySummary:
    return LatencySummary.from_dict(json.loads(row.record))


class _Session(NamedTuple):
    """A row of the sessions."""

    id: str
    purpose: Purpose
    subjects: str
    sentinel: str
    protocol: str
    environment: str
    created: float
    finished: bool
    noise: str | None
    time_budget_s: float | None
    spent: bool


def _session(row: _Session) -> SessionRecord:
    return SessionRecord(
        id=row.id,
        purpose=row.purpose,
        conditions=Conditions(
            LatencyProtocol.from_dict(json.loads(row.protocol)),
            Environment.from_dict(json.loads(row.environment)),
        ),
        subjects=tuple(map(Subject.from_key, json.loads(row.subjects))),
        sentinel=Subject.from_key(row.sentinel),
        created=row.created,
        finished=bool(row.finished),
        noise=None if row.noise is None else NoiseReport.from_dict(json.loads(row.noise)),
        time_budget_s=row.time_budget_s,
        spent=bool(row.spent),
    )
