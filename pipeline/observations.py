"""What is learnt about networks, as the ledger gives it (no torch).

An observation is of a `Subject`, a network as deployed. A score is an `Evaluation` of a split,
with every example's outcome; a latency is of a session, in which networks were measured together
under the same conditions. Thousands are read at once, so each is parsed when it is asked for
(`Parsed`), and what a query needs of all of them is read by columns.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, Literal, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..deploy.deployment import EAGER_FP32, Deployment
from ..networks.network import Network
from ..networks.shape import EncoderShape
from ..profiling.conditions import Conditions
from ..profiling.quietness import disturbances
from ..profiling.statistics import NoiseReport
from ..profiling.table import LatencySummary
from ..search.pool import Outcomes
from ..tasks.metrics import Labels
from ..tasks.scores import Evaluation
from .packing import unpacked_rows

Purpose = Literal["profile", "addition", "delivery", "predictor", "import"]
"""What a session was measured for."""

_K = TypeVar("_K")
_R = TypeVar("_R")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Subject:
    """What is observed: a network as deployed.

    Attributes:
        network: The network's id.
        deployment: Runtime and precision.
    """

    network: str
    deployment: Deployment

    def __hash__(self) -> int:
        """That of the network, which is deployed in few ways: thousands are looked up."""
        return hash(self.network)

    @property
    def key(self) -> str:
        """Both as one word, as a candidate's key."""
        return f"{self.network}/{self.deployment.slug}"

    @classmethod
    def from_key(cls, key: str) -> Self:
        """Read back a key.

        Raises:
            InputError: When it is none.
        """
        network, _, slug = key.partition("/")
        return cls(network, Deployment.from_slug(slug))


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """Networks that were measured together.

    Attributes:
        id: Its name, also in the latencies.
        purpose: What it was measured for.
        conditions: How and where.
        subjects: What every process visits.
        sentinel: What ratios refer to.
        created: When it was begun, in seconds since 1970.
        finished: Whether its latencies are known.
        noise: What the noise guards did; None until it is finished.
        time_budget_s: Seconds that it could take; None until then.
        spent: Whether it was measured to the end to decide something.
        latencies: By subject; empty until it is finished.
        times_ms: Milliseconds of a batch by subject, with the upper end of their interval.
        energies_j: Joules of one batch by subject, where the machine counts them.
    """

    id: str
    purpose: Purpose
    conditions: Conditions
    subjects: tuple[Subject, ...]
    sentinel: Subject
    created: float
    finished: bool
    noise: NoiseReport | None
    time_budget_s: float | None
    spent: bool
    latencies: Mapping[Subject, LatencySummary] = field(default_factory=dict)
    times_ms: Mapping[Subject, tuple[float, float]] = field(default_factory=dict)
    energies_j: Mapping[Subject, float] = field(default_factory=dict)

    def suffices(self, time_budget_s: float) -> bool:
        """Whether another session that may take so many seconds would tell no more."""
        resolved = all(latency.resolved for latency in self.latencies.values())
        return resolved or (self.time_budget_s or 0) >= time_budget_s

    @property
    def disturbances(self) -> tuple[str, ...]:
        """What forbids to take its latencies at their word; none on a quiet machine."""
        return disturbances(self.noise, [entry.resolved for entry in self.latencies.values()])


class Observation(NamedTuple):
    """A row of what was observed of networks as deployed; the others' columns are None.

    Attributes:
        network: The network's id.
        value: A number.
        high: The upper end of its interval.
        record: The rest, as JSON, or a fingerprint.
        labels: Of a score, the digest of the labels.
        typecode: Of a score, how its outcomes are packed.
        outcomes: Of a score, every example's.
        observed: When, in seconds since 1970.
    """

    network: str
    value: Any
    high: Any
    record: Any
    labels: Any
    typecode: Any
    outcomes: Any
    observed: float


class Parsed(Mapping[_K, _T], Generic[_K, _R, _T]):
    """Rows by key, each parsed when it is asked for, once."""

    def __init__(self, rows: Mapping[_K, _R], parse: Callable[[_R], _T]) -> None:
        """Keep the rows and how one is parsed."""
        self.rows = rows
        self._parse = parse
        self._found: dict[_K, _T] = {}

    def __getitem__(self, key: _K) -> _T:
        """The parsed row of a key."""
        if key not in self._found:
            self._found[key] = self._parse(self.rows[key])
        return self._found[key]

    def __contains__(self, key: object) -> bool:
        """Whether there is a row of that key; nothing is parsed."""
        return key in self.rows

    def __iter__(self) -> Iterator[_K]:
        """The keys, in order."""
        return iter(self.rows)

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.rows)


