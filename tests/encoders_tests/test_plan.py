"""Every rule that follows from a plan, on a layer that no supported family has.

Queries, keys and values are one linear layer, the feed-forward network is gated, and biases may
be absent.
"""

import copy
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from paretobert.dynabert.importance import layer_scores
from paretobert.dynabert.rewiring import rewire_layer
from paretobert.encoders.elastic import activate, make_elastic
from paretobert.encoders.plan import PLANS, LayerSizes, LinearPlan, SlicingPlan
from paretobert.encoders.slicing import leading, narrow_layer

HIDDEN, HEAD_SIZE, HEADS, NEURONS = 6, 2, 3, 5
FULL = LayerSizes(HIDDEN, HEAD_SIZE, HEADS, NEURONS)


def stacked_plan(*, bias):
    return SlicingPlan(
        (
            LinearPlan("qkv", "heads", "hidden", bias=bias, blocks=3),
            LinearPlan("mix", "hidden", "heads", bias=bias),
            LinearPlan("feed.gated", "neurons", "hidden", bias=bias, blocks=2),
            LinearPlan("feed.down", "hidden", "neurons", bias=bias),
        ),
        norm_vectors=4 if bias else 2,
    )


class StackedLayer(nn.Module):
    """A pre-norm layer whose units can be switched off by factors."""

    def __init__(self, *, bias):
        super().__init__()
        self.qkv = nn.Linear(HIDDEN, 3 * HEADS * HEAD_SIZE, bias=bias)
        self.mix = nn.Linear(HEADS * HEAD_SIZE, HIDDEN, bias=bias)
        self.feed = nn.Module()
        self.feed.gated = nn.Linear(HIDDEN, 2 * NEURONS, bias=bias)
        self.feed.down = nn.Linear(NEURONS, HIDDEN, bias=bias)
        self.norms = nn.ModuleList(nn.LayerNorm(HIDDEN, bias=bias) for _ in range(2))

    def forward(self, hidden, heads=None, neurons=None):
        query, key, value = (
            part.unflatten(-1, (-1, HEAD_SIZE)).transpose(1, 2)
            for part in self.qkv(self.norms[0](hidden)).chunk(3, dim=-1)
        )
        weights = (query @ key.transpose(2, 3) * HEAD_SIZE**-0.5).softmax(dim=-1)
        attended = (weights @ value).transpose(1, 2)
        if heads is not None:
            attended = attended * heads[:, None]
        hidden = hidden + self.mix(attended.flatten(2))
        gate, up = self.feed.gated(self.norms[1](hidden)).chunk(2, dim=-1)
        fed = functional.gelu(gate) * up
        return hidden + self.feed.down(fed if neurons is None else fed * neurons)


def layer_and_input(*, bias, seed=0):
    torch.manual_seed(seed)
    layer = StackedLayer(bias=bias).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return layer, torch.randn(2, 4, HIDDEN, dtype=torch.float64)


def switches(sizes):
    return (
        (torch.arange(HEADS) < sizes.heads).double(),
        (torch.arange(NEURONS) < sizes.neurons).double(),
    )


sizes_drawn = st.builds(
    LayerSizes,
    st.just(HIDDEN),
    st.just(HEAD_SIZE),
    heads=st.integers(1, HEADS),
    neurons=st.integers(1, NEURONS),
)


@settings(max_examples=30, deadline=None)
@given(sizes=sizes_drawn, bias=st.booleans(), seed=st.integers(0, 99))
def test_elastic_and_dense_equal_a_full_layer_with_the_rest_switched_off(sizes, bias, seed):
    layer, hidden = layer_and_input(bias=bias, seed=seed)
    plan = stacked_plan(bias=bias)
    elastic, dense = copy.deepcopy(layer), copy.deepcopy(layer)
    make_elastic(elastic, plan)
    torch.testing.assert_close(elastic(hidden), layer(hidden), rtol=0, atol=0)
    activate(elastic, plan, sizes)
    narrow_layer(dense, plan, sizes)
    for _ in range(2):
        expected = layer(hidden, *switches(sizes))
        torch.testing.assert_close(elastic(hidden), expected)
        torch.testing.assert_close(dense(hidden), expected)
        expected.square().sum().backward()
        elastic(hidden).square().sum().backward()
    theirs, ours = dict(layer.named_parameters()), dict(elastic.named_parameters())
    assert theirs.keys() == ours.keys()
    for name, parameter in theirs.items():
        torch.testing.assert_close(ours[name].grad, parameter.grad, msg=name)


@settings(max_examples=30, deadline=None)
@given(sizes=sizes_drawn, bias=st.booleans(), num_tokens=st.integers(1, 9))
@pytest.mark.filterwarnings("ignore")  # fvcore scripts a function on import, torch deprecates it
def test_counts_are_those_of_the_dense_layer(sizes, bias, num_tokens):
    from fvcore.nn import FlopCountAnalysis

    layer, _ = layer_and_input(bias=bias)
    plan = stacked_plan(bias=bias)
    narrow_layer(layer, plan, sizes)
    assert plan.num_parameters(sizes) == sum(p.numel() for p in layer.parameters())
    hidden = torch.randn(1, num_tokens, HIDDEN, dtype=torch.float64)
    analysis = FlopCountAnalysis(layer, hidden)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    counted = analysis.by_operator()
    assert plan.num_macs(sizes, attending=num_tokens, fed=num_tokens) == (
        counted["linear"] + counted["matmul"]
    )


