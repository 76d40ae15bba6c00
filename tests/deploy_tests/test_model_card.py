from dataclasses import replace

import pytest
import yaml

from paretobert.deploy.model_card import CardLatency, CardScore, ModelCard, render
from paretobert.networks.subnet import SubnetConfig

CARD = ModelCard(
    name="sst2 | small",
    base_model="org/mini-lm",
    task="sst2",
    config=SubnetConfig((0, 2), (9, 6), (1152, 768)),
    num_params=11_171_074,
    num_flops=1_200_000_000,
    seq_len=128,
    scores=(CardScore("report", "accuracy", 0.9123, 0.8918, 0.9301, 872),),
    latency=CardLatency(4.212, 4.1, 4.3, "range of 3 processes", "CPU, batch 1, 128 tokens"),
)


def rendered(card):
    return render(card, library_name="transformers", usage="Load it so.", check="Compared.")


def test_front_matter_is_yaml_and_leaves_the_licence_to_the_user():
    front_matter = yaml.safe_load(rendered(CARD).split("---\n")[1])
    assert front_matter == {
        "library_name": "transformers",
        "pipeline_tag": "text-classification",
        "base_model": "org/mini-lm",
        "tags": ["paretobert", "dynabert", "compression"],
    }


def test_the_numbers_are_in_the_table():
    lines = rendered(CARD).split("\n")
    assert "# sst2 \\| small" in lines
    assert "| sub-network | `L0.2-H9.6-F1152.768` |" in lines
    assert "| kept layers, counted from 0 | 0, 2 |" in lines
    assert "| heads of each | 9, 6 |" in lines
    assert "| parameters | 11,171,074 |" in lines
    assert "| FLOPs at 128 tokens | 1,200,000,000 |" in lines
    assert (
        "| latency | 4.21 ms (range of 3 processes 4.10 to 4.30); CPU, batch 1, 128 tokens |"
        in lines
    )
    assert "| accuracy on the report split | 0.9123 (0.8918 to 0.9301, n = 872) |" in lines
    assert "Load it so." in lines
    assert "Compared." in lines


def test_warnings_come_before_the_numbers():
    assert CARD.latency is not None
    disturbed = replace(CARD.latency, warnings=("Not resolved: 1 of 2 |intervals| are wide.",))
    text = rendered(replace(CARD, latency=disturbed))
    assert text.index("> **Not resolved: 1 of 2 \\|intervals") < text.index("| quantity |")


def test_a_latency_that_was_not_measured_is_left_out():
    assert "latency" not in rendered(replace(CARD, latency=None))


@pytest.mark.parametrize("base_model", ["/home/me/model", "../model", "a: b\nlicense: mit"])
def test_only_hub_names_become_metadata(base_model):
    front_matter = yaml.safe_load(rendered(replace(CARD, base_model=base_model)).split("---\n")[1])
    assert front_matter.keys() == {"library_name", "pipeline_tag", "tags"}


def test_an_interval_holds_its_value():
    with pytest.raises(ValueError, match="does not hold the value 0.5"):
        CardScore("report", "accuracy", 0.5, 0.6, 0.7, 10)
    with pytest.raises(ValueError, match="does not hold the value 5"):
        CardLatency(5.0, 4.0, 4.5, "range of 3 processes", "CPU")
