"""Spaces: what is drawn, mutated and listed stays inside, and every network can be reached."""

import math
from collections import Counter
from dataclasses import replace
from itertools import product
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paretobert.networks.retention import Retention
from paretobert.networks.shape import EncoderShape
from paretobert.networks.space import Space
from paretobert.networks.spaces import SPACES, Grid, Layerwise, Uniform, space_from_dict
from paretobert.networks.subnet import SubnetConfig, grid, kept_layers


def shape(num_layers: int = 6, num_heads: int = 12, ffn_size: int = 1536) -> EncoderShape:
    return EncoderShape(
        family="bert",
        num_layers=num_layers,
        num_heads=num_heads,
        head_size=32,
        hidden_size=32 * num_heads,
        ffn_size=ffn_size,
        embedding_size=32 * num_heads,
        vocab_size=100,
        num_positions=64,
        num_token_types=2,
        num_labels=2,
    )


MINILM = shape()
TINY = shape(num_layers=3, num_heads=2, ffn_size=2)
TOKENS = (1.0, 0.5, 0.2)


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    """Any space of a small model, with and without elimination."""
    return draw(st.sampled_from([Grid, Uniform, Layerwise]))(
        shape(
            num_layers=draw(st.integers(1, 4)),
            num_heads=draw(st.integers(1, 5)),
            ffn_size=draw(st.integers(1, 40)),
        ),
        draw(st.sampled_from([(1.0, 0.75, 0.5, 0.25), (1.0,), (0.45, 1.0, 0.5)])),
        draw(st.sampled_from([(1.0, 0.75, 0.5), (1.0,), (0.3, 1.0)])),
        draw(st.sampled_from([(1.0,), TOKENS, (0.5, 1.0)])),
    )


def every(space: Space) -> set[SubnetConfig]:
    return {space.decode(code) for code in product(*map(range, space.genes.values()))}


@given(spaces(), st.integers())
@settings(deadline=None)
def test_draws_and_mutations_are_of_the_space(space, seed):
    generator = Random(seed)
    drawn = space.draw(generator)
    mutated = space.mutate(drawn, generator)

    for config in (drawn, mutated, space.full, space.smallest):
        config.validate_for(space.shape)
        assert space.contains(config)
    assert mutated != drawn or space.size == 1
    assert space.share(space.smallest) <= space.share(drawn) <= space.share(space.full) == 1


@given(spaces(), st.integers())
@settings(deadline=None)
def test_a_draw_depends_on_the_generator_alone(space, seed):
    first, second = Random(seed), Random(seed)
    for _ in range(3):
        drawn = space.draw(first)
        assert drawn == space.draw(second)
        assert space.mutate(drawn, first) == space.mutate(drawn, second)


@given(spaces(), st.data())
@settings(deadline=None)
def test_every_code_means_a_network_whose_code_means_it_again(space, data):
    code = [data.draw(st.integers(0, count - 1)) for count in space.genes.values()]
    config = space.decode(code)
    canonical = space.encode(config)

    assert space.contains(config)
    assert space.decode(canonical) == config
    assert all(0 <= v < n for v, n in zip(canonical, space.genes.values(), strict=True))


@given(spaces())
@settings(max_examples=40, deadline=None)
def test_landmarks_are_of_the_space(space):
    assert space.landmarks == grid(
        space.shape, widths=space.widths, depths=space.depths, tokens=space.tokens
    )
    assert all(map(space.contains, space.landmarks))


