from dataclasses import replace

import pytest
import yaml

from paretobert.deploy.deployment import Deployment
from paretobert.deploy.model_card import CardNumber, ModelCard, render
from paretobert.networks.network import Cut, Network, Stored
from paretobert.networks.shape import EncoderShape
from paretobert.networks.subnet import SubnetConfig
from paretobert.tasks.heads import CLASSIFICATION

SHAPE = EncoderShape(
    family="bert",
    num_layers=3,
    hidden_size=144,
    num_heads=12,
    head_size=12,
    ffn_size=1536,
    vocab_size=30_000,
    num_positions=512,
    num_token_types=2,
    embedding_size=144,
    num_labels=2,
)
CONFIG = SubnetConfig((0, 2), (9, 6), (1152, 768))
CARD = ModelCard(
    base_model="org/mini-lm",
    task="sst2",
    head=CLASSIFICATION,
    network=Network("small | narrow", Cut(SHAPE, CONFIG)),
    deployment=Deployment("openvino", "int8"),
    num_params=11_171_074,
    num_flops=1_200_000_000,
    seq_len=128,
    size_bytes=12_345_678,
    peak_memory_bytes=98_700_000,
    numbers=(
        CardNumber("accuracy on the report split", "0.9123", "0.8918 to 0.9301", "95 % interval"),
        CardNumber("latency of a batch", "4.21 ms", "4.10 to 4.30", "range of 3 processes"),
    ),
    conditions="batch 1 x 128 tokens, cpu, 1 thread, openvino int8, on edge-2c",
)


def rendered(card: ModelCard) -> str:
    return render(card, usage="Run it so.", check="Compared.")


@pytest.mark.parametrize(
    ("runtime", "library"),
    [("openvino", "openvino"), ("onnxruntime", "onnx"), ("eager", "transformers")],
)
def test_front_matter_is_yaml_and_leaves_the_licence_to_the_user(
    runtime: str, library: str
) -> None:
    text = rendered(replace(CARD, deployment=Deployment(runtime, "int8")))
    assert yaml.safe_load(text.split("---\n")[1]) == {
        "library_name": library,
        "pipeline_tag": "text-classification",
        "base_model": "org/mini-lm",
        "tags": ["paretobert", "compression"],
    }


def test_a_repaired_network_is_not_called_trained() -> None:
    assert "a DynaBERT supernet was trained" in rendered(CARD)
    text = rendered(replace(CARD, repaired=True))
    assert "supernet was trained" not in text
    assert "fitted to the full model's in closed form" in text


def test_the_numbers_are_in_the_table() -> None:
    lines = rendered(CARD).split("\n")
    assert "# small \\| narrow for sst2, openvino int8" in lines
    for row in (
        "layers, counted from 0 | 0, 2",
        "heads of each | 9, 6",
        "feed-forward neurons of each | 1152, 768",
        "parameters | 11,171,074",
        "FLOPs at 128 tokens | 1,200,000,000",
        "on disk | 12.3 MB",
        "peak memory | 98.7 MB",
        "accuracy on the report split | 0.9123 (95 % interval: 0.8918 to 0.9301)",
        "latency of a batch | 4.21 ms (range of 3 processes: 4.10 to 4.30)",
        f"times and memory measured | {CARD.conditions}",
    ):
        assert f"| {row} |" in lines
    assert "Run it so." in lines
    assert "Compared." in lines


def test_what_is_not_known_has_no_row() -> None:
    text = rendered(
        replace(CARD, size_bytes=None, peak_memory_bytes=None, numbers=(), conditions="")
    )
    for word in ("on disk", "peak memory", "latency", "measured"):
        assert word not in text


def test_warnings_come_before_the_numbers() -> None:
    text = rendered(replace(CARD, warnings=("The machine\nwas busy.", "Not | resolved.")))
    first, second = (
        text.index("> **The machine was busy.**"),
        text.index("> **Not \\| resolved.**"),
    )
    assert first < second < text.index("| quantity |")


def test_a_stored_network_says_its_method() -> None:
    stored = Network("6 layers", Stored("first-layers", {"layers": 6, "a`b": "|"}, SHAPE, CONFIG))
    text = rendered(replace(CARD, network=stored))
    assert "made by `first-layers` in a run of paretobert that began with `org/mini-lm`" in text
    assert 'asked: `{"layers": 6, "ab": "\\|"}`' in text
    assert "supernet" not in text


@pytest.mark.parametrize("name", ["../models/bert", "/home/me/bert", "a: b\nlicense: mit", ""])
def test_only_hub_names_are_linked(name: str) -> None:
    assert "base_model:" not in rendered(replace(CARD, base_model=name))
