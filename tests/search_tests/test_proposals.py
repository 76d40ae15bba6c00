"""Which sub-network to ask for, against every sub-network there is."""

import json
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paretobert.dynabert.losses import LayerLosses, estimated_loss
from paretobert.errors import InputError
from paretobert.networks.subnet import SubnetConfig
from paretobert.profiling.counts import Rates
from paretobert.search.proposals import STEPS, propose

RATES = Rates(per_layer=1, per_head=4, per_neuron=1)


def curve(amounts):
    """Losses from no units on, each unit making up for an amount."""
    total = sum(amounts)
    return tuple((size, total - sum(amounts[:size])) for size in range(len(amounts) + 1))


amounts = st.lists(st.integers(0, 50), min_size=3, max_size=3)
layers = st.lists(st.builds(LayerLosses, amounts.map(curve), amounts.map(curve)), min_size=2)


def every_network(losses):
    sizes = [None, *product(range(1, 4), repeat=2)]
    for choice in product(sizes, repeat=len(losses)):
        kept = [(layer, *size) for layer, size in enumerate(choice) if size]
        if kept:
            yield SubnetConfig(*zip(*kept, strict=True))


@settings(max_examples=30, deadline=None)
@given(losses=layers.filter(lambda found: len(found) <= 3), limit=st.sampled_from([8, 16, 32, 64]))
def test_no_other_network_within_the_limit_loses_less(losses, limit):
    """Limits divide the steps, so that costs are counted exactly."""
    assert STEPS % limit == 0
    found = propose(losses, RATES, limit=limit)
    assert RATES.total(found) <= limit
    least = min(
        estimated_loss(losses, config)
        for config in every_network(losses)
        if RATES.total(config) <= limit
    )
    assert estimated_loss(losses, found) == pytest.approx(least)


@given(limit=st.floats(30, 2000))
def test_costs_are_never_rounded_in_favour(limit):
    losses = [LayerLosses(curve([5, 3, 1]), curve([9, 2, 1]))] * 3
    try:
        found = propose(losses, Rates(13, 27, 9), limit=limit)
    except InputError:
        assert limit < 49.1
    else:
        assert Rates(13, 27, 9).total(found) <= limit


def test_a_layer_that_costs_nothing_to_lose_is_dropped_for_others():
    useless, useful = (
        LayerLosses(curve([1, 0, 0]), curve([1, 0, 0])),
        LayerLosses(curve([9, 9, 9]), curve([9, 9, 9])),
    )
    found = propose([useful, useless, useful], RATES, limit=32)
    assert found.layers == (0, 2)
    assert found.heads == (3, 3)


def test_between_known_sizes_losses_are_interpolated():
    losses = [LayerLosses(((0, 8.0), (4, 0.0)), ((0, 6.0), (3, 0.0)))]
    assert estimated_loss(losses, SubnetConfig((0,), (1,), (3,))) == pytest.approx(6.0)
    assert estimated_loss(losses, SubnetConfig((0,), (4,), (1,))) == pytest.approx(4.0)


def test_a_limit_out_of_reach_is_refused():
    losses = [LayerLosses(curve([1, 1, 1]), curve([1, 1, 1]))]
    with pytest.raises(
        InputError, match="No layer of one head and one neuron costs as little as 5"
    ):
        propose(losses, RATES, limit=5)


def test_losses_survive_json():
    losses = LayerLosses(curve([3, 1, 1]), curve([2, 1, 0]))
    assert LayerLosses.from_dict(json.loads(json.dumps(losses.to_dict()))) == losses
