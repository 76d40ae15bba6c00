"""The spaces of sub-networks, from the paper's to one network in 10^12 (no torch).

Each lies within the next, as far as the sizes of the full model are multiples of the steps:

- `grid`, every combination of a few multipliers (DynaBERT, Hou et al. 2020, section 2);
- `uniform`, any number of heads and of twelfths of the neurons, the same in every kept layer, at
  any number of layers;
- `layerwise`, the last layer and any of the others, each with its own heads and neurons, which
  vary from layer to layer as in HAT (Wang et al. 2020).

All of them keep the last layer, as DynaBERT's rule for depth does: the head reads what it writes.
A supernet that was trained to do without it too lost .235 there
(`benchmarks/spaces/stdlib-docs-any-layers.json`).

The grid's networks are the landmarks of all of them: few enough to be profiled and shown.

Independent sizes for each layer would put nearly all draws at one cost, by the law of large
numbers. A draw picks its cost first, evenly on a logarithmic scale, then a depth that can have it,
then sizes that vary around the width that has it. Costs are shares of the weights of the encoder's
linear layers, which are those of its multiply-adds without attention's two products.
"""

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from random import Random
from typing import Any, ClassVar, Self

from .shape import EncoderShape
from .space import Space, SpaceName, in_order
from .subnet import TOKENS, SubnetConfig, kept_layers

NEURON_STEPS = 12
"""Sizes of a feed-forward network in the spaces beyond the grid, evenly spaced."""

MAX_SPREAD = 0.8
"""Most standard deviation of the logarithms of a drawn network's sizes around their mean."""

_BISECTIONS = 40


@dataclass(frozen=True)
class Grid(Space):
    """Every combination of the widths, depths and tokens multipliers."""

    name: ClassVar[SpaceName] = "grid"

    @property
    def smallest(self) -> SubnetConfig:
        """The smallest landmark."""
        return self.smallest_landmark

    @property
    def size(self) -> int:
        """The number of networks; multipliers that round to the same one count once."""
        return len(self.landmarks)

    @property
    def genes(self) -> dict[str, int]:
        """One for each kind of multiplier, widest, deepest and most tokens last."""
        return {"width": len(self.widths), "depth": len(self.depths), "tokens": len(self.tokens)}

    def encode(self, config: SubnetConfig) -> tuple[int, ...]:
        """The places of its multipliers, the least first."""
        if config not in self.landmarks:
            raise ValueError(f"the grid does not contain {config.key}")
        width, depth, tokens = self.landmarks[config]
        return tuple(
            sorted(multipliers).index(multiplier)
            for multipliers, multiplier in zip(
                self._multipliers, (width, depth, tokens), strict=True
            )
        )

    def decode(self, code: Sequence[int]) -> SubnetConfig:
        """The network of the multipliers at these places."""
        width, depth, tokens = (
            sorted(multipliers)[place]
            for multipliers, place in zip(self._multipliers, code, strict=True)
        )
        return SubnetConfig.from_multipliers(self.shape, width, depth, tokens)

    def draw(self, generator: Random) -> SubnetConfig:
        """Each network as often as any other."""
        return generator.choice(list(self.landmarks))

    def at_full_depth(self) -> "Grid":
        """The grid of its widths and tokens."""
        return replace(self, depths=(1.0,))

    def _codes(self, config: SubnetConfig) -> Iterator[tuple[int, ...]]:
        counts = self.genes.values()
        for code in product(*map(range, counts)):
            if self.decode(code) == config:
                yield code

    @property
    def _multipliers(self) -> tuple[tuple[float, ...], ...]:
        return self.widths, self.depths, self.tokens


