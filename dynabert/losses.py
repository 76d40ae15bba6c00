"""What is lost when halves of layers keep fewer of their units and are repaired (no torch).

`removal` measures it for one half at a time. To first order these losses add up over the halves,
so that any sub-network's loss is estimated before it is built. The sum takes every half as if all
others were whole, and counts nothing that later layers make up for: it orders networks, and is no
forecast of their error.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from ..errors import InputError
from ..networks.subnet import SubnetConfig
from ..storage import read_json, write_json

LOSSES_FILE = "losses.json"

Losses = tuple[tuple[int, float], ...]
"""Numbers of units of one half, each with what the logits lose, from no units to all."""


@dataclass(frozen=True, slots=True)
class LayerLosses:
    """What the logits lose when the halves of a layer keep fewer units, in a unit common to all.

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


def estimated_loss(losses: Sequence[LayerLosses], config: SubnetConfig) -> float:
    """What the logits of a repaired sub-network lose, in the unit of `losses`.

    Sizes between two that are known are interpolated.

    Args:
        losses: Of every layer of the full model.
        config: The sub-network, with every word-vector.
    """
    sizes = {
        layer: (heads, neurons)
        for layer, heads, neurons in zip(config.layers, config.heads, config.neurons, strict=True)
    }
    total = 0.0
    for layer, known in enumerate(losses):
        heads, neurons = sizes.get(layer, (0, 0))
        for size, curve in ((heads, known.heads), (neurons, known.neurons)):
            places, values = zip(*curve, strict=True)
            total += float(np.interp(size, places, values))
    return total


def write_losses(supernet: Path, losses: Sequence[LayerLosses]) -> None:
    """Keep the losses of every layer in a supernet's folder."""
    write_json(supernet / LOSSES_FILE, [known.to_dict() for known in losses])


def read_losses(supernet: Path) -> tuple[LayerLosses, ...] | None:
    """Read back what `write_losses` wrote; None where a supernet's were never measured.

    Raises:
        InputError: When the file is damaged.
    """
    path = supernet / LOSSES_FILE
    if not path.exists():
        return None
    try:
        return tuple(LayerLosses.from_dict(record) for record in read_json(path))
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{path} holds no losses of layers: the file is damaged.") from None