@given(spaces(), st.integers())
@settings(max_examples=40, deadline=None)
def test_neighbours_are_symmetric(space, seed):
    config = space.draw(Random(seed))
    found = space.neighbours(config)

    assert config not in found
    assert len(set(found)) == len(found)
    assert all(config in space.neighbours(other) for other in found[:: max(1, len(found) // 5)])


@pytest.mark.parametrize("kind", SPACES)
@pytest.mark.parametrize("tokens", [(1.0,), TOKENS])
def test_the_size_counts_every_network_once(kind, tokens):
    space = SPACES[kind](TINY, tokens=tokens)
    assert len(every(space)) == space.size


@pytest.mark.parametrize("kind", SPACES)
def test_neighbours_lead_from_any_network_to_any_other(kind):
    tiny = shape(num_layers=2, num_heads=2, ffn_size=2)
    space = SPACES[kind](tiny, (1.0, 0.5), (1.0, 0.5), (1.0, 0.5))
    reached, border = {space.full}, [space.full]
    while border:
        border = [n for config in border for n in space.neighbours(config) if n not in reached]
        reached.update(border)
    assert reached == every(space)


@pytest.mark.parametrize("kind", SPACES)
def test_every_network_of_a_tiny_space_is_drawn(kind):
    space = SPACES[kind](shape(num_layers=2, num_heads=2, ffn_size=2), tokens=(1.0, 0.5))
    generator = Random(0)
    assert {space.draw(generator) for _ in range(4000)} == every(space)


def test_the_spaces_of_minilm_have_their_sizes():
    assert Grid(MINILM).size == 12
    assert Uniform(MINILM).size == 6 * 12 * 12
    assert Layerwise(MINILM).size == (1 + 12 * 12) ** 5 * 12 * 12
    assert Uniform(MINILM).neuron_sizes == tuple(range(128, 1537, 128))


def test_a_uniform_network_keeps_the_layers_of_its_depth():
    assert Uniform(MINILM).layer_choices == (
        *(kept_layers(6, n / 6) for n in range(1, 5)),
        kept_layers(6, 0.75),
        kept_layers(6, 1.0),
    )


@pytest.mark.parametrize("kind", ["uniform", "layerwise"])
def test_draws_cover_the_costs_evenly_on_a_logarithmic_scale(kind):
    space = SPACES[kind](MINILM)
    generator = Random(0)
    least = space.share(space.smallest)
    counts: Counter[int] = Counter()
    for _ in range(1000):
        share = space.share(space.draw(generator))
        position = 1 - math.log(share) / math.log(least)
        counts[min(9, int(10 * position))] += 1
    assert min(counts[tenth] for tenth in range(10)) > 50


def test_layers_of_a_draw_differ():
    space = Layerwise(MINILM)
    generator = Random(0)
    drawn = [space.draw(generator) for _ in range(100)]
    deep = [config for config in drawn if config.num_layers > 2]
    assert sum(len(set(config.heads)) > 1 for config in deep) > len(deep) / 2
    assert {config.num_layers for config in drawn} == set(range(1, 7))


@pytest.mark.parametrize("kind", SPACES)
def test_at_full_depth_every_layer_stays(kind):
    space = SPACES[kind](MINILM, tokens=TOKENS).at_full_depth().with_every_token()
    generator = Random(0)
    found = [space.full, space.smallest, *(space.draw(generator) for _ in range(20))]
    found += [space.mutate(config, generator) for config in found]
    found += list(space.landmarks)
    assert {(config.num_layers, config.tokens) for config in found} == {(6, None)}
    assert all(map(space.contains, found))


@pytest.mark.parametrize("kind", SPACES)
def test_the_smallest_network_is_the_least_of_all(kind):
    space = SPACES[kind](TINY, (1.0, 0.5), (1.0, 0.5), TOKENS)
    assert space.share(space.smallest) == min(map(space.share, every(space)))
    assert space.smallest.tokens == Retention.from_multiplier(space.smallest.num_layers, 0.2)


@pytest.mark.parametrize("kind", SPACES)
def test_tokens_multipliers_change_nothing_else(kind):
    space = SPACES[kind](TINY, (1.0, 0.5), (1.0, 0.5), TOKENS)
    for config in map(space.draw, map(Random, range(20))):
        found = space.at_each_tokens(config)
        assert config in found
        assert all(map(space.contains, found))
        assert {replace(other, tokens=None) for other in found} == {replace(config, tokens=None)}
        assert found[0].tokens is None
        assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    "config",
    [
        SubnetConfig((0, 6), (12, 12), (1536, 1536)),
        SubnetConfig((0, 5), (12, 13), (1536, 1536)),
        SubnetConfig((0, 5), (12, 12), (1536, 1500)),
        SubnetConfig((0, 5), (12, 12), (1536, 1536), Retention((50, 1), "percent")),
    ],
)
@pytest.mark.parametrize("kind", SPACES)
def test_other_networks_are_not_of_the_space(config, kind):
    assert not SPACES[kind](MINILM).contains(config)


def test_uneven_networks_are_of_the_layerwise_space_alone():
    config = SubnetConfig((0, 2, 5), (1, 12, 7), (128, 1536, 640))
    assert Layerwise(MINILM).contains(config)
    assert not Uniform(MINILM).contains(config)
    assert not Layerwise(MINILM).at_full_depth().contains(config)


@pytest.mark.parametrize("kind", SPACES)
def test_a_space_is_read_back(kind):
    for space in (SPACES[kind](MINILM), SPACES[kind](MINILM, (1.0,), (1.0, 0.5), (1.0, 0.5))):
        assert space_from_dict(space.to_dict(), MINILM) == space
    assert "tokens" not in SPACES[kind](MINILM).to_dict()
    deep = Layerwise(MINILM).at_full_depth()
    assert space_from_dict(deep.to_dict(), MINILM) == deep


def test_sizes_of_dropped_layers_mean_nothing():
    space = Layerwise(TINY)
    code = [0, 1, 1, 0, 0, 1, 1, 0, 0]
    assert space.decode(code) == space.decode([0, 1, 0, 0, 0, 0, 1, 0, 0])
    assert space.decode([0] * 9).layers == (2,)
    assert replace(space, fewest_layers=2).decode([0] * 9).layers == (1, 2)


@given(spaces(), st.integers())
@settings(max_examples=40, deadline=None)
def test_the_last_layer_is_always_kept(space, seed):
    last = space.shape.num_layers - 1
    drawn = space.draw(Random(seed))
    assert drawn.layers[-1] == last
    assert all(other.layers[-1] == last for other in space.neighbours(drawn))
    if last:
        headless = SubnetConfig((0,), drawn.heads[:1], drawn.neurons[:1])
        assert not space.contains(headless)