@dataclass(frozen=True)
class Stepped(Space):
    """What the spaces beyond the grid share: sizes in steps, and how networks are drawn.

    Neurons come in twelfths of the full model's, and in the landmarks' numbers.

    Attributes:
        fewest_layers: Layers that every network keeps at least.
    """

    fewest_layers: int = 1

    @cached_property
    def neuron_sizes(self) -> tuple[int, ...]:
        """The numbers of neurons that a layer can have, increasing."""
        steps = range(1, NEURON_STEPS + 1)
        twelfths = {max(1, round(self.shape.ffn_size * step / NEURON_STEPS)) for step in steps}
        return tuple(sorted(twelfths.union(config.neurons[0] for config in self.landmarks)))

    def at_full_depth(self) -> Self:
        """The space of its networks that keep every layer."""
        return replace(self, depths=(1.0,), fewest_layers=self.shape.num_layers)

    def to_dict(self) -> dict[str, Any]:
        """Return what was asked as JSON types, with `fewest_layers` where it is above one."""
        record = super().to_dict()
        return (
            record if self.fewest_layers == 1 else record | {"fewest_layers": self.fewest_layers}
        )

    def draw(self, generator: Random) -> SubnetConfig:
        """A random network: its cost even on a logarithmic scale, its depth even for this cost."""
        share = math.exp(generator.uniform(math.log(self.share(self.smallest)), 0))
        total, whole = self.shape.num_layers, self._weight([self._widest])
        narrowest = self._weight([self._narrowest]) / whole
        weight = share * total * whole
        most = min(total, max(self.fewest_layers, int(share * total / narrowest)))
        least = max(self.fewest_layers, math.ceil(share * total - 1e-9))
        layers = self._draw_layers(generator.randint(min(least, most), most), generator)
        sizes = self._draw_sizes(weight, len(layers), generator)
        config = SubnetConfig(
            layers, tuple(heads for heads, _ in sizes), tuple(neurons for _, neurons in sizes)
        )
        return self._with_tokens(config, generator.randrange(len(self.tokens)))

    @abstractmethod
    def _draw_layers(self, number: int, generator: Random) -> tuple[int, ...]:
        """So many random layers."""

    @abstractmethod
    def _draw_sizes(self, weight: float, number: int, generator: Random) -> list[tuple[int, int]]:
        """Random heads and neurons of so many layers that have a weight together."""

    def _sizes_around(
        self, weight: float, number: int, generator: Random
    ) -> list[tuple[int, int]]:
        """Heads and neurons that vary independently around the width that has the weight.

        Their logarithms are normal, within what there is; how far they spread is drawn too.
        """
        spread = generator.uniform(0, MAX_SPREAD)
        pulls = [
            (math.exp(generator.gauss(0, spread)), math.exp(generator.gauss(0, spread)))
            for _ in range(number)
        ]
        (least_heads, least_neurons), (most_heads, most_neurons) = self._narrowest, self._widest

        def scaled(width: float) -> list[tuple[float, float]]:
            return [
                (
                    min(max(least_heads, width * heads * most_heads), most_heads),
                    min(max(least_neurons, width * neurons * most_neurons), most_neurons),
                )
                for heads, neurons in pulls
            ]

        per_head, per_neuron = self._weight([(1, 0)]), self._weight([(0, 1)])
        low, high = math.log(1e-4), math.log(1e4)
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            found = sum(per_head * h + per_neuron * n for h, n in scaled(math.exp(middle)))
            low, high = (middle, high) if found < weight else (low, middle)
        return [(round(h), self._nearest(n)) for h, n in scaled(math.exp(high))]

    def _nearest(self, neurons: float) -> int:
        return min(self.neuron_sizes, key=lambda size: abs(size - neurons))

    @property
    def _narrowest(self) -> tuple[int, int]:
        return 1, self.neuron_sizes[0]

    @property
    def _widest(self) -> tuple[int, int]:
        return self.shape.num_heads, self.shape.ffn_size

    def _place_of(self, neurons: int, config: SubnetConfig) -> int:
        if neurons not in self.neuron_sizes:
            raise ValueError(f"{config.key} has {neurons} neurons, which are no step")
        return self.neuron_sizes.index(neurons)

    def _refuse_larger(self, config: SubnetConfig) -> None:
        largest = self.shape.num_layers - 1
        if config.layers[-1] > largest or max(config.heads) > self.shape.num_heads:
            raise ValueError(f"{config.key} is larger than the full model")
        if config.num_layers < self.fewest_layers:
            raise ValueError(f"{config.key} keeps fewer than {self.fewest_layers} layers")


