"""How many layers a network of whole layers keeps, as its methods are asked (no torch)."""

import math
from dataclasses import dataclass, replace
from typing import TypeVar

from ..errors import InputError
from ..training.method import Known
from ..training.pace import StudentPace, refuse_below, refuse_no_speedup

AnyLayers = TypeVar("AnyLayers", bound="LayersOptions")


@dataclass(frozen=True, slots=True)
class LayersOptions(StudentPace):
    """How many layers are kept, and how they learn.

    Attributes:
        layers: Layers that are kept.
        target_speedup: How many times fewer multiply-adds the encoder is to have over the training
            texts; 2 where no number of layers is given.
    """

    layers: int | None = None
    target_speedup: float | None = None

    def __post_init__(self) -> None:
        """Check every setting, and choose the target where none is given.

        Raises:
            InputError: When one is out of its range, or both are given.
        """
        StudentPace.__post_init__(self)
        if self.layers is not None and self.target_speedup is not None:
            raise InputError("Give a number of layers or a target speed-up, not both.")
        if self.layers is None and self.target_speedup is None:
            object.__setattr__(self, "target_speedup", 2.0)
        if self.layers is not None:
            refuse_below(self, 1, "layers")
        refuse_no_speedup(self.target_speedup)

    @property
    def number(self) -> int:
        """The layers that are kept, of options that are resolved."""
        assert self.layers is not None, "the target is not resolved"
        return self.layers

    @property
    def counted(self) -> str:
        """The layers that are kept, as labels say it."""
        return "1 layer" if self.number == 1 else f"{self.number} layers"


def resolve(options: AnyLayers, known: Known) -> AnyLayers:
    """The same for the number of layers whose cost is nearest to the target, by its ratio.

    All layers cost the same, so that k of L have L / k times fewer multiply-adds.
    """
    if options.target_speedup is None:
        return options
    target, most = options.target_speedup, known.shape.num_layers
    numbers = range(1, max(2, most))
    nearest = min(numbers, key=lambda number: abs(math.log(most / number / target)))
    return replace(options, layers=nearest, target_speedup=None)
