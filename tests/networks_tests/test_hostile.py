"""Damaged records and absurd keys of networks are refused in a sentence that fits on a screen."""

import math

import pytest

from paretobert.errors import InputError
from paretobert.networks.network import Network, Printed
from paretobert.networks.retention import Retention
from paretobert.networks.shape import EncoderShape
from paretobert.networks.subnet import SubnetConfig

SHAPE = EncoderShape(
    family="bert",
    num_layers=4,
    num_heads=4,
    head_size=8,
    hidden_size=32,
    ffn_size=64,
    embedding_size=32,
    vocab_size=24,
    num_positions=64,
    num_token_types=2,
    num_labels=3,
)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "\0",
        "\ud800",
        "L-H-F",
        "L0-H1-F1\x1b[2J",
        "L" + "9" * 10_000 + "-H1-F1",
        "L0-H1-F1-P" + "9" * 10_000,
        "L0-H1-F1-P101",
        "L1.0-H1-F1",
        "L0..1-H1-F1",
        "L0-H0-F1",
        "L" + ".".join(map(str, range(10_000, 0, -1))) + "-H1-F1",
    ],
)
def test_keys_of_no_sub_network(key: str) -> None:
    with pytest.raises(InputError, match="key|increase|percent") as caught:
        SubnetConfig.from_key(key)
    assert len(str(caught.value)) < 400
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("key", ["T" + "9" * 10_000, "P", "T1.", "T\u0663", "\ud800", "P200"])
def test_keys_of_no_retention(key: str) -> None:
    if key == "T\u0663":
        assert Retention.from_key(key).key == "T3"
        return
    with pytest.raises(InputError, match="retention configuration") as caught:
        Retention.from_key(key)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("value", [0, -1, 1.0, True, "1", None])
@pytest.mark.parametrize("field", ["num_layers", "hidden_size", "vocab_size", "num_labels"])
def test_sizes_of_no_model(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{field} must be an integer >= 1"):
        EncoderShape.from_dict(SHAPE.to_dict() | {field: value})


@pytest.mark.parametrize("value", [[1.0], [True], ["1"], [math.nan]])
@pytest.mark.parametrize("field", ["layers", "heads", "neurons"])
def test_integers_of_no_sub_network(field: str, value: list[object]) -> None:
    record = {"layers": [0], "heads": [1], "neurons": [1]} | {field: value}
    with pytest.raises(ValueError, match="are whole numbers"):
        SubnetConfig.from_dict(record)


@pytest.mark.parametrize("label", ["a\nb", "a\x1b[2J", "a\0", "a\ud800", "a\u202eb", "a\u2028b"])
def test_labels_that_cannot_be_shown(label: str) -> None:
    with pytest.raises(InputError, match="cannot be written or shown"):
        Network(label, Printed("a paper"))


@pytest.mark.parametrize("label", ["DynaBERT (w=0.5)", "caf\u00e9 \u6f22\u5b57", "a\u00a0b"])
def test_labels_that_can_be_shown(label: str) -> None:
    assert Network(label, Printed("a paper")).name == label
