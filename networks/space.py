"""What a space of sub-networks is, whichever it is (no torch).

A space says which sub-networks a supernet is trained for and a search may ask for. It is seen in
two ways. As a set of `SubnetConfig`, the canonical form: it draws, mutates, and lists neighbours.
And as genes, integers from 0 on, for samplers that know nothing of networks; several codes may
mean one network. The spaces themselves are in `spaces`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from random import Random
from typing import Any, ClassVar, Literal, Self

from .retention import Retention
from .shape import EncoderShape
from .subnet import DEPTHS, TOKENS, WIDTHS, SubnetConfig, grid

SpaceName = Literal["grid", "uniform", "layerwise"]


@dataclass(frozen=True)
class Space(ABC):
    """A set of sub-networks of one full model, the full model among them.

    Attributes:
        shape: The full model's sizes.
        widths: Width multipliers of the landmarks.
        depths: Depth multipliers of the landmarks.
        tokens: Tokens multipliers, of the landmarks and of the space.
    """

    name: ClassVar[SpaceName]

    shape: EncoderShape
    widths: tuple[float, ...] = WIDTHS
    depths: tuple[float, ...] = DEPTHS
    tokens: tuple[float, ...] = TOKENS

    @property
    def full(self) -> SubnetConfig:
        """The full model."""
        return SubnetConfig.full(self.shape)

    @cached_property
    def landmarks(self) -> dict[SubnetConfig, tuple[float, float, float]]:
        """The networks of the space that are profiled and shown, as `grid` gives them."""
        return grid(self.shape, widths=self.widths, depths=self.depths, tokens=self.tokens)

    @property
    def smallest_landmark(self) -> SubnetConfig:
        """The landmark of the least multipliers."""
        return SubnetConfig.from_multipliers(
            self.shape, min(self.widths), min(self.depths), min(self.tokens)
        )

    @property
    @abstractmethod
    def smallest(self) -> SubnetConfig:
        """The network with the fewest weights, and of these that with the fewest tokens."""

    @property
    @abstractmethod
    def size(self) -> int:
        """The number of networks."""

    @property
    @abstractmethod
    def genes(self) -> dict[str, int]:
        """The number of values of each gene, by its name."""

    @abstractmethod
    def encode(self, config: SubnetConfig) -> tuple[int, ...]:
        """The values of the genes, from 0 on, that mean a network of the space.

        Raises:
            ValueError: When the space does not contain it.
        """

    @abstractmethod
    def decode(self, code: Sequence[int]) -> SubnetConfig:
        """The network that values of the genes mean; every combination means one."""

    @abstractmethod
    def draw(self, generator: Random) -> SubnetConfig:
        """A random network of the space."""

    @abstractmethod
    def at_full_depth(self) -> "Space":
        """The space of its networks that keep every layer."""

    def with_every_token(self) -> Self:
        """The space of its networks that eliminate no word-vectors."""
        return replace(self, tokens=TOKENS)

    def at_each_tokens(self, config: SubnetConfig) -> list[SubnetConfig]:
        """Its layers at each tokens multiplier of the space, the most word-vectors first."""
        places = reversed(range(len(self.tokens)))
        return list(dict.fromkeys(self._with_tokens(config, place) for place in places))

    def contains(self, config: SubnetConfig) -> bool:
        """Whether a network is of the space."""
        try:
            self.encode(config)
        except ValueError:
            return False
        return True

    def mutate(self, config: SubnetConfig, generator: Random) -> SubnetConfig:
        """Another network of the space, near to one of it; the same where there is no other.

        One gene changes on average: by one step or, as often, to any value.
        """
        if self.size == 1:
            return config
        code, counts = self.encode(config), tuple(self.genes.values())
        while True:
            values = [
                _mutated(value, count, generator) if generator.random() * len(code) < 1 else value
                for value, count in zip(code, counts, strict=True)
            ]
            found = self.decode(values)
            if found != config:
                return found

    def neighbours(self, config: SubnetConfig) -> list[SubnetConfig]:
        """The networks that differ from one of the space by one step of one gene."""
        found = {
            self.decode((*code[:place], value, *code[place + 1 :]))
            for code in self._codes(config)
            for place, count in enumerate(self.genes.values())
            for value in (code[place] - 1, code[place] + 1)
            if 0 <= value < count
        }
        return sorted(found - {config}, key=in_order)

    def share(self, config: SubnetConfig) -> float:
        """Its share of the full model's weights in the linear layers of the encoder."""
        return self._weight(zip(config.heads, config.neurons, strict=True)) / (
            self.shape.num_layers * self._weight([(self.shape.num_heads, self.shape.ffn_size)])
        )

    def to_dict(self) -> dict[str, Any]:
        """Return what was asked, without the shape, as JSON types.

        There is no `space` for a grid, and no `tokens` where there is no elimination.
        """
        record: dict[str, Any] = {"widths": list(self.widths), "depths": list(self.depths)}
        if self.name != "grid":
            record["space"] = self.name
        return record if self.tokens == TOKENS else record | {"tokens": list(self.tokens)}

    def _codes(self, config: SubnetConfig) -> Iterator[tuple[int, ...]]:
        """Every code of a network that differs from `encode`'s in its tokens alone."""
        code = self.encode(config)
        for place in self._token_places(config):
            yield (*code[:-1], place)

    def _tokens(self, place: int, num_layers: int) -> Retention | None:
        """The retention configuration of the tokens multiplier at a place, the least first."""
        share = sorted(self.tokens)[place]
        return None if share == 1 else Retention.from_multiplier(num_layers, share)

    def _token_places(self, config: SubnetConfig) -> list[int]:
        """The places of the tokens multipliers that give a network what it keeps.

        Raises:
            ValueError: When none does.
        """
        places = [
            place
            for place in range(len(self.tokens))
            if self._tokens(place, config.num_layers) == config.tokens
        ]
        if not places:
            raise ValueError(f"no tokens multiplier of the space gives {config.key}")
        return places

    def _num_retentions(self, num_layers: int) -> int:
        return len({self._tokens(place, num_layers) for place in range(len(self.tokens))})

    def _with_tokens(self, config: SubnetConfig, place: int) -> SubnetConfig:
        return replace(config, tokens=self._tokens(place, config.num_layers))

    def _weight(self, layers: Iterable[tuple[int, int]]) -> int:
        """Weights of layers with so many heads and neurons, for each component of the states."""
        per_head = 4 * self.shape.head_size
        return sum(per_head * heads + 2 * neurons for heads, neurons in layers)


def _mutated(value: int, count: int, generator: Random) -> int:
    if generator.random() < 0.5:
        return generator.randrange(count)
    return min(max(0, value + generator.choice((-1, 1))), count - 1)


def in_order(config: SubnetConfig) -> tuple[Any, ...]:
    """What configurations are sorted by, so that lists of them never depend on hashes."""
    amounts = () if config.tokens is None else config.tokens.amounts
    return config.layers, config.heads, config.neurons, amounts
