"""The space whose every network is scored: layers are dropped or have one of a few widths."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from random import Random

from paretobert.networks.spaces import Layerwise
from paretobert.networks.subnet import SubnetConfig


@dataclass(frozen=True)
class Coarse(Layerwise):
    """Layers of the landmarks' widths: the last and any others, each of its own width."""

    @cached_property
    def layer_sizes(self) -> tuple[tuple[int, int], ...]:
        """The heads and neurons of the widths, the narrowest first."""
        return tuple(sorted({(each.heads[0], each.neurons[0]) for each in self.landmarks}))

    @property
    def size(self) -> int:
        """The number of networks."""
        return math.prod(self.genes.values())

    @property
    def genes(self) -> dict[str, int]:
        """Of each layer its width, narrowest first; 0 is where one is dropped, the last never."""
        *others, last = (f"width_{i}" for i in range(self.shape.num_layers))
        widths = len(self.layer_sizes)
        return {**dict.fromkeys(others, 1 + widths), last: widths}

    def encode(self, config: SubnetConfig) -> tuple[int, ...]:
        """The width of each layer.

        Raises:
            ValueError: When the network is not of the space.
        """
        if config.layers[-1] != self.shape.num_layers - 1:
            raise ValueError(f"{config.key} drops the last layer")
        code = [0] * self.shape.num_layers
        for layer, *size in zip(config.layers, config.heads, config.neurons, strict=True):
            code[layer] = 1 + self.layer_sizes.index(tuple(size))
        return (*code[:-1], code[-1] - 1)

    def decode(self, code: Sequence[int]) -> SubnetConfig:
        """The network of these widths."""
        values = (*code[:-1], code[-1] + 1)
        kept = [(i, self.layer_sizes[value - 1]) for i, value in enumerate(values) if value]
        layers, sizes = zip(*kept, strict=True)
        return SubnetConfig(layers, *zip(*sizes, strict=True))

    def draw(self, generator: Random) -> SubnetConfig:
        """A layerwise draw, whose cost is even on a logarithmic scale, to the nearest widths."""
        fine = super().draw(generator)
        sizes = [
            min(self.layer_sizes, key=lambda size: abs(size[0] - heads) + abs(size[1] - neurons))
            for heads, neurons in zip(fine.heads, fine.neurons, strict=True)
        ]
        return SubnetConfig(fine.layers, *zip(*sizes, strict=True))

    def every(self) -> list[SubnetConfig]:
        """Every network, in the order of its genes, those of the last layer changing first."""
        return [self.decode(code) for code in product(*map(range, self.genes.values()))]
