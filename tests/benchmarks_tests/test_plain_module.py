"""The plain module is the same function as the networks that it is the yardstick of."""

import cost_subjects
import pytest
import torch
from cost_subjects import NETWORKS, OVERHEAD_PAIRS, bind, extracted_name, plain_name
from plain_module import PlainBert
from torch import nn
from transformers import BertConfig, BertForSequenceClassification

from paretobert.encoders.extraction import extract
from paretobert.encoders.families import shape_of
from paretobert.networks.subnet import SubnetConfig
from paretobert.profiling.protocol import LatencyProtocol


@pytest.fixture(scope="module")
def full() -> BertForSequenceClassification:
    """A small BERT whose every part changes what it is given."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=50,
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=20,
        num_labels=3,
    )
    model = BertForSequenceClassification(config).eval()
    for name, weight in model.named_parameters():
        nn.init.normal_(weight, mean=float("LayerNorm.weight" in name), std=0.3)
    return model


@pytest.mark.parametrize(
    "key",
    ["L0.1.2.3-H4-F64", "L1.3-H4-F64", "L0.1.2.3-H2-F32", "L0.2.3-H1.3.2-F16.64.40"],
)
def test_logits_are_those_of_the_extracted_network(
    full: BertForSequenceClassification, key: str
) -> None:
    dense = extract(full, SubnetConfig.from_key(key))
    plain = PlainBert.from_state(dense.state_dict(), head_size=8, eps=full.config.layer_norm_eps)
    ids = torch.randint(1, 50, (3, 12))
    mask = (torch.arange(12) < torch.tensor([[12], [7], [1]])).long()
    with torch.inference_mode():
        for shown in (mask, torch.ones_like(mask)):
            theirs = dense(input_ids=ids, attention_mask=shown).logits
            torch.testing.assert_close(plain(ids, shown), theirs, rtol=0, atol=1e-5)
    assert sum(p.numel() for p in plain.parameters()) == dense.num_parameters()


def test_another_network_differs(full: BertForSequenceClassification) -> None:
    narrow = extract(full, SubnetConfig.from_key("L0.1.2.3-H2-F32"))
    plain = PlainBert.from_state(full.state_dict(), head_size=8, eps=full.config.layer_norm_eps)
    ids = torch.randint(1, 50, (3, 12))
    with torch.inference_mode():
        theirs = narrow(input_ids=ids).logits
        assert (plain(ids, torch.ones_like(ids)) - theirs).abs().max() > 1e-2


def test_every_pair_that_is_compared_has_its_networks() -> None:
    names = {name(*pair) for pair in OVERHEAD_PAIRS for name in (extracted_name, plain_name)}
    assert names <= set(NETWORKS)
    assert len(names) == 2 * len(OVERHEAD_PAIRS)


def test_networks_bound_by_name_give_equal_logits(
    full: BertForSequenceClassification, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = extracted_name(0.25, 0.5), plain_name(0.25, 0.5)
    monkeypatch.setattr(cost_subjects, "BASE", full.config)
    monkeypatch.setattr(cost_subjects, "SHAPE", shape_of(full.config))
    protocol = LatencyProtocol(seq_len=8)
    with torch.inference_mode():
        extracted, plain = (bind(name, protocol)() for name in names)
    torch.testing.assert_close(plain, extracted.logits, rtol=0, atol=1e-5)
