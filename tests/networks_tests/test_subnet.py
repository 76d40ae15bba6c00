import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretobert.errors import InputError
from paretobert.networks.shape import EncoderShape
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


@pytest.mark.parametrize(
    ("num_layers", "depth", "counted_from_1"),
    [
        (12, 1.0, tuple(range(1, 13))),
        (12, 0.75, (1, 2, 4, 5, 6, 8, 9, 10, 12)),
        (12, 0.5, (2, 4, 6, 8, 10, 12)),
        (6, 1.0, (1, 2, 3, 4, 5, 6)),
        (6, 0.75, (1, 2, 4, 5, 6)),
        (6, 5 / 6, (1, 2, 3, 4, 6)),
        (6, 2 / 3, (1, 3, 4, 6)),
        (6, 0.5, (2, 4, 6)),
        (5, 0.5, (2, 4, 5)),
    ],
)
def test_kept_layers_equal_the_published_ones(num_layers, depth, counted_from_1):
    assert tuple(d + 1 for d in kept_layers(num_layers, depth)) == counted_from_1


@pytest.mark.parametrize(
    ("num_heads", "ffn_size", "width", "heads", "neurons"),
    [
        (12, 3072, 1.0, 12, 3072),
        (12, 3072, 0.75, 9, 2304),
        (12, 3072, 0.5, 6, 1536),
        (12, 3072, 0.25, 3, 768),
        (12, 1536, 0.75, 9, 1152),
        (12, 1536, 0.25, 3, 384),
        (4, 512, 0.05, 1, 128),
    ],
)
def test_sizes_at_a_width_equal_the_published_ones(num_heads, ffn_size, width, heads, neurons):
    config = SubnetConfig.from_multipliers(
        shape(num_heads=num_heads, ffn_size=ffn_size), width, 1.0
    )
    assert set(config.heads) == {heads}
    assert set(config.neurons) == {neurons}


@given(num_layers=st.integers(1, 24), depth=st.floats(0.05, 1.0))
def test_kept_layers_increase_and_end_with_the_last(num_layers, depth):
    kept = kept_layers(num_layers, depth)
    assert list(kept) == sorted(set(kept))
    assert kept[-1] == num_layers - 1


@given(
    sizes=st.lists(
        st.tuples(st.integers(0, 30), st.integers(1, 16), st.integers(1, 4096)),
        min_size=1,
        max_size=12,
        unique_by=lambda entry: entry[0],
    )
)
def test_a_key_reads_back_as_the_same_configuration(sizes):
    layers, heads, neurons = zip(*sorted(sizes), strict=True)
    config = SubnetConfig(layers, heads, neurons)
    assert SubnetConfig.from_key(config.key) == config
    assert SubnetConfig.from_dict(config.to_dict()) == config


def test_the_grid_holds_the_twelve_pairs_of_the_paper_full_model_first():
    configs = grid(shape())
    assert len(configs) == 12
    assert next(iter(configs)) == SubnetConfig.full(shape())
    assert list(configs.values())[:2] == [(1.0, 1.0, 1.0), (0.75, 1.0, 1.0)]


def test_pairs_that_round_to_one_network_appear_once():
    configs = grid(shape(num_layers=1, num_heads=2, ffn_size=8), widths=(1.0, 0.5, 0.45))
    assert list(configs.values()) == [(1.0, 1.0, 1.0), (0.5, 1.0, 1.0)]


@pytest.mark.parametrize(
    "key", ["", "L0-H1", "L-H1-F1", "L1.0-H1-F1", "L0.1-H1.2.3-F4", "L0-H0-F1"]
)
def test_a_wrong_key_is_refused(key):
    with pytest.raises(InputError, match="is not the key of a sub-network"):
        SubnetConfig.from_key(key)


@pytest.mark.parametrize(("width", "depth"), [(0, 1), (1.5, 1), (1, -0.5), (float("nan"), 1)])
def test_a_multiplier_outside_its_range_is_refused(width, depth):
    with pytest.raises(InputError, match="multiplier"):
        SubnetConfig.from_multipliers(shape(), width, depth)


def test_a_configuration_larger_than_the_model_is_refused():
    with pytest.raises(InputError, match="heads 13, but the model allows at most 12"):
        SubnetConfig((0,), (13,), (8,)).validate_for(shape())
