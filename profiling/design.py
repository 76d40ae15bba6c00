"""Which sub-networks to measure so that the latency of any other can be predicted (no torch).

Three kinds of ordinary sub-networks, all measured whole, so that every runtime and precision works
alike. *Blocks*: uniform networks at two depths; the difference of the two is a number of equal
layers inside a running network, and what every network pays once cancels. The narrowest are among
them, one of a single layer too: what a search asks for is no smaller than what is measured.
*Spread*: networks whose layers differ, drawn so that each share of heads and neurons appears
equally often (a Latin hypercube over the layers), which is where most of the information lies.
*Held out*: random networks that a predictor is judged by and never sees.

Neurons are multiples of `NEURON_STEP`: matrix kernels work in tiles, and a network with a few
neurons more than a multiple pays for the whole tile.
"""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import numpy as np

from ..networks.retention import Retention
from ..networks.shape import EncoderShape
from ..networks.spaces import NEURON_STEPS
from ..networks.subnet import SubnetConfig

NEURON_STEP = 16
BLOCK_WIDTHS = (1.0, 0.75, 0.5, 0.25)
LEAST_NEURONS = 1 / NEURON_STEPS
"""Share of a layer's neurons that the narrowest networks have: that of a search's narrowest."""


def design(
    shape: EncoderShape, *, max_networks: int = 40, seed: int = 0, least_tokens: float = 1.0
) -> tuple[SubnetConfig, ...]:
    """The networks that a predictor is fitted on, the full model among them.

    Args:
        shape: The full model's sizes.
        max_networks: How many at most.
        seed: Of the spread networks.
        least_tokens: Below 1, two of three spread networks eliminate word-vectors, down to that
            share of the input at the least.
    """
    shallow = max(1, round(shape.num_layers / 2))
    blocks = [
        _uniform(shape, width, num_layers)
        for width in BLOCK_WIDTHS
        for num_layers in (shape.num_layers, shallow)
    ]
    narrowest = [
        _subnet(shape, tuple(range(depth)), [1] * depth, [_neuron_steps(shape)[0]] * depth)
        for depth in (shape.num_layers, 1)
    ]
    chosen = dict.fromkeys([SubnetConfig.full(shape), *blocks, *narrowest])
    generator = np.random.default_rng((seed, 0))
    missing = max_networks - len(chosen)
    depths = _depths(shape, missing, generator)
    num_layers = sum(depths)
    heads = _stratified(1, shape.num_heads, num_layers, generator)
    steps = _stratified(*_neuron_steps(shape), num_layers, generator)
    draw = Random(f"{seed}/design")
    for place, depth in enumerate(depths):
        layers = _layers(shape, depth, generator)
        config = _subnet(shape, layers, heads[:depth], steps[:depth])
        if place % 3:
            config = _with_tokens(config, least_tokens, draw)
        chosen[config] = None
        heads, steps = heads[depth:], steps[depth:]
    return tuple(chosen)


def held_out(
    shape: EncoderShape,
    *,
    num_networks: int = 20,
    seed: int = 0,
    without: Sequence[SubnetConfig] = (),
    least_tokens: float = 1.0,
) -> tuple[SubnetConfig, ...]:
    """Random networks, each layer with its own heads and neurons, to judge a predictor by.

    Args:
        shape: The full model's sizes.
        num_networks: How many.
        seed: Of the draw.
        without: Networks that must not be among them, those of the design.
        least_tokens: Below 1 all of them eliminate word-vectors, as in `design`.
    """
    draw = Random(f"{seed}/held out")
    generator = np.random.default_rng((seed, 1))
    least, most = _neuron_steps(shape)
    chosen: dict[SubnetConfig, None] = {}
    while len(chosen) < num_networks:
        (depth,) = _depths(shape, 1, generator)
        config = _subnet(
            shape,
            _layers(shape, depth, generator),
            generator.integers(1, shape.num_heads + 1, depth).tolist(),
            generator.integers(least, most + 1, depth).tolist(),
        )
        config = _with_tokens(config, least_tokens, draw)
        if config not in without:
            chosen[config] = None
    return tuple(chosen)


def _with_tokens(config: SubnetConfig, least: float, generator: Random) -> SubnetConfig:
    if least == 1:
        return config
    retention = Retention.random(config.num_layers, least=least, generator=generator)
    return replace(config, tokens=retention)


def _uniform(shape: EncoderShape, width: float, num_layers: int) -> SubnetConfig:
    whole = SubnetConfig.from_multipliers(shape, width, 1.0)
    return SubnetConfig(
        whole.layers[:num_layers], whole.heads[:num_layers], whole.neurons[:num_layers]
    )


def _subnet(
    shape: EncoderShape, layers: tuple[int, ...], heads: Sequence[int], steps: Sequence[int]
) -> SubnetConfig:
    neurons = tuple(min(step * NEURON_STEP, shape.ffn_size) for step in steps)
    return SubnetConfig(layers, tuple(heads), neurons)


def _neuron_steps(shape: EncoderShape) -> tuple[int, int]:
    most = -(-shape.ffn_size // NEURON_STEP)
    return max(1, round(most * LEAST_NEURONS)), most


def _depths(shape: EncoderShape, number: int, generator: np.random.Generator) -> list[int]:
    depths: list[int] = generator.integers(1, shape.num_layers + 1, number).tolist()
    return depths


def _layers(shape: EncoderShape, depth: int, generator: np.random.Generator) -> tuple[int, ...]:
    return tuple(sorted(generator.choice(shape.num_layers, depth, replace=False).tolist()))


def _stratified(least: int, most: int, number: int, generator: np.random.Generator) -> list[int]:
    """Integers from `least` to `most`, as evenly spread as their number allows, shuffled."""
    shares = (generator.permutation(number) + generator.random(number)) / max(1, number)
    values: list[int] = (least + np.floor(shares * (most - least + 1))).astype(int).tolist()
    return values
