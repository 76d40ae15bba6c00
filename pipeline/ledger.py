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
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, select

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
from .observations import Evaluations, Parsed, Purpose, SessionRecord, Subject, scored_as
from .packing import packed, unpacked
from .schema import (
    LABELS,
    NETWORKS,
    OBSERVATIONS,
    PROCESSES,
    SESSIONS,
)
from .store import Store

_DIGEST_DIGITS = 16


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
        with self._store.writing() as connection:
            self._store.upsert(
                connection,
                NETWORKS,
                {
                    "id": network.id,
                    "added": time.time(),
                    "kind": network.kind,
                    "record": _json(network.to_dict()),
                },
                keys=("id",),
                kept=("added",),
            )

    def networks(self, *, kind: Kind | None = None) -> "Parsed[str, Any, Network]":
        """Networks by id, in the order in which they were added; those of a kind, or all."""
        query = select(NETWORKS.c.id, NETWORKS.c.record).where(NETWORKS.c.run == self._store.run)
        if kind is not None:
            query = query.where(NETWORKS.c.kind == kind)
        with self._store.reading() as connection:
            rows = connection.execute(query.order_by(NETWORKS.c.added, NETWORKS.c.id)).all()
        return Parsed(dict(map(tuple, rows)), lambda text: self._store.parsed(_network, text))

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
        with self._store.writing() as connection:
            self._store.upsert(
                connection,
                LABELS,
                {"digest": digest, "typecode": labels[0], "labels": labels[1]},
                keys=("digest",),
            )
            self._observe(
                connection,
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
        with self._store.reading() as connection:
            rows = self._observations(
                connection,
                "score",
                deployment=scored_as(deployment),
                place=split,
                network=network,
            )
            columns = connection.execute(
                select(LABELS).where(LABELS.c.run == self._store.run)
            ).all()
        labels = {
            row.digest: self._store.parsed(lambda row: unpacked(row.typecode, row.labels), row)
            for row in columns
        }

        def read(row: Any) -> Evaluation:
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
        with self._store.writing() as connection:
            self._store.upsert(
                connection,
                SESSIONS,
                {
                    "id": record.id,
                    "purpose": purpose,
                    "conditions": conditions.id,
                    "subjects": _json([subject.key for subject in subjects]),
                    "sentinel": sentinel.key,
                    "protocol": _json(conditions.protocol.to_dict()),
                    "environment": _json(conditions.environment.to_dict()),
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
        with self._store.writing() as connection:
            self._store.upsert(
                connection,
                PROCESSES,
                {
                    "session": session,
                    "number": process.index,
                    "record": json.dumps(process.to_dict()),
                },
                keys=("session", "number"),
            )

    def processes(self, session: str) -> tuple[Process, ...]:
        """The finished processes of a session, in order."""
        with self._store.reading() as connection:
            rows = connection.execute(
                select(PROCESSES.c.record)
                .where(PROCESSES.c.run == self._store.run, PROCESSES.c.session == session)
                .order_by(PROCESSES.c.number)
            ).all()
        return tuple(
            self._store.parsed(lambda text: Process.from_dict(json.loads(text)), row.record)
            for row in rows
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
        with self._store.writing() as connection:
            connection.execute(
                SESSIONS.update()
                .where(SESSIONS.c.run == self._store.run, SESSIONS.c.id == record.id)
                .values(
                    environment=_json(environment.to_dict()),
                    finished=True,
                    noise=_json(noise.to_dict()),
                    time_budget_s=time_budget_s,
                    spent=spent,
                )
            )
            for subject, latency in latencies.items():
                time_ms = latency.time_ms
                self._observe(
                    connection,
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
                    connection, subject, quantity="energy_j", place=record.id, value=energy_j
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
        with self._store.writing() as connection:
            for quantity, value in (
                ("size_bytes", footprint.size_bytes),
                ("peak_memory_bytes", footprint.peak_memory_bytes),
            ):
                self._observe(
                    connection, subject, quantity=quantity, place=conditions.id, value=value
                )

    def footprints(self, *, deployment: Deployment, conditions_id: str) -> dict[str, Footprint]:
        """The footprints under some conditions, by the network's id."""
        with self._store.reading() as connection:
            sizes, peaks = (
                {
                    row.network: round(row.value)
                    for row in self._observations(
                        connection, quantity, deployment=deployment, place=conditions_id
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
        with self._store.writing() as connection:
            self._observe(
                connection,
                Subject(network, EAGER_FP32),
                quantity="surrogate_error",
                place=conditions,
                value=error.loss,
                record=_json({"seconds": error.seconds}),
            )

    def errors(self, *, conditions: str) -> dict[str, SurrogateError]:
        """The errors that were found under some conditions, by the network's id."""

        def read(row: Any) -> SurrogateError:
            return SurrogateError(float(row.value), float(json.loads(row.record)["seconds"]))

        with self._store.reading() as connection:
            rows = self._observations(
                connection, "surrogate_error", deployment=EAGER_FP32, place=conditions
            )
        return {row.network: self._store.parsed(read, row) for row in rows}

    def add_fingerprint(self, subject: Subject, fingerprint: str) -> None:
        """Enter the fingerprint of the files that were scored and timed."""
        with self._store.writing() as connection:
            self._observe(
                connection, subject, quantity="fingerprint", place="", record=fingerprint
            )

    def fingerprint(self, subject: Subject) -> str | None:
        """The fingerprint of the files that were last scored or timed; None where none were."""
        with self._store.reading() as connection:
            rows = self._observations(
                connection,
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
        self, connection: Connection, subject: Subject, *, quantity: str, place: str, **values: Any
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
        self._store.upsert(connection, OBSERVATIONS, row, keys=keys)

    def _observations(
        self,
        connection: Connection,
        quantity: str,
        *,
        deployment: Deployment,
        place: str,
        network: str | None = None,
    ) -> Sequence[Any]:
        """What was observed of a network, or of all, the latest last."""
        columns = OBSERVATIONS.c
        query = select(
            columns.network,
            columns.value,
            columns.record,
            columns.labels,
            columns.typecode,
            columns.outcomes,
        ).where(
            columns.run == self._store.run,
            columns.quantity == quantity,
            columns.deployment == deployment.slug,
            columns.place == place,
        )
        if network is not None:
            query = query.where(columns.network == network)
        return connection.execute(query.order_by(columns.observed)).all()

    def _sessions(
        self, *, purpose: Purpose, conditions_id: str | None = None
    ) -> list[SessionRecord]:
        query = select(SESSIONS).where(
            SESSIONS.c.run == self._store.run, SESSIONS.c.purpose == purpose
        )
        if conditions_id is not None:
            query = query.where(SESSIONS.c.conditions == conditions_id)
        with self._store.reading() as connection:
            rows = connection.execute(query.order_by(SESSIONS.c.created.desc())).all()
        return [self._store.parsed(_session, row) for row in rows]

    def _with_latencies(self, record: SessionRecord) -> SessionRecord:
        columns = OBSERVATIONS.c
        with self._store.reading() as connection:
            rows = connection.execute(
                select(
                    columns.network,
                    columns.deployment,
                    columns.quantity,
                    columns.value,
                    columns.high,
                    columns.record,
                ).where(
                    columns.run == self._store.run,
                    columns.quantity.in_(("latency_ms", "energy_j")),
                    columns.deployment.in_({s.deployment.slug for s in record.subjects}),
                    columns.place == record.id,
                )
            ).all()
        timed: dict[Subject, Any] = {}
        energies: dict[Subject, float] = {}
        for row in rows:
            deployment = self._store.parsed(Deployment.from_slug, row.deployment)
            subject = Subject(row.network, deployment)
            if row.quantity == "energy_j":
                energies[subject] = row.value
            else:
                timed[subject] = row
        ordered = {entry: timed[entry] for entry in record.subjects if entry in timed}
        return replace(
            record,
            latencies=Parsed(ordered, lambda row: self._store.parsed(_latency, row)),
            times_ms={
                subject: self._store.parsed(_time_ms, row) for subject, row in ordered.items()
            },
            energies_j=energies,
        )


def _network(text: str) -> Network:
    return Network.from_dict(json.loads(text))


def _latency(row: Any) -> LatencySummary:
    return LatencySummary.from_dict(json.loads(row.record))


def _time_ms(row: Any) -> tuple[float, float]:
    if not 0 < row.value <= row.high:
        raise ValueError(f"{row.value!r} and {row.high!r} are no latency and its upper end")
    return row.value, row.high


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _session(row: Any) -> SessionRecord:
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
        finished=row.finished,
        noise=None if row.noise is None else NoiseReport.from_dict(json.loads(row.noise)),
        time_budget_s=row.time_budget_s,
        spent=row.spent,
    )