def test_tokens_that_leave_after_the_attention_are_not_fed():
    plan = stacked_plan(bias=False)
    attention, feed_forward = 4 * HIDDEN * HEADS * HEAD_SIZE, 3 * HIDDEN * NEURONS
    expected = 7 * attention + 2 * 7 * 7 * HEADS * HEAD_SIZE + 3 * feed_forward
    assert plan.num_macs(FULL, attending=7, fed=3) == expected


@settings(max_examples=20, deadline=None)
@given(
    heads=st.permutations(range(HEADS)),
    neurons=st.permutations(range(NEURONS)),
    bias=st.booleans(),
)
def test_rewiring_keeps_the_function_and_moves_the_units(heads, neurons, bias):
    layer, hidden = layer_and_input(bias=bias)
    plan = stacked_plan(bias=bias)
    first = LayerSizes(HIDDEN, HEAD_SIZE, 1, 1)
    alone = layer(
        hidden,
        functional.one_hot(torch.tensor(heads[0]), HEADS).double(),
        functional.one_hot(torch.tensor(neurons[0]), NEURONS).double(),
    )
    expected = layer(hidden)
    rewire_layer(
        layer,
        plan,
        heads=torch.tensor(heads),
        neurons=torch.tensor(neurons),
        head_size=HEAD_SIZE,
    )
    torch.testing.assert_close(layer(hidden), expected)
    narrow_layer(layer, plan, first)
    torch.testing.assert_close(layer(hidden), alone)


@pytest.mark.parametrize("bias", [True, False])
def test_importance_is_the_slope_in_a_units_scale(bias):
    layer, hidden = layer_and_input(bias=bias)
    layer(hidden).square().sum().backward()
    heads, neurons = layer_scores(layer, stacked_plan(bias=bias), head_size=HEAD_SIZE)
    assert (heads.shape, neurons.shape) == ((HEADS,), (NEURONS,))

    def slope(scale):
        losses = []
        for factor in (1 + 1e-5, 1 - 1e-5):
            changed = copy.deepcopy(layer)
            with torch.no_grad():
                scale(changed, factor)
                losses.append(changed(hidden).square().sum())
        return abs((losses[0] - losses[1]) / 2e-5).item()

    def scale_head(changed, factor):
        changed.mix.weight[:, 2:4] *= factor

    def scale_neuron(changed, factor):
        changed.feed.gated.weight[[3, NEURONS + 3]] *= factor
        changed.feed.down.weight[:, 3] *= factor

    assert heads[1].item() == pytest.approx(slope(scale_head), rel=1e-6)
    assert neurons[3].item() == pytest.approx(slope(scale_neuron), rel=1e-6)


def test_the_leading_part_is_a_view_of_one_block():
    tensor = torch.arange(12.0).view(6, 2)
    part = leading(tensor, (4, 1))
    assert part.tolist() == [[0], [2], [4], [6]]
    assert part.untyped_storage().data_ptr() == tensor.untyped_storage().data_ptr()
    assert leading(tensor, (4, 1), blocks=2).tolist() == [[0], [2], [6], [8]]
    assert leading(torch.arange(6), (4,), blocks=2).tolist() == [0, 1, 3, 4]


def test_parameters_are_found_by_name():
    plan = stacked_plan(bias=True)
    assert plan.blocks("qkv.weight") == plan.blocks("qkv.bias") == 3
    assert plan.blocks("feed.gated.weight") == 2
    assert plan.blocks("mix.weight") == plan.blocks("norms.0.weight") == 1


@pytest.mark.parametrize(("rows", "columns"), [("hidden", "hidden"), ("heads", "neurons")])
def test_a_linear_layer_that_joins_no_units_with_the_hidden_states_is_refused(rows, columns):
    with pytest.raises(ValueError, match="x: either the rows or the columns are hidden"):
        LinearPlan("x", rows, columns)


@pytest.mark.parametrize(
    ("rows", "columns", "blocks"), [("hidden", "heads", 2), ("heads", "hidden", 0)]
)
def test_blocks_without_units_are_refused(rows, columns, blocks):
    with pytest.raises(ValueError, match=f"x: .*stack {blocks} blocks"):
        LinearPlan("x", rows, columns, blocks=blocks)


def test_incomplete_and_ambiguous_plans_are_refused():
    linears = PLANS["bert"].linears
    with pytest.raises(ValueError, match="no linear layer has neurons as its columns"):
        SlicingPlan(linears[:-1])
    with pytest.raises(ValueError, match="no linear layer has heads, neurons as its rows"):
        SlicingPlan(linears[3:4])
    with pytest.raises(ValueError, match="the paths of a plan must differ"):
        SlicingPlan((*linears, linears[0]))


def test_counting_loads_no_torch():
    code = "import sys; import paretobert.profiling.counts; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
