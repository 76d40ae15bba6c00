"""Which sub-networks learn in a step, and which one of full depth teaches each (no torch)."""

from dataclasses import replace
from random import Random

from ..networks.retention import Retention
from ..networks.shape import EncoderShape
from ..networks.space import Space
from ..networks.subnet import SubnetConfig
from .options import TrainingOptions


def step_configs(
    space: Space, *, options: TrainingOptions, stage: str, step: int
) -> list[SubnetConfig]:
    """Choose the sub-networks that learn in one step, by the recipe, the largest first.

    The smallest that learns in every step is the smallest landmark. Beyond the grid there are far
    smaller networks, whose losses are so large that they would rule every step.

    Args:
        space: The stage's sub-networks.
        options: Recipe, number of random sub-networks, seed.
        stage: Its name; the draw depends on the seed, the stage and the step alone.
        step: The step's number.
    """
    if options.recipe == "paper":
        return list(space.landmarks)
    generator = Random(f"{options.seed}/{stage}/{step}")
    chosen = dict.fromkeys([space.full, space.smallest_landmark])
    wanted = min(space.size, len(chosen) + options.sandwich_random)
    while len(chosen) < wanted:
        chosen[space.draw(generator)] = None
    return list(chosen)


def token_step_configs(space: Space, *, options: TrainingOptions, step: int) -> list[SubnetConfig]:
    """Choose the sub-networks that learn in a step of the token stage.

    The sandwich rule over all three dimensions: the full model, the smallest sub-network, and
    random widths and depths with random retention configurations, so that any configuration works
    later (after the Length-Adaptive Transformer, Kim & Cho 2021). Each random width and depth
    learns with every word-vector too, so that it does not forget how.

    Args:
        space: What the supernet is trained for.
        options: Number of random sub-networks, seed.
        step: The step's number; the draw depends on the seed and it alone.
    """
    with_every_token = space.with_every_token()
    generator = Random(f"{options.seed}/tokens/{step}")
    least = min(space.tokens)
    configs = [space.full, space.smallest_landmark]
    for _ in range(options.sandwich_random):
        drawn = with_every_token.draw(generator)
        retention = Retention.random(drawn.num_layers, least=least, generator=generator)
        configs += [drawn, replace(drawn, tokens=retention)]
    return list(dict.fromkeys(configs))


def same_width_teacher(config: SubnetConfig, shape: EncoderShape) -> SubnetConfig:
    """The sub-network of full depth that is as wide as `config`, one width in every layer."""
    return SubnetConfig(
        layers=tuple(range(shape.num_layers)),
        heads=config.heads[:1] * shape.num_layers,
        neurons=config.neurons[:1] * shape.num_layers,
    )
