"""A network that may be worth having, with its costs, its score and its source (no torch).

The same record holds our sub-networks, compressors run by our own protocol, and published
numbers, so that fronts, tables and figures need no second kind. What only some have may be None.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self, get_args

from ..networks.subnet import SubnetConfig
from ..profiling.table import LatencySummary, Profile
from ..tasks.metrics import Evaluation
from .constraints import judged_values

Origin = Literal["supernet", "baseline", "published"]


@dataclass(frozen=True, slots=True)
class StatedScore:
    """A score as someone stated it, without the outcomes behind it.

    Attributes:
        task: The task's name.
        split: The split's name.
        metric: The metric's name.
        value: The score as a fraction.
        low: Lower end of its 95 % interval, None where none is stated.
        high: Upper end of its 95 % interval, None where none is stated.
        n: The number of examples, None where it is not stated.
    """

    task: str
    split: str
    metric: str
    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        return cls(**record)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One network with its costs and its score.

    Attributes:
        label: What it is called in tables and figures.
        origin: "supernet" for our sub-networks, "baseline" for compressors run by our own
            protocol, "published" for printed numbers.
        config: The sub-network; only those of a supernet have one.
        num_params: Parameters, embeddings and head included; None where unknown.
        num_flops: Floating-point operations of one example, two per multiply-add; None where
            unknown.
        latency: Measured latency; None where none was measured here.
        evaluation: Outcomes on the search split, or a stated score.
        source: Where the numbers come from, for published ones.
    """

    label: str
    origin: Origin
    config: SubnetConfig | None
    num_params: int | None
    num_flops: int | None
    latency: LatencySummary | None
    evaluation: Evaluation | StatedScore
    source: str = ""

    def __post_init__(self) -> None:
        """Check that a sub-network is complete and a published number names its source."""
        if self.origin not in get_args(Origin):
            raise ValueError(f"origin must be one of {get_args(Origin)}, not {self.origin!r}")
        if (self.config is not None) != (self.origin == "supernet"):
            raise ValueError(f"{self.label}: only a supernet's sub-network has a configuration")
        if self.origin == "supernet" and not (
            self.num_params and self.num_flops and isinstance(self.evaluation, Evaluation)
        ):
            raise ValueError(f"{self.label}: a sub-network has counts and per-example outcomes")
        if self.origin == "published" and not self.source:
            raise ValueError(f"{self.label}: a published number names its source")

    @classmethod
    def from_profile(cls, profile: Profile, evaluation: Evaluation, *, label: str) -> Self:
        """A sub-network of a supernet from its row of the cost table and its evaluation."""
        return cls(
            label=label,
            origin="supernet",
            config=profile.config,
            num_params=profile.num_params,
            num_flops=profile.flops,
            latency=profile.latency,
            evaluation=evaluation,
        )

    @property
    def key(self) -> str:
        """The sub-network's key, or the label of what is none."""
        return self.label if self.config is None else self.config.key

    @property
    def speedup(self) -> float | None:
        """How many times faster than the full model, where measured."""
        return None if self.latency is None else self.latency.speedup

    def value(self, quantity: str) -> float | None:
        """Its value of a quantity of `QUANTITIES`; a time as `LatencySummary.time_ms` has it."""
        return {
            "accuracy": self.evaluation.value,
            "latency_ms": None if self.latency is None else self.latency.time_ms.value,
            "num_params": self.num_params,
            "num_flops": self.num_flops,
        }[quantity]

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
        return judged_values(
            num_params=self.num_params,
            num_flops=self.num_flops,
            latency=self.latency,
            score=self.evaluation.value,
        )

    def summary(self) -> dict[str, Any]:
        """Key, costs and score as JSON types, without every example's outcome."""
        latency = self.latency
        return {
            "key": self.key,
            "params": self.num_params,
            "flops": self.num_flops,
            "latency_ms": latency
            and {
                "value": latency.time_ms.value,
                "low": latency.time_ms.low,
                "high": latency.time_ms.high,
                "interval": latency.ratio.meaning,
                "resolved": latency.resolved,
            },
            "speedup": self.speedup,
            "metric": self.evaluation.metric,
            "search": score_record(self.evaluation),
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return {
            "label": self.label,
            "origin": self.origin,
            "config": None if self.config is None else self.config.to_dict(),
            "num_params": self.num_params,
            "num_flops": self.num_flops,
            "latency": None if self.latency is None else self.latency.to_dict(),
            "evaluation": self.evaluation.to_dict(),
            "source": self.source,
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        config, latency, evaluation = record["config"], record["latency"], record["evaluation"]
        kind = Evaluation if "predictions" in evaluation else StatedScore
        return cls(
            label=record["label"],
            origin=record["origin"],
            config=None if config is None else SubnetConfig.from_dict(config),
            num_params=record["num_params"],
            num_flops=record["num_flops"],
            latency=None if latency is None else LatencySummary.from_dict(latency),
            evaluation=kind.from_dict(evaluation),
            source=record["source"],
        )


def score_record(score: Evaluation | StatedScore) -> dict[str, Any]:
    """A score with its interval and number of examples, as JSON types."""
    return {"value": score.value, "low": score.low, "high": score.high, "n": score.n}
