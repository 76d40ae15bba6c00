"""How PoWER-BERT is trained, as one record (no torch)."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ..errors import InputError
from ..networks.retention import Unit
from ..training.pace import Pace, refuse_below, refuse_no_speedup, refuse_unless_positive

Diagonal = Literal["exclude", "include"]


@dataclass(frozen=True, slots=True)
class PowerOptions(Pace):
    """What retention configuration is wanted, and how it is searched and trained.

    Attributes:
        target_speedup: How many times fewer multiply-adds the encoder is to have over the training
            texts; 2 where neither another target nor a lambda is given.
        target_tokens: The share of word-vectors to keep, over all layers, instead of a speed-up.
        penalty: A fixed lambda instead of a target, as published: weight of the masses in the
            loss; what is kept is what comes of it.
        unit: What is learnt: "percent" of each input's own length, for inputs that are padded to
            the longest of their batch, or "tokens", the paper's counts for one padded length.
        diagonal: Whether a word-vector's attention to itself counts for its score.
        search_epochs: Step 2, configuration search.
        retrain_epochs: Step 3, training with the word-vectors eliminated.
        learning_rate: Peak learning rate of the model's weights.
        retention_travel: Peak learning rate of the retention parameters times the number of search
            steps: how far they can move (`configuration`).
        retention_learning_rate: Peak learning rate of the retention parameters itself, as
            published, instead of what retention_travel makes of the number of steps.
        warmup_share: Share of the steps over which the learning rates rise from 0.
    """

    target_speedup: float | None = None
    target_tokens: float | None = None
    penalty: float | None = None
    unit: Unit = "percent"
    diagonal: Diagonal = "exclude"
    search_epochs: int = 2
    retrain_epochs: int = 3
    learning_rate: float = 5e-5
    retention_travel: float = 2.5
    retention_learning_rate: float | None = None
    warmup_share: float = 0.1

    def __post_init__(self) -> None:
        """Check every setting, and choose the target where none is given.

        Raises:
            InputError: When one is out of its range, or more than one of the two targets and
                lambda is given.
        """
        Pace.__post_init__(self)
        wanted = (self.target_speedup, self.target_tokens, self.penalty)
        given = sum(value is not None for value in wanted)
        if given > 1:
            raise InputError(
                "Give one of a target speed-up, a share of tokens to keep and a lambda, not "
                f"{given} of them."
            )
        if given == 0:
            object.__setattr__(self, "target_speedup", 2.0)
        refuse_no_speedup(self.target_speedup)
        if self.target_tokens is not None and not 0 < self.target_tokens < 1:
            raise InputError(
                f"The share of tokens to keep must be between 0 and 1, not {self.target_tokens:g}."
            )
        for name, value, known in (
            ("unit", self.unit, ("percent", "tokens")),
            ("diagonal", self.diagonal, ("exclude", "include")),
        ):
            if value not in known:
                raise InputError(f"The {name} {value!r} is not one of {', '.join(known)}.")
        refuse_below(self, 1, "search_epochs", "retrain_epochs")
        if self.penalty is not None and not 0 < self.penalty < math.inf:
            raise InputError(f"lambda must be positive, not {self.penalty:g}.")
        refuse_unless_positive(self, "retention_travel", "retention_learning_rate")

    @property
    def label(self) -> str:
        """What people call the network.

        >>> PowerOptions(target_speedup=3).label
        'PoWER-BERT (3x, percent)'
        """
        if self.target_speedup is not None:
            parts = [f"{self.target_speedup:g}x"]
        elif self.target_tokens is not None:
            parts = [f"{self.target_tokens:.0%} of tokens"]
        else:
            parts = [f"lambda {self.penalty:g}"]
        if self.retention_learning_rate is not None:
            parts.append(f"rate {self.retention_learning_rate:g}")
        parts.append(self.unit)
        if self.diagonal == "include":
            parts.append("diagonal")
        return f"PoWER-BERT ({', '.join(parts)})"

    def to_dict(self) -> dict[str, Any]:
        """What decides the network, as JSON types."""
        record = asdict(self)
        del record["checkpoint_steps"]
        return record
