"""What Bort as a method is asked, and which network is meant."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from paretobert.bort.method import METHOD, BortOptions
from paretobert.errors import InputError
from paretobert.networks.network import Cut, Network, Stored
from paretobert.networks.shape import EncoderShape
from paretobert.networks.spaces import Layerwise
from paretobert.networks.subnet import SubnetConfig, grid
from paretobert.profiling.workload import Workload
from paretobert.training.method import Known

SHAPE = EncoderShape("bert", 4, 4, 8, 32, 64, 32, 27, 64, 2, 2)
SPACE = Layerwise(SHAPE)
CONFIGS = tuple(grid(SHAPE))
NETWORKS = {
    network.id: network for network in (Network(each.key, Cut(SHAPE, each)) for each in CONFIGS)
}
KNOWN = Known(SPACE, NETWORKS, lengths=lambda: (5, 9, 30))
SMALL = min(CONFIGS, key=lambda each: Workload.of(SHAPE, (9,)).macs(SHAPE, each)).key


def extraction(folder: Path, *names: str) -> str:
    """A folder with a ranking."""
    (folder / "extraction.json").write_text(json.dumps({"ranking": [{"name": n} for n in names]}))
    return str(folder)


def test_every_way_to_ask_is_one_network(tmp_path: Path) -> None:
    plain = BortOptions(network=SMALL)
    (number,) = (each for each, network in NETWORKS.items() if network.label == SMALL)
    folder = extraction(tmp_path, SMALL, "L0.1.2.3-H4-F64")
    for options in (
        BortOptions(network=number),
        BortOptions(network=number[:6]),
        BortOptions(extraction=folder),
        BortOptions(extraction=folder, target_speedup=50.0),
    ):
        found = METHOD.resolve(options, KNOWN)
        assert found.to_dict() == METHOD.resolve(plain, KNOWN).to_dict() == plain.to_dict()
        assert json.loads(json.dumps(found.to_dict())) == found.to_dict()
    assert METHOD.resolve(plain, KNOWN).label == f"{SMALL}, Bort"


def test_an_architecture_is_fresh_however_it_is_asked_for(tmp_path: Path) -> None:
    folder = extraction(tmp_path, "D2-A2-H16-I24", "D4-A2-H64-I24")
    for options in (BortOptions(network=" D2-A2-H16-I24"), BortOptions(extraction=folder)):
        found = METHOD.resolve(options, KNOWN)
        assert (found.network, found.weights) == ("D2-A2-H16-I24", "fresh")


def test_a_target_is_the_best_ranked_of_those_that_are_near(tmp_path: Path) -> None:
    """Three cost nearly the same, and are worse ranked than what is far off."""
    near = ("L0.1-H4-F64", "L0.3-H4-F64", "L0.2-H4-F60")
    known = replace(
        KNOWN,
        networks=NETWORKS
        | {
            each.id: each
            for each in (Network(k, Cut(SHAPE, SubnetConfig.from_key(k))) for k in near)
        },
    )
    folder = extraction(tmp_path, SMALL, *near, "D4-A2-H64-I128")
    for target, meant in ((2.0, near[0]), (90.0, SMALL)):
        found = METHOD.resolve(BortOptions(extraction=folder, target_speedup=target), known)
        assert found.network == meant
    folder = extraction(tmp_path, "D2-A2-H32-I64", near[0])
    found = METHOD.resolve(BortOptions(extraction=folder, target_speedup=2.0), known)
    assert (found.network, found.weights) == ("D2-A2-H32-I64", "fresh")


def test_networks_and_rankings_that_there_are_not(tmp_path: Path) -> None:
    own = Network("mine", Stored("own", {}, SHAPE, CONFIGS[0]))
    known = replace(KNOWN, networks=NETWORKS | {own.id: own})
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "extraction.json").write_text('{"ranking": [3]}')
    other = tmp_path / "other"
    other.mkdir()
    extraction(other, "L0.9-H4-F64")
    for options, sentence in (
        (BortOptions(network="huge"), "There is no network called 'huge'"),
        (BortOptions(network="mine"), "mine has weights of its own"),
        (BortOptions(network="D2-A3-H16-I24"), "among 3 heads"),
        (BortOptions(network="D2-A"), "is no architecture"),
        (BortOptions(extraction=str(tmp_path)), "holds no extraction.json"),
        (BortOptions(extraction=str(damaged)), "holds no ranking of candidates"),
        (BortOptions(extraction=str(other)), "There is no network called 'L0.9-H4-F64'"),
        (BortOptions(extraction=str(other), target_speedup=2), "layer"),
    ):
        with pytest.raises(InputError, match=sentence):
            METHOD.resolve(options, known)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "Name a network or architecture, or a folder of `paretobert ose`"),
        ({"network": SMALL, "extraction": "ose"}, "one of the two"),
        ({"network": SMALL, "target_speedup": 2.0}, "chooses among the ranking of an extraction"),
        ({"extraction": "ose", "target_speedup": 1.0}, "target speed-up must be above 1, not 1"),
        ({"network": SMALL, "weights": "old"}, "weights are run or fresh, not 'old'"),
        ({"network": SMALL, "pretraining_steps": -1}, "pretraining_steps must be at least 0"),
        ({"network": SMALL, "pretraining_rate": 0.0}, "pretraining_rate must be positive"),
        ({"network": SMALL, "steps": 0}, "steps must be at least 1"),
    ],
)
def test_options_out_of_their_range(given: dict, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        BortOptions(**given)


def test_what_decides_the_network_and_what_does_not() -> None:
    asked = BortOptions(network=SMALL)
    assert replace(asked, checkpoint_steps=9).to_dict() == asked.to_dict()
    for change in ({"pretraining_steps": 1}, {"pretraining_rate": 1e-3}, {"weights": "fresh"}):
        assert replace(asked, **change).to_dict() != asked.to_dict()
