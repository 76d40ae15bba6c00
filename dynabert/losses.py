"""What is lost when layers keep fewer of their units, or go, and the rest is repaired (no torch).

`removal` measures it for one half of one layer, or one gap between kept layers, at a time. Their
sum estimates any sub-network's loss before it is built. It takes every half as if all others were
whole, and counts nothing that later layers make up for: it orders networks, and is no forecast of
their error.

Legend: L layers of the full model.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np

from ..networks.subnet import SubnetConfig
from ..storage import read_known, write_json

LOSSES_FILE = "losses.json"

Losses = tuple[tuple[int, float], ...]
"""Numbers of units of one half, each with what the logits lose, from no units to all."""


@dataclass(frozen=True, slots=True)
class LayerLosses:
    """What the logits lose when the halves of a layer keep fewer units.

    Attributes:
        heads: Of attention.
        neurons: Of the feed-forward network.
    """

    heads: Losses
    neurons: Losses

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return {"heads": [*map(list, self.heads)], "neurons": [*map(list, self.neurons)]}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        heads, neurons = (
            tuple((int(size), float(loss)) for size, loss in record[name])
            for name in ("heads", "neurons")
        )
        return cls(heads, neurons)


@dataclass(frozen=True, slots=True)
class RepairLosses:
    """What the logits lose in all places, in a unit common to all.

    Attributes:
        layers: Of every layer of the full model.
        gaps: What dropping 0, 1, 2 and more layers loses: as the first ones, then behind layer 0,
            behind layer 1 and so on; L numbers, then L, L - 1, and so on.
    """

    layers: tuple[LayerLosses, ...]
    gaps: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        """Check that every gap is there."""
        total = len(self.layers)
        wanted = [total, *(total - layer for layer in range(total))]
        if [*map(len, self.gaps)] != wanted:
            raise ValueError(f"{total} layers have {wanted} gaps, not {[*map(len, self.gaps)]}")

    def estimate(self, config: SubnetConfig) -> float:
        """What the logits of a repaired sub-network lose.

        Sizes between two that are known are interpolated.

        Args:
            config: The sub-network, as if it kept every word-vector.
        """
        kept = zip(config.layers, config.heads, config.neurons, strict=True)
        bounds = (-1, *config.layers, len(self.layers))
        return sum(self.of_gap(*gap) for gap in pairwise(bounds)) + sum(
            self.of_halves(layer, heads=heads, neurons=neurons) for layer, heads, neurons in kept
        )

    def of_gap(self, before: int, after: int) -> float:
        """What the logits lose when the layers between two kept ones go.

        Args:
            before: The kept layer before them; -1 for none.
            after: The one after them; L for none.
        """
        return self.gaps[before + 1][after - before - 1]

    def of_halves(self, layer: int, *, heads: int, neurons: int) -> float:
        """What the logits lose when a layer keeps so many heads and neurons."""
        known, lost = self.layers[layer], 0.0
        for size, curve in ((heads, known.heads), (neurons, known.neurons)):
            sizes, losses = zip(*curve, strict=True)
            lost += float(np.interp(size, sizes, losses))
        return lost

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return {
            "layers": [known.to_dict() for known in self.layers],
            "gaps": [*map(list, self.gaps)],
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        return cls(
            tuple(map(LayerLosses.from_dict, record["layers"])),
            tuple(tuple(map(float, gap)) for gap in record["gaps"]),
        )


def write_losses(supernet: Path, losses: RepairLosses) -> None:
    """Keep the losses in a supernet's folder."""
    write_json(supernet / LOSSES_FILE, losses.to_dict())


def read_losses(supernet: Path) -> RepairLosses | None:
    """Read back what `write_losses` wrote; None where a supernet's were never measured.

    Raises:
        InputError: When the file is damaged.
    """
    return read_known(
        supernet / LOSSES_FILE, RepairLosses.from_dict, lacking="holds no losses of layers"
    )
