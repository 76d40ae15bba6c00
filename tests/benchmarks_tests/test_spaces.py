"""The comparison of random networks with a line of uniform ones."""

import math

import numpy as np
import pytest
import spaces
from spaces import mean_over_both, on_line, random_networks, uniform_line

from paretobert.networks.shape import EncoderShape
from paretobert.networks.spaces import Layerwise, Uniform
from paretobert.networks.subnet import SubnetConfig

SHAPE = EncoderShape("bert", 6, 12, 32, 384, 1536, 384, 1000, 64, 2, 3)


def test_the_line_is_of_uniform_networks_that_cost_more_and_more():
    line = uniform_line(SHAPE)
    space = Uniform(SHAPE, depths=(1.0,))
    assert all(map(space.contains, line))
    assert line[0] == space.smallest
    assert line[-1] == SubnetConfig.full(SHAPE)
    shares = [space.share(config) for config in line]
    assert shares == sorted(set(shares))


def test_random_networks_are_different_and_the_same_each_time():
    space = Layerwise(SHAPE)
    drawn = random_networks(space, number=30, seed=0)
    assert len(set(drawn)) == 30
    assert drawn == random_networks(space, number=30, seed=0)
    assert drawn != random_networks(space, number=30, seed=1)


def test_a_point_of_the_line_lies_between_its_networks():
    line = [
        (100, np.array([0.0, 0.0, 1.0])),
        (400, np.array([0.0, 1.0, 1.0])),
        (1600, np.array([1.0, 1.0, 1.0])),
    ]
    for macs, outcomes in line:
        np.testing.assert_allclose(on_line(macs, line), outcomes)
    np.testing.assert_allclose(on_line(200, line), [0, 0.5, 1])
    np.testing.assert_allclose(on_line(round(400 * math.sqrt(2)), line), [0.25, 1, 1], atol=1e-3)


def test_the_interval_of_a_mean_covers_it_over_networks_and_examples(monkeypatch):
    """Differences that vary by network and by example: intervals hold the true mean."""
    monkeypatch.setattr(spaces, "RESAMPLES", 1000)
    generator = np.random.default_rng(0)
    covered = 0
    for seed in range(60):
        by_network = generator.normal(0, 0.1, (20, 1))
        by_example = generator.normal(0, 0.3, (1, 100))
        table = 0.05 + by_network + by_example + generator.normal(0, 0.3, (20, 100))
        found = mean_over_both(table, seed=seed)
        assert found.value == pytest.approx(table.mean())
        covered += found.low <= 0.05 <= found.high
    assert covered >= 53
