"""Sub-network configurations: the integers of one sub-network (no torch).

Multipliers are how one asks, integers are what is: `SubnetConfig.from_multipliers` is the only
place that rounds. DynaBERT (Hou et al. 2020) sections 2.1 (width) and 2.2 (depth). A sub-network
is the first k heads and neurons of each kept layer of the rewired model; with a retention
configuration, fewer and fewer word-vectors go through its layers (PoWER-BERT, Goyal et al. 2020).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import pairwise, product
from typing import Any, Self

from ..errors import InputError, shortened
from .retention import Retention
from .shape import EncoderShape

WIDTHS = (1.0, 0.75, 0.5, 0.25)
"""Width multipliers of the paper, widest first."""

DEPTHS = (1.0, 0.75, 0.5)
"""Depth multipliers of the paper, deepest first."""

TOKENS = (1.0,)
"""Token multipliers of the paper, which keeps every word-vector."""

MAX_MULTIPLIERS = 100


@dataclass(frozen=True, slots=True)
class SubnetConfig:
    """The integers of one sub-network.

    Attributes:
        layers: Kept layers of the full model, counted from 0, increasing.
        heads: Attention heads of each kept layer.
        neurons: Feed-forward neurons of each kept layer.
        tokens: Word-vectors that leave each kept layer; None where all of them do.
    """

    layers: tuple[int, ...]
    heads: tuple[int, ...]
    neurons: tuple[int, ...]
    tokens: Retention | None = None

    def __post_init__(self) -> None:
        """Check the tuples against one another; a retention that keeps all becomes None.

        Raises:
            InputError: When the retention configuration is for another number of layers.
        """
        if not self.layers:
            raise ValueError("a sub-network keeps at least one layer")
        if not len(self.layers) == len(self.heads) == len(self.neurons):
            raise ValueError(
                f"layers, heads and neurons must have one entry per kept layer, not "
                f"{len(self.layers)}, {len(self.heads)} and {len(self.neurons)}"
            )
        whole = (*self.layers, *self.heads, *self.neurons)
        if set(map(type, whole)) != {int}:
            raise ValueError("layers, heads and neurons are whole numbers")
        if self.layers[0] < 0 or any(a >= b for a, b in pairwise(self.layers)):
            raise ValueError(f"kept layers must increase from 0 on, not {shortened(self.layers)}")
        if min(self.heads) < 1 or min(self.neurons) < 1:
            raise ValueError("every kept layer has at least one head and one neuron")
        if self.tokens is not None:
            if len(self.tokens.amounts) != len(self.layers):
                raise InputError(
                    f"The retention configuration {self.tokens.key} is for "
                    f"{len(self.tokens.amounts)} layers, but the sub-network keeps "
                    f"{len(self.layers)}: give one amount for each."
                )
            if self.tokens.keeps_all:
                object.__setattr__(self, "tokens", None)

    @property
    def num_layers(self) -> int:
        """The number of kept layers."""
        return len(self.layers)

    @property
    def is_uniform(self) -> bool:
        """Whether its layers have the same heads and the same neurons."""
        return len(set(self.heads)) == len(set(self.neurons)) == 1

    @property
    def key(self) -> str:
        """The configuration as one word; equal networks have equal keys.

        >>> SubnetConfig((1, 3, 5), (9, 9, 9), (1152, 768, 384)).key
        'L1.3.5-H9-F1152.768.384'
        >>> SubnetConfig((1, 3), (9, 9), (8, 8), Retention((60, 1), "percent")).key
        'L1.3-H9-F8-P60.1'
        """
        heads, neurons = _collapsed(self.heads), _collapsed(self.neurons)
        tokens = "" if self.tokens is None else f"-{self.tokens.key}"
        return f"L{_dotted(self.layers)}-H{_dotted(heads)}-F{_dotted(neurons)}{tokens}"

    @classmethod
    def from_key(cls, key: str) -> Self:
        """Read back a key.

        Raises:
            InputError: When `key` is not the key of a sub-network.
        """
        match = re.fullmatch(r"L([\d.]+)-H([\d.]+)-F([\d.]+)(?:-([TP][\d.]+))?", key.strip())
        try:
            if match is None:
                raise ValueError("it is not of the form L0.1.2-H12-F1536")
            layers, heads, neurons = (
                tuple(int(part) for part in group.split(".")) for group in match.groups()[:3]
            )
            return cls(
                layers=layers,
                heads=heads * len(layers) if len(heads) == 1 else heads,
                neurons=neurons * len(layers) if len(neurons) == 1 else neurons,
                tokens=None if match[4] is None else Retention.from_key(match[4]),
            )
        except ValueError as error:
            raise InputError(
                f"{shortened(key)} is not the key of a sub-network: {error}."
            ) from None

    @classmethod
    def full(cls, shape: EncoderShape) -> Self:
        """The whole model as a sub-network of itself."""
        return cls.of_layers(shape, range(shape.num_layers))

    @classmethod
    def of_layers(cls, shape: EncoderShape, layers: Sequence[int]) -> Self:
        """Some layers of a model at their full width."""
        number = len(layers)
        return cls(tuple(layers), (shape.num_heads,) * number, (shape.ffn_size,) * number)

    @classmethod
    def from_multipliers(
        cls, shape: EncoderShape, width: float, depth: float, tokens: float = 1.0
    ) -> Self:
        """The sub-network at a width, a depth and a tokens multiplier, alike in every layer.

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

        Tokens below 1 are those of `Retention.from_multiplier`; at 1 nothing is eliminated.

        Raises:
            InputError: When a multiplier is not in (0, 1].
        """
        layers = kept_layers(shape.num_layers, depth)
        share = _fraction(width, "width")
        heads = max(1, round(shape.num_heads * share))
        neurons = max(1, round(Fraction(shape.ffn_size * heads, shape.num_heads)))
        retention = None if tokens == 1 else Retention.from_multiplier(len(layers), tokens)
        return cls(layers, (heads,) * len(layers), (neurons,) * len(layers), retention)

    def validate_for(self, shape: EncoderShape) -> None:
        """Check that this is a sub-network of a model of that shape.

        Raises:
            InputError: When a layer or a number of heads, neurons or tokens exceeds the model's.
        """
        tokens = self.tokens
        counts = tokens.amounts if tokens is not None and tokens.unit == "tokens" else (1,)
        for name, largest, limit in (
            ("layer", self.layers[-1], shape.num_layers - 1),
            ("heads", max(self.heads), shape.num_heads),
            ("neurons", max(self.neurons), shape.ffn_size),
            ("tokens", max(counts), shape.num_positions),
        ):
            if largest > limit:
                raise InputError(
                    f"The sub-network {self.key} has {name} {largest}, "
                    f"but the model allows at most {limit}."
                )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types, without `tokens` where there is no elimination."""
        record: dict[str, Any] = {
            "layers": list(self.layers),
            "heads": list(self.heads),
            "neurons": list(self.neurons),
        }
        return record if self.tokens is None else record | {"tokens": self.tokens.to_dict()}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        return cls(
            layers=tuple(record["layers"]),
            heads=tuple(record["heads"]),
            neurons=tuple(record["neurons"]),
            tokens=Retention.from_dict(record["tokens"]) if "tokens" in record else None,
        )


