"""Sub-network configurations: the integers of one sub-network (no torch).

Multipliers are how one asks, integers are what is: `SubnetConfig.from_multipliers` is the only
place that rounds. DynaBERT (Hou et al. 2020) sections 2.1 (width) and 2.2 (depth). A sub-network
is the first k heads and neurons of each kept layer of the rewired model.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any, Self

from ..errors import InputError
from .shape import EncoderShape

WIDTHS = (1.0, 0.75, 0.5, 0.25)
"""Width multipliers of the paper, widest first."""

DEPTHS = (1.0, 0.75, 0.5)
"""Depth multipliers of the paper, deepest first."""


@dataclass(frozen=True, slots=True)
class SubnetConfig:
    """The integers of one sub-network.

    Attributes:
        layers: Kept layers of the full model, counted from 0, increasing.
        heads: Attention heads of each kept layer.
        neurons: Feed-forward neurons of each kept layer.
    """

    layers: tuple[int, ...]
    heads: tuple[int, ...]
    neurons: tuple[int, ...]

    def __post_init__(self) -> None:
        """Check the tuples against one another."""
        if not self.layers:
            raise ValueError("a sub-network keeps at least one layer")
        if not len(self.layers) == len(self.heads) == len(self.neurons):
            raise ValueError(
                f"layers, heads and neurons must have one entry per kept layer, not "
                f"{len(self.layers)}, {len(self.heads)} and {len(self.neurons)}"
            )
        if self.layers[0] < 0 or any(a >= b for a, b in pairwise(self.layers)):
            raise ValueError(f"kept layers must increase from 0 on, not {self.layers}")
        if min(self.heads) < 1 or min(self.neurons) < 1:
            raise ValueError("every kept layer has at least one head and one neuron")

    @property
    def num_layers(self) -> int:
        """The number of kept layers."""
        return len(self.layers)

    @property
    def key(self) -> str:
        """The configuration as one word; equal networks have equal keys.

        >>> SubnetConfig((1, 3, 5), (9, 9, 9), (1152, 768, 384)).key
        'L1.3.5-H9-F1152.768.384'
        """
        heads, neurons = _collapsed(self.heads), _collapsed(self.neurons)
        return f"L{_dotted(self.layers)}-H{_dotted(heads)}-F{_dotted(neurons)}"

    @classmethod
    def from_key(cls, key: str) -> Self:
        """Read back a key.

        Raises:
            InputError: When `key` is not the key of a sub-network.
        """
        match = re.fullmatch(r"L([\d.]+)-H([\d.]+)-F([\d.]+)", key.strip())
        try:
            if match is None:
                raise ValueError("it is not of the form L0.1.2-H12-F1536")
            layers, heads, neurons = (
                tuple(int(part) for part in group.split(".")) for group in match.groups()
            )
            return cls(
                layers=layers,
                heads=heads * len(layers) if len(heads) == 1 else heads,
                neurons=neurons * len(layers) if len(neurons) == 1 else neurons,
            )
        except ValueError as error:
            raise InputError(f"{key!r} is not the key of a sub-network: {error}.") from None

    @classmethod
    def full(cls, shape: EncoderShape) -> Self:
        """The whole model as a sub-network of itself."""
        return cls(
            layers=tuple(range(shape.num_layers)),
            heads=(shape.num_heads,) * shape.num_layers,
            neurons=(shape.ffn_size,) * shape.num_layers,
        )

    @classmethod
    def from_multipliers(cls, shape: EncoderShape, width: float, depth: float) -> Self:
        """The sub-network at a width and a depth multiplier, the same width in every layer.

        Heads are max(1, round(A * width)); neurons are the same share of F that the heads are of
        A. Layers are those of `kept_layers`. Rounded sizes and layers counted from 1:

        | model          | width | heads | neurons | depth | kept layers               |
        |----------------|-------|-------|---------|-------|---------------------------|
        | 12 x 768, 3072 | 0.75  | 9     | 2304    | 0.75  | 1 2 4 5 6 8 9 10 12       |
        |                | 0.5   | 6     | 1536    | 0.5   | 2 4 6 8 10 12             |
        |                | 0.25  | 3     | 768     |       |                           |
        | 6 x 384, 1536  | 0.75  | 9     | 1152    | 0.75  | 1 2 4 5 6                 |
        |                | 0.5   | 6     | 768     | 0.5   | 2 4 6                     |
        |                | 0.25  | 3     | 384     |       |                           |

        Raises:
            InputError: When a multiplier is not in (0, 1].
        """
        layers = kept_layers(shape.num_layers, depth)
        share = _fraction(width, "width")
        heads = max(1, round(shape.num_heads * share))
        neurons = max(1, round(Fraction(shape.ffn_size * heads, shape.num_heads)))
        return cls(layers, (heads,) * len(layers), (neurons,) * len(layers))

    def validate_for(self, shape: EncoderShape) -> None:
        """Check that this is a sub-network of a model of that shape.

        Raises:
            InputError: When a layer, head count or neuron count exceeds the model's.
        """
        for name, largest, limit in (
            ("layer", self.layers[-1], shape.num_layers - 1),
            ("heads", max(self.heads), shape.num_heads),
            ("neurons", max(self.neurons), shape.ffn_size),
        ):
            if largest > limit:
                raise InputError(
                    f"The sub-network {self.key} has {name} {largest}, "
                    f"but the model allows at most {limit}."
                )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return {
            "layers": list(self.layers),
            "heads": list(self.heads),
            "neurons": list(self.neurons),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        return cls(
            layers=tuple(record["layers"]),
            heads=tuple(record["heads"]),
            neurons=tuple(record["neurons"]),
        )


def kept_layers(num_layers: int, depth: float) -> tuple[int, ...]:
    """Layers kept at a depth multiplier, counted from 0.

    Section 2.2 of the paper: counted from 1, layer d is dropped when d + 1 is a multiple of
    1 / (1 - depth). For periods that are no integer the same even spacing is kept by dropping d
    whenever (d + 1)(1 - depth) passes an integer. The last layer always stays.

    >>> kept_layers(6, 0.75)
    (0, 1, 3, 4, 5)

    Raises:
        InputError: When `depth` is not in (0, 1].
    """
    dropped_share = 1 - _fraction(depth, "depth")
    return tuple(
        d - 1
        for d in range(1, num_layers + 1)
        if d == num_layers or (d + 1) * dropped_share // 1 == d * dropped_share // 1
    )


def grid(
    shape: EncoderShape,
    *,
    widths: Sequence[float] = WIDTHS,
    depths: Sequence[float] = DEPTHS,
) -> dict[SubnetConfig, tuple[float, float]]:
    """Every width-depth pair's sub-network with the pair that first asked for it.

    Pairs that round to the same network appear once. Deeper first, then wider first, when the
    multipliers are given so.
    """
    configs: dict[SubnetConfig, tuple[float, float]] = {}
    for depth in depths:
        for width in widths:
            config = SubnetConfig.from_multipliers(shape, width, depth)
            configs.setdefault(config, (width, depth))
    return configs


@dataclass(frozen=True, slots=True)
class ElasticSpace:
    """The multipliers that a supernet is trained for.

    Attributes:
        widths: Width multipliers, widest first.
        depths: Depth multipliers, deepest first.
    """

    widths: tuple[float, ...] = WIDTHS
    depths: tuple[float, ...] = DEPTHS

    def configs(self, shape: EncoderShape) -> dict[SubnetConfig, tuple[float, float]]:
        """Every sub-network of the space, as `grid` gives them."""
        return grid(shape, widths=self.widths, depths=self.depths)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return {"widths": list(self.widths), "depths": list(self.depths)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        return cls(widths=tuple(record["widths"]), depths=tuple(record["depths"]))


def _fraction(multiplier: float, name: str) -> Fraction:
    if not 0 < multiplier <= 1:
        raise InputError(f"The {name} multiplier {multiplier} is not in (0, 1].")
    return Fraction(multiplier).limit_denominator(1000)


def _collapsed(sizes: tuple[int, ...]) -> tuple[int, ...]:
    return sizes[:1] if len(set(sizes)) == 1 else sizes


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))
