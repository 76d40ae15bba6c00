import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paretobert.encoders.extraction import extract
from paretobert.encoders.families import shape_of
from paretobert.networks.retention import Retention
from paretobert.networks.shape import EncoderShape
from paretobert.networks.subnet import SubnetConfig
from paretobert.profiling.counts import (
    count_encoder_parameters,
    count_macs,
    count_macs_of,
    count_parameters,
    count_parameters_of,
)
from paretobert.profiling.crosscheck import count_macs_by_fvcore

from .conftest import FAMILIES, tiny_model

PUBLISHED_SHAPES = {
    "BERT_BASE": EncoderShape("bert", 12, 12, 64, 768, 3072, 768, 30522, 512, 2, 2),
    "RoBERTa_BASE(BERT-style head)": EncoderShape(
        "roberta", 12, 12, 64, 768, 3072, 768, 50265, 514, 1, 2
    ),
    "MiniLM-L6-H384": EncoderShape("bert", 6, 12, 32, 384, 1536, 384, 30522, 512, 2, 2),
}


def uniform(layers: int, heads: int, neurons: int) -> SubnetConfig:
    return SubnetConfig(tuple(range(layers)), (heads,) * layers, (neurons,) * layers)


def printed_counts(model: str, config: SubnetConfig) -> tuple[str, str, str]:
    shape = PUBLISHED_SHAPES[model]
    gflops = 2 * count_macs(shape, config, seq_len=128) / 1e9
    total, encoder = count_parameters(shape, config), count_encoder_parameters(shape, config)
    return str(total), str(encoder), f"{gflops:.3f}"


@pytest.mark.parametrize(
    ("model", "layers", "heads", "neurons", "total", "encoder", "gflops"),
    [
        ("BERT_BASE", 12, 12, 3072, "109483778", "85054464", "22.348"),
        ("BERT_BASE", 6, 3, 768, "35081858", "10652544", "2.795"),
        ("RoBERTa_BASE(BERT-style head)", 9, 6, 1536, "71508866", "31916160", "8.381"),
        ("MiniLM-L6-H384", 4, 9, 1152, "17392898", "5325696", "1.435"),
    ],
)
def test_published_rows(
    model: str, layers: int, heads: int, neurons: int, total: str, encoder: str, gflops: str
) -> None:
    assert printed_counts(model, uniform(layers, heads, neurons)) == (total, encoder, gflops)


def test_whole_published_table(shared_dir: Path) -> None:
    path = shared_dir / "papers" / "dynabert_params_flops_computed.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 36
    for row in rows:
        config = uniform(int(row["layers"]), int(row["heads"]), int(row["ffn"]))
        published = row["params_total"], row["params_encoder"], row["gflops_seq128"]
        assert printed_counts(row["model"], config) == published, row


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=5, deadline=None, derandomize=True)
@given(
    layers=st.integers(1, 3),
    heads=st.integers(1, 4),
    head_size=st.sampled_from([2, 4, 6]),
    neurons=st.integers(1, 50),
    labels=st.integers(1, 5),
)
def test_parameters_of_stock_models(
    family: str, layers: int, heads: int, head_size: int, neurons: int, labels: int
) -> None:
    model = tiny_model(
        family,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        hidden_size=heads * head_size,
        intermediate_size=neurons,
        num_labels=labels,
    )
    shape = shape_of(model.config)
    assert count_parameters(shape, SubnetConfig.full(shape)) == model.num_parameters()


@pytest.mark.parametrize(
    "config",
    [
        SubnetConfig((0, 1, 2), (4, 4, 4), (40, 40, 40)),
        SubnetConfig((1,), (1,), (1,)),
        SubnetConfig((0, 2), (3, 2), (17, 40)),
        SubnetConfig((0, 1, 2), (4, 4, 4), (40, 40, 40), Retention((80, 55, 1), "percent")),
        SubnetConfig((0, 1, 2), (3, 2, 4), (17, 40, 5), Retention((20, 6, 6))),
    ],
    ids=lambda config: config.key,
)
def test_subnetworks_agree_with_dense_copies_and_fvcore(family: str, config: SubnetConfig) -> None:
    model = tiny_model(family)
    shape = shape_of(model.config)
    dense = extract(model, config)
    assert count_parameters(shape, config) == dense.num_parameters()
    for seq_len in (1, 7, 32):
        expected = count_macs_by_fvcore(dense, seq_len=seq_len)
        assert count_macs(shape, config, seq_len=seq_len) == expected


def test_the_published_retention_configuration() -> None:
    """Goyal et al. (2020): 868 of the 3072 word-vectors of BERT-base at 256 tokens."""
    shape, seq_len = PUBLISHED_SHAPES["BERT_BASE"], 256
    retention = Retention((153, 125, 111, 105, 85, 80, 72, 48, 35, 27, 22, 5))
    assert sum(retention.kept(seq_len)) == 868
    full = SubnetConfig.full(shape)
    eliminating = replace(full, tokens=retention)
    ratio = count_macs(shape, full, seq_len=seq_len) / count_macs(
        shape, eliminating, seq_len=seq_len
    )
    assert round(ratio, 2) == 3.29
    assert count_parameters(shape, eliminating) == count_parameters(shape, full)


def test_short_texts_cost_the_same_where_counts_are_kept() -> None:
    shape = PUBLISHED_SHAPES["MiniLM-L6-H384"]
    full = SubnetConfig.full(shape)
    counts = replace(full, tokens=Retention((80, 73, 70, 50, 50, 40)))
    assert count_macs(shape, counts, seq_len=40) == count_macs(shape, full, seq_len=40)
    assert count_macs(shape, counts, seq_len=41) < count_macs(shape, full, seq_len=41)


def test_projected_electra_embeddings() -> None:
    model = tiny_model("electra", embedding_size=10)
    shape = shape_of(model.config)
    full = SubnetConfig.full(shape)
    assert count_parameters(shape, full) == model.num_parameters()
    assert count_macs(shape, full, seq_len=9) == count_macs_by_fvcore(model, seq_len=9)


def test_crosscheck_restores_the_model() -> None:
    model = tiny_model().train()
    attention = model.config._attn_implementation
    count_macs_by_fvcore(model, seq_len=4)
    assert model.training
    assert model.config._attn_implementation == attention


@pytest.mark.parametrize("shape", PUBLISHED_SHAPES.values(), ids=PUBLISHED_SHAPES)
def test_many_are_counted_as_each(shape: EncoderShape) -> None:
    configs = [uniform(3, 2, 100), uniform(6, 12, 1536), SubnetConfig((0, 4), (1, 7), (9, 30))]
    totals = np.array([(len(c.layers), sum(c.heads), sum(c.neurons)) for c in configs])
    alone = [count_parameters(shape, config) for config in configs]
    assert count_parameters_of(shape, totals).tolist() == alone
    alone = [count_macs(shape, config, seq_len=77) for config in configs]
    assert count_macs_of(shape, totals, seq_len=77).tolist() == alone