@cache
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
    tokens: Sequence[float] = TOKENS,
) -> dict[SubnetConfig, tuple[float, float, float]]:
    """Every sub-network with the width, depth and tokens multipliers that first asked for it.

    Triples that round to the same network appear once. Deeper first, then wider first, then more
    tokens first, when the multipliers are given so.
    """
    configs: dict[SubnetConfig, tuple[float, float, float]] = {}
    for depth, width, share in product(depths, widths, tokens):
        config = SubnetConfig.from_multipliers(shape, width, depth, share)
        configs.setdefault(config, (width, depth, share))
    return configs


def subnet_label(
    config: SubnetConfig, shape: EncoderShape, *, width: float, tokens: float = 1.0
) -> str:
    """What a sub-network is called, with the layers that it has: a depth multiplier is rounded.

    Args:
        config: The sub-network.
        shape: The full model's.
        width: The width multiplier that asked for it.
        tokens: The tokens multiplier that asked for it.
    """
    label = f"width {width:g}, {config.num_layers} of {shape.num_layers} layers"
    return label if tokens == 1 else f"{label}, tokens {tokens:g}"


def check_multipliers(name: str, multipliers: Sequence[float]) -> None:
    """Check the multipliers of a space: few, different once rounded, and 1 among them.

    Args:
        name: What they are, for messages.
        multipliers: The multipliers.

    Raises:
        InputError: When they cannot make a space.
    """
    shown = shortened(tuple(multipliers))
    if not multipliers or not all(0 < multiplier <= 1 for multiplier in multipliers):
        raise InputError(f"The {name} {shown} must be multipliers in (0, 1].")
    if 1.0 not in multipliers:
        raise InputError(f"The {name} {shown} lack 1, the full model.")
    if len(multipliers) > MAX_MULTIPLIERS:
        raise InputError(
            f"{len(multipliers):,} {name} are too many to train for: give at most "
            f"{MAX_MULTIPLIERS}."
        )
    rounded = [_fraction(multiplier, name) for multiplier in multipliers]
    if 0 in rounded or len(set(rounded)) < len(rounded):
        raise InputError(
            f"The {name} {shown} are not all different multipliers once they are rounded to "
            "thousandths: leave out what is repeated or next to nothing."
        )


def _fraction(multiplier: float, name: str) -> Fraction:
    if not 0 < multiplier <= 1:
        raise InputError(f"The {name} multiplier {multiplier} is not in (0, 1].")
    return Fraction(multiplier).limit_denominator(1000)


def _collapsed(sizes: tuple[int, ...]) -> tuple[int, ...]:
    return sizes[:1] if len(set(sizes)) == 1 else sizes


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))
