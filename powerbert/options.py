"""How PoWER-BERT is trained, as one record (no torch)."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from ..dynabert.options import PRECISIONS, Precision
from ..dynabert.retention import Unit
from ..errors import InputError

Diagonal = Literal["exclude", "include"]


@dataclass(frozen=True, slots=True)
class PowerOptions:
    """What retention configuration is wanted, and how it is searched and trained.

    Attributes:
        target_speedup: How many times fewer multiply-adds the encoder is to have at the task's
            lengths; 2 where neither target is given.
        target_tokens: The share of word-vectors to keep, over all layers, instead of a speed-up.
        unit: What is learnt: "percent" of each input's own length, for inputs that are padded to
            the longest of their batch, or "tokens", the paper's counts for one padded length.
        diagonal: Whether a word-vector's attention to itself counts for its score.
        search_epochs: Step 2, configuration search.
        retrain_epochs: Step 3, training with the word-vectors eliminated.
        learning_rate: Peak learning rate of the model's weights.
        retention_travel: Peak learning rate of the retention parameters times the number of search
            steps: how far they can move (`configuration`).
        warmup_share: Share of the steps over which the learning rates rise from 0.
        weight_decay: AdamW's decoupled decay of the model's weights.
        batch_size: Examples per step.
        clip_norm: Largest norm of a step's gradient.
        precision: "bf16" autocasts matrix products, "auto" does so where the processor has them.
        seed: Of batch order and dropout.
        checkpoint_steps: Steps between two checkpoints of a step of the method.
    """

    target_speedup: float | None = None
    target_tokens: float | None = None
    unit: Unit = "percent"
    diagonal: Diagonal = "exclude"
    search_epochs: int = 2
    retrain_epochs: int = 3
    learning_rate: float = 5e-5
    retention_travel: float = 2.5
    warmup_share: float = 0.1
    weight_decay: float = 0.01
    batch_size: int = 32
    clip_norm: float = 1.0
    precision: Precision = "auto"
    seed: int = 0
    checkpoint_steps: int = 200

    def __post_init__(self) -> None:
        """Check every setting, and choose the target where none is given.

        Raises:
            InputError: When one is out of its range, or both targets are given.
        """
        if self.target_speedup is not None and self.target_tokens is not None:
            raise InputError("Give a target speed-up or a share of tokens to keep, not both.")
        if self.target_speedup is None and self.target_tokens is None:
            object.__setattr__(self, "target_speedup", 2.0)
        if self.target_speedup is not None and not self.target_speedup > 1:
            raise InputError(f"The target speed-up must be above 1, not {self.target_speedup:g}.")
        if self.target_tokens is not None and not 0 < self.target_tokens < 1:
            raise InputError(
                f"The share of tokens to keep must be between 0 and 1, not {self.target_tokens:g}."
            )
        for name, value, known in (
            ("unit", self.unit, ("percent", "tokens")),
            ("diagonal", self.diagonal, ("exclude", "include")),
            ("precision", self.precision, PRECISIONS),
        ):
            if value not in known:
                raise InputError(f"The {name} {value!r} is not one of {', '.join(known)}.")
        for name in ("search_epochs", "retrain_epochs", "batch_size", "checkpoint_steps"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, not {getattr(self, name)}.")
        for name in ("learning_rate", "retention_travel", "clip_norm"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} must be positive, not {getattr(self, name)}.")
        if self.weight_decay < 0:
            raise InputError(f"weight_decay must not be negative, not {self.weight_decay}.")
        if not 0 <= self.warmup_share < 1:
            raise InputError(f"warmup_share must be in [0, 1), not {self.warmup_share}.")

    @property
    def slug(self) -> str:
        """The target as one word, for folders.

        >>> PowerOptions(target_speedup=3).slug
        'speedup3-percent'
        """
        target = (
            f"tokens{self.target_tokens:g}"
            if self.target_speedup is None
            else f"speedup{self.target_speedup:g}"
        )
        return f"{target}-{self.unit}" + ("-diagonal" if self.diagonal == "include" else "")

    @property
    def label(self) -> str:
        """The target for a reader."""
        target = (
            f"{self.target_tokens:.0%} of tokens"
            if self.target_speedup is None
            else f"{self.target_speedup:g}x"
        )
        diagonal = ", diagonal" if self.diagonal == "include" else ""
        return f"PoWER-BERT ({target}, {self.unit}{diagonal})"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        return cls(**record)
