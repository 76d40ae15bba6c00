"""What a search is asked (no torch, no Optuna)."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self, get_args

from ..errors import InputError, shortened
from ..tasks.splits import MAX_SEED
from .budget_words import BudgetWord, parse_budget
from .constraints import Constraint
from .quantities import quantity_named

EngineName = Literal["grid", "random", "nsga2", "nsga3", "tpe", "gp", "model", "exact", "ose"]

MAX_TRIALS = 100_000
"""Networks of a search: a month, even at two a minute."""

MAX_OBJECTIVES = 3


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """What a search is asked.

    Attributes:
        objectives: Quantities to trade: score and one or two costs such as latency_ms, num_params,
            num_flops, peak_memory_bytes and size_bytes.
        engine: What proposes sub-networks: `grid` takes every combination of widths, depths and
            tokens, in order; `random` draws; `nsga2`, `nsga3`, `tpe` and `gp` are Optuna's;
            `model` learns scores and looks for the most promising; `exact` adds up what each
            layer loses; `ose` looks for the best by size, cost and error together.
        trials: Sub-networks that are scored; `grid` scores every combination.
        seed: Of the engine.
        max_latency: Sub-networks slower than this are not scored, e.g. 8ms.
        max_params: Sub-networks with more parameters are not scored, e.g. 15M.
        max_flops: Sub-networks with more FLOPs are not scored, e.g. 1G.
        max_memory: Sub-networks that need more memory are not scored, e.g. 300MB.
        max_disk: Sub-networks that are larger on disk are not scored, e.g. 30MB.
        min_throughput: Sub-networks with less throughput are not scored, e.g. 200/s.
        min_score: Sub-networks that score less count as infeasible, e.g. 0.9.
    """

    objectives: tuple[str, ...] = ("score", "latency_ms")
    engine: EngineName = "grid"
    trials: int = 60
    seed: int = 0
    max_latency: str | None = None
    max_params: str | None = None
    max_flops: str | None = None
    max_memory: str | None = None
    max_disk: str | None = None
    min_throughput: str | None = None
    min_score: str | None = None

    def __post_init__(self) -> None:
        """Check every option, budgets included.

        Raises:
            InputError: Naming the option's accepted values.
        """
        for name in self.objectives:
            quantity_named(name)
        if len(set(self.objectives)) != len(self.objectives) or "score" not in self.objectives:
            raise InputError(
                f"The objectives {', '.join(self.objectives)} are no trade: name score and "
                "the costs, each once."
            )
        if len(self.objectives) < 2:
            raise InputError("A search needs a cost beside the score, such as latency_ms.")
        if len(self.objectives) > MAX_OBJECTIVES:
            raise InputError(
                f"{len(self.objectives)} objectives are too many to trade: name score and one or "
                "two costs."
            )
        if self.engine not in get_args(EngineName):
            names = ", ".join(get_args(EngineName))
            raise InputError(f"There is no engine {shortened(self.engine)}: choose from {names}.")
        for name, (smallest, largest) in (
            ("trials", (1, MAX_TRIALS)),
            ("seed", (0, MAX_SEED)),
        ):
            value = getattr(self, name)
            is_whole = isinstance(value, int) and not isinstance(value, bool)
            if not is_whole or not smallest <= value <= largest:
                raise InputError(
                    f"{name} must be a whole number from {smallest} to {largest:,}, "
                    f"not {shortened(value)}."
                )
        _ = self.constraints

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """The limits that were given."""
        budgets: tuple[tuple[BudgetWord, str | None], ...] = (
            ("latency", self.max_latency),
            ("params", self.max_params),
            ("flops", self.max_flops),
            ("memory", self.max_memory),
            ("disk", self.max_disk),
            ("throughput", self.min_throughput),
            ("score", self.min_score),
        )
        parsed = (parse_budget(word, text) for word, text in budgets if text is not None)
        return tuple(entry for entry in parsed if isinstance(entry, Constraint))

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return asdict(self) | {"objectives": list(self.objectives)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        return cls(**{**record, "objectives": tuple(record["objectives"])})
