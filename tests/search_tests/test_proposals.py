"""Which sub-network to ask for, against every sub-network there is."""

import json
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paretobert.dynabert.losses import LayerLosses, RepairLosses
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
layers = st.builds(LayerLosses, amounts.map(curve), amounts.map(curve))


def with_gaps(known, per_layer=30.0):
    """As if each dropped layer lost as much, wherever it is."""
    total = len(known)
    lengths = [total, *range(total, 0, -1)]
    return RepairLosses(
        tuple(known), tuple(tuple(per_layer * n for n in range(length)) for length in lengths)
    )


@st.composite
def all_losses(draw):
    total = draw(st.integers(1, 3))
    gaps = tuple(
        (0.0, *draw(st.lists(st.integers(0, 80), min_size=length - 1, max_size=length - 1)))
        for length in [total, *range(total, 0, -1)]
    )
    return RepairLosses(tuple(draw(layers) for _ in range(total)), gaps)


def every_network(losses):
    sizes = [None, *product(range(1, 4), repeat=2)]
    for choice in product(sizes, repeat=len(losses.layers)):
        kept = [(layer, *size) for layer, size in enumerate(choice) if size]
        if kept:
            yield SubnetConfig(*zip(*kept, strict=True))


@settings(max_examples=30, deadline=None)
@given(losses=all_losses(), limit=st.sampled_from([8, 16, 32, 64]))
def test_no_other_network_within_the_limit_loses_less(losses, limit):
    """Limits divide the steps, so that costs are counted exactly."""
    assert STEPS % limit == 0
    found = propose(losses, RATES, limit=limit)
    least: dict[int, float] = {}
    for config in every_network(losses):
        if RATES.total(config) <= limit:
            loss = losses.estimate(config)
            least[config.num_layers] = min(loss, least.get(config.num_layers, loss))
    assert all(RATES.total(config) <= limit for config in found)
    estimates = [losses.estimate(config) for config in found]
    assert dict(zip((c.num_layers for c in found), estimates, strict=True)) == pytest.approx(least)
    assert estimates == sorted(estimates)


@given(limit=st.floats(30, 2000))
def test_costs_are_never_rounded_in_favour(limit):
    losses = with_gaps([LayerLosses(curve([5, 3, 1]), curve([9, 2, 1]))] * 3)
    try:
        found = propose(losses, Rates(13, 27, 9), limit=limit)[0]
    except InputError:
        assert limit < 49.1
    else:
        assert Rates(13, 27, 9).total(found) <= limit


def test_the_layer_goes_that_others_make_up_for():
    known = LayerLosses(curve([9, 9, 9]), curve([9, 9, 9]))
    losses = RepairLosses((known,) * 3, ((0.0, 50.0, 50.0), (0.0, 0.5, 50.0), (0.0, 50.0), (0.0,)))
    found = propose(losses, RATES, limit=32)
    assert found[0] == SubnetConfig((0, 2), (3, 3), (3, 3))


def test_between_known_sizes_losses_are_interpolated():
    losses = with_gaps([LayerLosses(((0, 8.0), (4, 0.0)), ((0, 6.0), (3, 0.0)))])
    assert losses.estimate(SubnetConfig((0,), (1,), (3,))) == pytest.approx(6.0)
    assert losses.estimate(SubnetConfig((0,), (4,), (1,))) == pytest.approx(4.0)


def test_a_limit_out_of_reach_is_refused():
    losses = with_gaps([LayerLosses(curve([1, 1, 1]), curve([1, 1, 1]))])
    with pytest.raises(
        InputError, match="No layer of one head and one neuron costs as little as 5"
    ):
        propose(losses, RATES, limit=5)


def test_losses_survive_json():
    losses = with_gaps([LayerLosses(curve([3, 1, 1]), curve([2, 1, 0]))] * 2)
    assert RepairLosses.from_dict(json.loads(json.dumps(losses.to_dict()))) == losses


def test_every_gap_is_needed():
    losses = with_gaps([LayerLosses(curve([3, 1, 1]), curve([2, 1, 0]))] * 2)
    with pytest.raises(ValueError, match="2 layers have"):
        RepairLosses(losses.layers, losses.gaps[:-1])