Read = Callable[[Callable[[Any], Any], Any], Any]
"""Calls a function with rows, and says in a sentence what is wrong with them."""


class Known(Parsed[str, str, Network]):
    """Networks by id, in the order in which they were added, and the sizes of many at once."""

    def __init__(self, rows: Mapping[str, str], *, read: Read) -> None:
        """Keep the records, as JSON, and how they are read."""
        super().__init__(rows, partial(read, _network))
        self._read = read

    def totals(self, shape: EncoderShape) -> dict[str, tuple[int, int, int]]:
        """How many layers, heads and neurons networks keep, heads and neurons of all layers.

        Args:
            shape: Of the full model. Networks that are not cut from such a one are left out, and
                those that eliminate word-vectors.

        Raises:
            InputError: When the ledger is damaged.
        """
        found: dict[str, tuple[int, int, int]] = self._read(
            partial(_totals, shape=shape.to_dict()), self.rows
        )
        return found


class Evaluations(Parsed[str, Observation, Evaluation]):
    """Evaluations on one split by the network's id, and what many hold of them at once."""

    def __init__(
        self,
        rows: Mapping[str, Observation],
        parse: Callable[[Observation], Evaluation],
        *,
        read: Read,
        labels: Mapping[str, Labels],
    ) -> None:
        """Keep the rows and how they are parsed.

        Args:
            rows: The ledger's, by the network's id.
            parse: Makes an evaluation of a row.
            read: How rows are read.
            labels: By their digest.
        """
        super().__init__(rows, parse)
        self._read = read
        self._labels = labels

    def scores(self, networks: Sequence[str]) -> NDArray[np.float64]:
        """The primary metric of some networks: (networks,).

        Raises:
            InputError: When the ledger is damaged.
        """
        return np.asarray(self._read(_scores, [self.rows[network] for network in networks]))

    def outcomes(self, networks: Sequence[str]) -> Outcomes:
        """What some networks predict.

        Raises:
            InputError: When the ledger is damaged, or they are not scored on the same examples.
        """
        rows = [self.rows[network] for network in networks]
        return Outcomes(
            metric=self[networks[0]].metric,
            labels=self._read(lambda rows: self._labels[_same_labels(rows)], rows),
            predictions=self._read(_predictions, rows),
        )


def as_json(value: object) -> str:
    """JSON as the ledger keeps it: without spaces."""
    return json.dumps(value, separators=(",", ":"))


def scored_as(deployment: Deployment) -> Deployment:
    """The deployment under which a score is kept: one for all that give the same logits."""
    return deployment if deployment.changes_numbers else EAGER_FP32


def _network(text: str) -> Network:
    return Network.from_dict(json.loads(text))


def _totals(
    rows: Mapping[str, str], *, shape: Mapping[str, Any]
) -> dict[str, tuple[int, int, int]]:
    # Most of what would be parsed is the shape, which the networks of a run share.
    text = f"[{','.join(rows.values())}]".replace(as_json(shape), "null")
    found = {}
    for identifier, record in zip(rows, json.loads(text), strict=True):
        recipe = record["recipe"]
        if recipe["kind"] == "cut" and recipe["shape"] in (None, shape):
            kept = recipe["config"]
            if "tokens" not in kept:
                found[identifier] = len(kept["layers"]), sum(kept["heads"]), sum(kept["neurons"])
    return found


def _scores(rows: Sequence[Observation]) -> NDArray[np.float64]:
    found = np.array([row.value for row in rows], dtype=np.float64)
    if not np.isfinite(found).all():
        raise ValueError("a score is missing")
    return found


def _same_labels(rows: Sequence[Observation]) -> str:
    digests = {row.labels for row in rows}
    if len(digests) != 1:
        raise ValueError("networks are not scored on the same examples")
    return str(digests.pop())


def _predictions(rows: Sequence[Observation]) -> NDArray[Any]:
    return unpacked_rows([(row.typecode, row.outcomes) for row in rows])
