import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretobert.errors import InputError
from paretobert.networks.retention import Retention
from paretobert.networks.shape import EncoderShape
from paretobert.networks.spaces import Grid, space_from_dict
from paretobert.networks.subnet import SubnetConfig, grid

PUBLISHED = (153, 125, 111, 105, 85, 80, 72, 48, 35, 27, 22, 5)
"""PoWER-BERT's configuration of a data set padded to 256 tokens."""

SHAPE = EncoderShape("bert", 6, 12, 32, 384, 1536, 384, 100, 64, 2, 2)


@st.composite
def retentions(draw):
    amounts = draw(st.lists(st.integers(1, 100), min_size=1, max_size=12))
    unit = draw(st.sampled_from(["tokens", "percent"]))
    return Retention(tuple(sorted(amounts, reverse=True)), unit)


@given(retentions())
def test_a_configuration_reads_back(retention):
    assert Retention.from_key(retention.key) == retention
    assert Retention.from_dict(retention.to_dict()) == retention


@given(retention=retentions(), length=st.integers(1, 600))
def test_what_is_kept_falls_and_fits_the_text(retention, length):
    kept = retention.kept(length)
    assert list(kept) == sorted(kept, reverse=True)
    assert length >= kept[0]
    assert kept[-1] >= 1


@given(retention=retentions(), shorter=st.integers(1, 300), more=st.integers(0, 300))
def test_a_longer_text_keeps_no_less(retention, shorter, more):
    pairs = zip(retention.kept(shorter), retention.kept(shorter + more), strict=True)
    assert all(few <= many for few, many in pairs)


def test_the_published_example():
    retention = Retention(PUBLISHED)
    assert sum(retention.kept(256)) == 868
    assert retention.key == "T153.125.111.105.85.80.72.48.35.27.22.5"
    assert retention.kept(100)[:5] == (100, 100, 100, 100, 85)


def test_percents_are_rounded_up():
    assert Retention((51, 50, 1), "percent").kept(3) == (2, 2, 1)
    assert Retention((100, 7), "percent").kept(100) == (100, 7)
    assert Retention((100, 7), "percent").kept(101) == (101, 8)


@given(
    num_layers=st.integers(2, 24),
    multiplier=st.floats(0.05, 1),
    steepness=st.floats(1, 5),
)
def test_a_multiplier_is_the_share_that_layers_but_the_last_keep(
    num_layers, multiplier, steepness
):
    *before, last = Retention.from_multiplier(num_layers, multiplier, steepness=steepness).amounts
    assert last == 1
    assert sum(before) / len(before) == pytest.approx(100 * multiplier, abs=1)


def test_a_steepness_of_one_eliminates_equal_shares():
    *before, _ = Retention.from_multiplier(6, 0.5, steepness=1).amounts
    powers = [100 * (before[0] / 100) ** layer for layer in range(1, 6)]
    assert before == pytest.approx(powers, abs=1)
    steep = Retention.from_multiplier(6, 0.5, steepness=4).amounts
    assert steep[0] > before[0]
    assert steep[4] < before[4]


def test_one_layer_keeps_the_first_word_vector():
    assert Retention.from_multiplier(1, 0.5).amounts == (1,)


@pytest.mark.parametrize(
    ("amounts", "unit", "message"),
    [
        ((3, 4), "tokens", "3.4 increases"),
        ((3, 0), "tokens", "3.0 must hold whole numbers from 1 on"),
        ((2.5, 1), "tokens", "must hold whole numbers"),
        ((), "tokens", "needs an amount for each kept layer"),
        ((101, 1), "percent", "more than 100 percent"),
        ((1,), "words", "'words' of a retention configuration is not one of tokens, percent"),
    ],
)
def test_a_wrong_configuration_is_refused(amounts, unit, message):
    with pytest.raises(InputError, match=message):
        Retention(amounts, unit)


@pytest.mark.parametrize("key", ["", "80.55", "T", "P80,55", "X80", "T80.-5"])
def test_a_wrong_key_is_refused(key):
    with pytest.raises(InputError, match="is not the key of a retention configuration"):
        Retention.from_key(key)


@pytest.mark.parametrize("multiplier", [0.0, -0.5, 1.5, float("nan")])
def test_a_multiplier_outside_its_range_is_refused(multiplier):
    with pytest.raises(InputError, match="tokens multiplier"):
        Retention.from_multiplier(4, multiplier)


def test_a_subnetwork_with_tokens_reads_back():
    config = SubnetConfig((1, 3), (9, 9), (8, 4), Retention((60, 1), "percent"))
    assert config.key == "L1.3-H9-F8.4-P60.1"
    assert SubnetConfig.from_key(config.key) == config
    assert SubnetConfig.from_dict(config.to_dict()) == config


def test_keeping_all_is_the_same_network_as_no_elimination():
    plain = SubnetConfig((0, 1), (1, 1), (2, 2))
    everything = SubnetConfig((0, 1), (1, 1), (2, 2), Retention((100, 100), "percent"))
    assert everything == plain
    assert everything.key == plain.key
    assert "tokens" not in plain.to_dict()


def test_a_subnetwork_of_another_number_of_layers_is_refused():
    with pytest.raises(InputError, match="P60.1 is for 2 layers, but the sub-network keeps 1"):
        SubnetConfig((0,), (1,), (2,), Retention((60, 1), "percent"))


@pytest.mark.parametrize("key", ["L0.1-H1-F2-P60", "L0-H1-F2-P", "L0.1-H1-F2-T3.4", "L0-H1-F2-60"])
def test_a_wrong_key_of_a_subnetwork_is_refused(key):
    with pytest.raises(InputError):
        SubnetConfig.from_key(key)


def test_more_tokens_than_positions_are_refused():
    config = SubnetConfig((0,), (1,), (2,), Retention((65,)))
    with pytest.raises(InputError, match="has tokens 65, but the model allows at most 64"):
        config.validate_for(SHAPE)


def test_the_grid_has_three_dimensions_the_largest_first_and_the_smallest_last():
    configs = grid(SHAPE, widths=(1.0, 0.5), depths=(1.0, 0.5), tokens=(1.0, 0.5))
    assert len(configs) == 8
    assert list(configs.values())[:3] == [(1.0, 1.0, 1.0), (1.0, 1.0, 0.5), (0.5, 1.0, 1.0)]
    first, *_, last = configs
    assert first == SubnetConfig.full(SHAPE)
    assert last.key == "L1.3.5-H6-F768-P81.19.1"


def test_a_space_without_tokens_is_written_as_before():
    assert Grid(SHAPE).to_dict().keys() == {"widths", "depths"}
    space = Grid(SHAPE, (1.0,), (1.0,), (1.0, 0.5))
    assert space_from_dict(space.to_dict(), SHAPE) == space
    assert space_from_dict({"widths": [1.0], "depths": [1.0]}, SHAPE).tokens == (1.0,)
