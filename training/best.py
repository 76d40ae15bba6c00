"""The best weights of a stage, judged on the search split while it trains.

A stage is judged by the mean score of a few probe networks: the full model where it alone learns,
the largest, the smallest and a middle one where many sub-networks do. Ties go to the later ones,
which have learnt more. Left out: the luck of having been chosen, which the kept scores contain.
"""

import json
import math
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

import torch
from torch import Tensor, nn

from ..intervals import Interval
from ..tasks.scores import Evaluation

LONGEST_WAIT = 500
"""Training steps between two judgements, at most; an epoch of fewer steps is judged at its end."""

Judge = Callable[[], Mapping[str, Evaluation]]
"""Scores the model as it is on the search split, by the names of the probe networks."""


@dataclass(slots=True)
class Best:
    """The best weights so far.

    Attributes:
        step: After how many steps they were; 0 before the first judgement.
        scores: Those of the probe networks.
        weights: A copy of every parameter, by name.
    """

    step: int = 0
    scores: dict[str, Interval] = field(default_factory=dict)
    weights: dict[str, Tensor] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        """The mean score of the probe networks; below every score before the first judgement."""
        values = [score.value for score in self.scores.values()]
        return ranked(statistics.mean(values)) if values else -math.inf

    @torch.no_grad()
    def offer(self, model: nn.Module, step: int, found: Mapping[str, Evaluation]) -> None:
        """Keep a copy of the model's weights unless the kept ones score more.

        Args:
            model: What was judged.
            step: Training steps done.
            found: Its scores.
        """
        if ranked(statistics.mean(entry.value for entry in found.values())) < self.mean:
            return
        self.step = step
        self.scores = {name: entry.interval for name, entry in found.items()}
        for name, parameter in model.named_parameters():
            if name not in self.weights:
                self.weights[name] = torch.empty_like(parameter)
            self.weights[name].copy_(parameter)

    @torch.no_grad()
    def load(self, model: nn.Module) -> None:
        """Put the kept weights back; none are kept where nothing was judged."""
        for name, tensor in self.weights.items():
            model.get_parameter(name).copy_(tensor)

    def to_json(self) -> str:
        """What is kept beside the weights."""
        scores = {name: score.to_dict() for name, score in self.scores.items()}
        return json.dumps({"step": self.step, "scores": scores})

    @classmethod
    def from_json(cls, text: str, weights: dict[str, Tensor]) -> Self:
        """Read back what `to_json` wrote."""
        record = json.loads(text)
        scores = {name: Interval.from_dict(entry) for name, entry in record["scores"].items()}
        return cls(record["step"], scores, weights)


def ranked(score: float) -> float:
    """A score for comparing: one that is undefined is below all others."""
    return -math.inf if math.isnan(score) else score


def judgement_interval(steps_per_epoch: int) -> int:
    """Training steps from one judgement to the next: an epoch, or equal parts of a long one.

    >>> judgement_interval(57), judgement_interval(2100)
    (57, 420)
    """
    return math.ceil(steps_per_epoch / math.ceil(steps_per_epoch / LONGEST_WAIT))
