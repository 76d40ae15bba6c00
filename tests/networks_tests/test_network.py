"""Networks are found by what people call them, whether the run knows them or not."""

import pytest

from paretobert.errors import InputError
from paretobert.networks.network import Cut, Network, Stored, find_cut, find_of_space
from paretobert.networks.shape import EncoderShape
from paretobert.networks.spaces import Layerwise

SHAPE = EncoderShape("bert", 4, 4, 8, 32, 64, 32, 27, 64, 2, 2)
SPACE = Layerwise(SHAPE)
MINE = Network("mine", Stored("own", {}, SHAPE, SPACE.full))
KNOWN = {
    network.id: network
    for network in (*(Network(c.key, Cut(SHAPE, c)) for c in SPACE.landmarks), MINE)
}


def test_any_network_of_the_space_has_a_key() -> None:
    unknown = SPACE.smallest
    assert unknown not in SPACE.landmarks
    assert find_of_space(KNOWN, SPACE, unknown.key) == Network(unknown.key, Cut(SHAPE, unknown))
    assert find_cut(KNOWN, SPACE, unknown.key) == unknown
    assert find_of_space(KNOWN, SPACE, "mine") == MINE
    with pytest.raises(InputError, match="mine has weights of its own"):
        find_cut(KNOWN, SPACE, "mine")


@pytest.mark.parametrize("name", ["huge", "L0.1-H4-F64"])
def test_a_refusal_names_ten_networks_and_counts_the_others(name: str) -> None:
    assert len(KNOWN) == 13
    with pytest.raises(InputError, match=f"no network called '{name}': the run has .* and 3 more"):
        find_of_space(KNOWN, SPACE, name)