@dataclass(frozen=True)
class Uniform(Stepped):
    """Any heads and neurons, the same in every kept layer, at any number of layers.

    Which layers are kept follows from their number (`kept_layers`).
    """

    name: ClassVar[SpaceName] = "uniform"

    @cached_property
    def layer_choices(self) -> tuple[tuple[int, ...], ...]:
        """The sets of kept layers, shallowest first: the landmarks', and one of each other number.

        Two depths of the landmarks may keep different layers of one number.
        """
        total = self.shape.num_layers
        found = dict.fromkeys(kept_layers(total, depth) for depth in self.depths)
        counts = set(map(len, found))
        for number in range(1, total + 1):
            if number not in counts:
                found[kept_layers(total, number / total)] = None
        return tuple(sorted((c for c in found if len(c) >= self.fewest_layers), key=_by_length))

    @property
    def smallest(self) -> SubnetConfig:
        """One head and the fewest neurons in the fewest layers."""
        layers = self.layer_choices[0]
        return self._uniform(layers, *self._narrowest, 0)

    @property
    def size(self) -> int:
        """The number of networks."""
        sizes = self.shape.num_heads * len(self.neuron_sizes)
        return sizes * sum(self._num_retentions(len(layers)) for layers in self.layer_choices)

    @property
    def genes(self) -> dict[str, int]:
        """Which layers, deepest last; heads, neurons and tokens."""
        return {
            "layers": len(self.layer_choices),
            "heads": self.shape.num_heads,
            "neurons": len(self.neuron_sizes),
            "tokens": len(self.tokens),
        }

    def encode(self, config: SubnetConfig) -> tuple[int, ...]:
        """The places of its layers, heads, neurons and tokens."""
        self._refuse_larger(config)
        if not config.is_uniform:
            raise ValueError(f"{config.key} has layers of different sizes")
        if config.layers not in self.layer_choices:
            raise ValueError(f"{config.key} keeps other layers than the space does")
        return (
            self.layer_choices.index(config.layers),
            config.heads[0] - 1,
            self._place_of(config.neurons[0], config),
            self._token_places(config)[0],
        )

    def decode(self, code: Sequence[int]) -> SubnetConfig:
        """The network of these layers, heads, neurons and tokens."""
        layers, heads, neurons, tokens = code
        return self._uniform(
            self.layer_choices[layers], heads + 1, self.neuron_sizes[neurons], tokens
        )

    def _draw_layers(self, number: int, generator: Random) -> tuple[int, ...]:
        return generator.choice([c for c in self.layer_choices if len(c) == number])

    def _draw_sizes(self, weight: float, number: int, generator: Random) -> list[tuple[int, int]]:
        return self._sizes_around(weight / number, 1, generator) * number

    def _uniform(
        self, layers: tuple[int, ...], heads: int, neurons: int, tokens: int
    ) -> SubnetConfig:
        number = len(layers)
        return self._with_tokens(
            SubnetConfig(layers, (heads,) * number, (neurons,) * number), tokens
        )


