"""A candidate: a network as deployed, with its costs and its score (no torch).

Runtime and precision belong to it: the same network on two runtimes is two candidates. The same
record holds sub-networks, whatever methods and users bring, and published numbers, so that fronts,
tables and figures need no second kind. What only some have may be None.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Literal, Self

from ..deploy.deployment import Deployment
from ..networks.network import Cut, Network, Printed
from ..networks.subnet import SubnetConfig
from ..profiling.table import LatencySummary, Profile
from ..tasks.scores import Evaluation

Origin = Literal["supernet", "stored", "published"]


@dataclass(frozen=True, slots=True)
class StatedScore:
    """A score as someone stated it, without the outcomes behind it.

    Attributes:
        task: The task's name.
        split: The split's name.
        metric: The metric's name.
        value: The score as a fraction.
        interval: None, for none is stated.
        n: None, likewise.
    """

    task: str
    split: str
    metric: str
    value: float
    interval: ClassVar[None] = None
    n: ClassVar[None] = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        return cls(**record)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One network as deployed, with its costs and its score.

    Attributes:
        profile: The network and what it costs.
        deployment: Runtime and precision.
        evaluation: Outcomes on the search split, or a stated score.
    """

    profile: Profile
    deployment: Deployment
    evaluation: Evaluation | StatedScore

    def __post_init__(self) -> None:
        """Check that what was run has outcomes."""
        if self.origin != "published" and not isinstance(self.evaluation, Evaluation):
            raise ValueError(f"{self.label}: a network that was run has per-example outcomes")

    def __repr__(self) -> str:
        """The candidate on one line."""
        costs = ", ".join(f"{name} {value:.4g}" for name, value in self.profile.values.items())
        score = f"{self.evaluation.metric} {self.evaluation.value:.4f}"
        return f"<Candidate {self.label} ({self.key}): {score}, {costs}>"

    @property
    def network(self) -> Network:
        """The network."""
        return self.profile.network

    @property
    def key(self) -> str:
        """Network and deployment as one word."""
        return f"{self.network.id}/{self.deployment.slug}"

    @property
    def label(self) -> str:
        """What it is called in tables and figures."""
        return self.network.label

    @property
    def name(self) -> str:
        """What sentences call it."""
        return self.network.name

    @property
    def origin(self) -> Origin:
        """Whether it is cut from the supernet, stored beside it, or published."""
        if isinstance(self.network.recipe, Printed):
            return "published"
        return "supernet" if isinstance(self.network.recipe, Cut) else "stored"

    @property
    def is_full(self) -> bool:
        """Whether it is the supernet's full model."""
        return self.network.is_full

    @property
    def config(self) -> SubnetConfig | None:
        """What is kept of the supernet; None for other networks."""
        recipe = self.network.recipe
        return recipe.config if isinstance(recipe, Cut) else None

    @property
    def latency(self) -> LatencySummary | None:
        """Measured latency; None where none was measured here."""
        return self.profile.latency

    @property
    def num_params(self) -> int | None:
        """Parameters, embeddings and head included."""
        return self.profile.num_params

    @property
    def num_flops(self) -> int | None:
        """Floating-point operations of one example, two per multiply-add."""
        return self.profile.num_flops

    @property
    def speedup(self) -> float | None:
        """How many times faster than the full model, where measured."""
        return None if self.latency is None else self.latency.speedup

    def timed(self, latency: LatencySummary | None) -> Self:
        """The same with another latency."""
        return replace(self, profile=replace(self.profile, latency=latency))

    def value(self, quantity: str) -> float | None:
        """Its value of a quantity of `QUANTITIES`; a time as `LatencySummary.time_ms` has it."""
        return self.evaluation.value if quantity == "score" else self.profile.values.get(quantity)

    def known_value(self, quantity: str) -> float:
        """Its value of a quantity that it must have.

        Raises:
            ValueError: When it has none.
        """
        value = self.value(quantity)
        if value is None:
            raise ValueError(f"{self.label} has no {quantity}")
        return value

    @property
    def judged(self) -> dict[str, float]:
        """The values that limits are held against, of the quantities that are known."""
        return {**self.profile.judged, "score": self.evaluation.value}

    def summary(self) -> dict[str, Any]:
        """The network, its costs and its score as JSON types, without every outcome."""
        latency, profile = self.latency, self.profile
        return {
            "network": self.network.id,
            "name": self.name,
            "label": self.label,
            "key": self.config and self.config.key,
            "runtime": self.deployment.runtime,
            "precision": self.deployment.precision,
            "params": self.num_params,
            "flops": self.num_flops,
            "latency_ms": latency
            and {
                **latency.time_ms.numbers,
                "interval": latency.ratio.meaning,
                "resolved": latency.resolved,
            },
            "p99_ms": latency and latency.p99_ms,
            "speedup": self.speedup,
            "throughput_per_s": profile.throughput_per_s,
            "memory_bytes": profile.peak_memory_bytes,
            "disk_bytes": profile.size_bytes,
            "energy_j": profile.energy_j,
            "metric": self.evaluation.metric,
            "search": score_record(self.evaluation),
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return {
            "profile": self.profile.to_dict(),
            "deployment": self.deployment.to_dict(),
            "evaluation": self.evaluation.to_dict(),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        evaluation = record["evaluation"]
        kind = Evaluation if "predictions" in evaluation else StatedScore
        return cls(
            profile=Profile.from_dict(record["profile"]),
            deployment=Deployment.from_dict(record["deployment"]),
            evaluation=kind.from_dict(evaluation),
        )


def score_record(score: Evaluation | StatedScore) -> dict[str, Any]:
    """A score with its interval and number of examples, as JSON types."""
    interval = score.interval
    numbers = {"low": None, "high": None} if interval is None else interval.numbers
    return {"value": score.value, **numbers, "n": score.n}