@dataclass(frozen=True)
class Layerwise(Stepped):
    """The last layer and any of the others, each with its own heads and neurons."""

    name: ClassVar[SpaceName] = "layerwise"

    @cached_property
    def layer_sizes(self) -> tuple[tuple[int, int], ...]:
        """The heads and neurons that a kept layer can have."""
        return tuple(product(range(1, self.shape.num_heads + 1), self.neuron_sizes))

    @property
    def smallest(self) -> SubnetConfig:
        """One head and the fewest neurons in the last layers."""
        total, (heads, neurons) = self.shape.num_layers, self._narrowest
        number = self.fewest_layers
        config = SubnetConfig(
            tuple(range(total - number, total)), (heads,) * number, (neurons,) * number
        )
        return self._with_tokens(config, 0)

    @property
    def size(self) -> int:
        """The number of networks."""
        total, sizes = self.shape.num_layers, self.shape.num_heads * len(self.neuron_sizes)
        return sum(
            math.comb(total - 1, number - 1) * sizes**number * self._num_retentions(number)
            for number in range(self.fewest_layers, total + 1)
        )

    @property
    def genes(self) -> dict[str, int]:
        """Which layers but the last are kept; the heads and the neurons of each; the tokens.

        The sizes of dropped layers mean nothing. Where fewer layers are kept than must be, the
        last ones of the dropped are kept too.
        """
        total = self.shape.num_layers
        return {
            **{f"kept_{layer}": 2 for layer in range(total - 1)},
            **{f"heads_{layer}": self.shape.num_heads for layer in range(total)},
            **{f"neurons_{layer}": len(self.neuron_sizes) for layer in range(total)},
            "tokens": len(self.tokens),
        }

    def encode(self, config: SubnetConfig) -> tuple[int, ...]:
        """Its sizes; a dropped layer's are the nearest kept one's, an earlier one first."""
        self._refuse_larger(config)
        total = self.shape.num_layers
        if config.layers[-1] != total - 1:
            raise ValueError(f"{config.key} drops the last layer")
        places = [
            min(range(config.num_layers), key=lambda place: abs(config.layers[place] - layer))
            for layer in range(total)
        ]
        return (
            *(int(layer in config.layers) for layer in range(total - 1)),
            *(config.heads[place] - 1 for place in places),
            *(self._place_of(config.neurons[place], config) for place in places),
            self._token_places(config)[0],
        )

    def decode(self, code: Sequence[int]) -> SubnetConfig:
        """The network of the kept layers' sizes."""
        total = self.shape.num_layers
        kept, sizes = code[: total - 1], code[total - 1 :]
        heads, neurons = sizes[:total], sizes[total : 2 * total]
        layers = {*(layer for layer, chosen in enumerate(kept) if chosen), total - 1}
        dropped = [layer for layer in range(total) if layer not in layers]
        missing = max(0, self.fewest_layers - len(layers))
        layers.update(dropped[len(dropped) - missing :])
        config = SubnetConfig(
            tuple(sorted(layers)),
            tuple(heads[layer] + 1 for layer in sorted(layers)),
            tuple(self.neuron_sizes[neurons[layer]] for layer in sorted(layers)),
        )
        return self._with_tokens(config, code[-1])

    def neighbours(self, config: SubnetConfig) -> list[SubnetConfig]:
        """The networks that differ by one step of one size, or by one layer, of whatever sizes.

        There are 2 for each size, 1 for each kept layer but the last, and as many for each dropped
        layer as there are sizes of a layer.
        """
        found = {
            self.decode((*code[:place], value, *code[place + 1 :]))
            for code in self._codes(config)
            for place, (name, count) in enumerate(self.genes.items())
            if not name.startswith("kept")
            for value in (code[place] - 1, code[place] + 1)
            if 0 <= value < count
        }
        sizes = dict(
            zip(config.layers, zip(config.heads, config.neurons, strict=True), strict=True)
        )
        others: list[dict[int, tuple[int, int]]] = []
        if config.num_layers > self.fewest_layers:
            others += [
                {layer: size for layer, size in sizes.items() if layer != dropped}
                for dropped in config.layers[:-1]
            ]
        others += [
            dict(sorted({**sizes, layer: size}.items()))
            for layer in range(self.shape.num_layers)
            if layer not in sizes
            for size in self.layer_sizes
        ]
        for other in others:
            heads, neurons = zip(*other.values(), strict=True)
            changed = SubnetConfig(tuple(other), heads, neurons)
            found |= {self._with_tokens(changed, place) for place in self._token_places(config)}
        return sorted(found - {config}, key=in_order)

    def _draw_layers(self, number: int, generator: Random) -> tuple[int, ...]:
        last = self.shape.num_layers - 1
        return (*sorted(generator.sample(range(last), number - 1)), last)

    def _draw_sizes(self, weight: float, number: int, generator: Random) -> list[tuple[int, int]]:
        return self._sizes_around(weight, number, generator)


SPACES: dict[SpaceName, type[Space]] = {space.name: space for space in (Grid, Uniform, Layerwise)}


def space_from_dict(record: Mapping[str, Any], shape: EncoderShape) -> Space:
    """Read back what `Space.to_dict` wrote.

    Args:
        record: What was asked.
        shape: The full model's.
    """
    fewest = {name: record[name] for name in ("fewest_layers",) if name in record}
    return SPACES[record.get("space", "grid")](
        shape,
        tuple(record["widths"]),
        tuple(record["depths"]),
        tuple(record.get("tokens", TOKENS)),
        **fewest,
    )


def _by_length(layers: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
    return len(layers), layers
