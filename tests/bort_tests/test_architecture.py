"""The polynomials of parameters and multiply-adds, and Bort's published sizes."""

import csv
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import BertConfig, BertForMaskedLM, BertModel

from paretobert.bort.architecture import (
    Architecture,
    Tables,
    encoder_parameters,
    language_model_parameters,
    multiply_adds,
    parameters,
    pooler_parameters,
)
from paretobert.bort.published import PRINTED, RELEASED, ROBERTA_TABLES, published_sizes
from paretobert.bort.space import published_space
from paretobert.errors import InputError
from paretobert.networks.subnet import SubnetConfig
from paretobert.profiling.counts import count_encoder_macs, count_encoder_parameters

EXPECTED = Path(__file__).with_name("published_candidates.csv")
"""Every published candidate with counts by formula, made apart from this package, of 50,265 words
and 512 positions without token types; multiply-adds are of 512 tokens."""

architectures = st.builds(
    lambda layers, heads, head_size, ffn: Architecture(layers, heads, heads * head_size, ffn),
    st.integers(1, 5),
    st.integers(1, 6),
    st.integers(1, 9),
    st.integers(1, 50),
)
tables = st.builds(Tables, st.integers(1, 60), st.integers(1, 30), st.integers(1, 3))


def test_all_published_candidates_have_their_counts() -> None:
    with EXPECTED.open() as file:
        rows = [{name: int(cell) for name, cell in row.items()} for row in csv.DictReader(file)]
    assert len(rows) == len(published_space()) == 300
    for row, candidate in zip(rows, published_space(), strict=True):
        assert candidate == Architecture(row["D"], row["A"], row["H"], row["I"])
        assert encoder_parameters(candidate) == row["encoder_parameters"]
        assert parameters(candidate, ROBERTA_TABLES) == row["parameters"]
        assert multiply_adds(candidate, seq_len=512) == row["multiply_adds_512"]


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(architectures, tables)
def test_parameters_are_those_of_transformers(architecture: Architecture, tables: Tables) -> None:
    config = BertConfig(
        vocab_size=tables.vocab_size,
        max_position_embeddings=tables.num_positions,
        type_vocab_size=tables.num_token_types,
        pad_token_id=0,
        hidden_size=architecture.hidden_size,
        num_hidden_layers=architecture.layers,
        num_attention_heads=architecture.heads,
        intermediate_size=architecture.ffn_size,
    )
    with torch.device("meta"):
        plain = BertModel(config, add_pooling_layer=False).num_parameters()
        pooled = BertModel(config).num_parameters()
        masked = BertForMaskedLM(config).num_parameters()
    assert parameters(architecture, tables) == plain
    assert parameters(architecture, tables) + pooler_parameters(architecture) == pooled
    assert plain + language_model_parameters(architecture, tables) == masked


@given(architectures, tables, st.integers(1, 40))
def test_polynomials_are_the_general_counts(
    architecture: Architecture, tables: Tables, seq_len: int
) -> None:
    shape = architecture.shape(tables, num_labels=2)
    full = SubnetConfig.full(shape)
    assert encoder_parameters(architecture) == count_encoder_parameters(shape, full)
    macs = multiply_adds(architecture, seq_len=seq_len)
    assert macs == count_encoder_macs(shape, full, seq_len=seq_len)


def test_the_sizes_of_bort_with_h_and_i_as_printed() -> None:
    sizes = published_sizes(PRINTED)
    assert (PRINTED.hidden_size, PRINTED.ffn_size) == (768, 1024)
    assert (sizes.embeddings, sizes.encoder, sizes.all) == (38_998_272, 15_760_384, 55_991_641)
    assert f"{sizes.effective_share:.2%}" == "5.51%"
    assert f"{sizes.beside_embeddings:.4f}" == "0.3035"


def test_the_sizes_of_bort_as_released() -> None:
    sizes = published_sizes(RELEASED)
    assert (RELEASED.hidden_size, RELEASED.ffn_size) == (1024, 768)
    assert (sizes.embeddings, sizes.encoder, sizes.all) == (51_997_696, 23_108_608, 77_257_817)
    assert f"{sizes.effective_share:.1%}" == "8.2%"


def test_the_released_configuration_in_transformers_has_one_token_type() -> None:
    """Sizes of the released checkpoint's BertConfig, whose one token type is another row."""
    tables = Tables(50_265, 512, 1)
    plain = parameters(RELEASED, tables)
    assert plain == 75_107_328
    assert plain + pooler_parameters(RELEASED) == 76_156_928
    assert plain + language_model_parameters(RELEASED, tables) == 76_209_241


@given(architectures)
def test_a_key_says_the_architecture(architecture: Architecture) -> None:
    assert Architecture.from_key(architecture.key) == architecture
    assert Architecture.from_dict(architecture.to_dict()) == architecture


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ((0, 1, 8, 8), "layers must be a whole number from 1"),
        ((1, 1, 8, 2.5), "ffn_size must be a whole number"),
        ((1, True, 8, 8), "heads must be a whole number"),
        ((1, 3, 8, 8), "cannot share a hidden size of 8 among 3 heads"),
        ((1, 1, 10**6, 8), "to 65,536, not 1000000"),
    ],
)
def test_an_architecture_that_bert_cannot_have(values: tuple, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        Architecture(*values)


@pytest.mark.parametrize("key", ["", "D4", "D4-A8-H1024", "d4-a8-h1024-i768", "D4-A8-H1024-I-1"])
def test_a_key_that_is_none(key: str) -> None:
    with pytest.raises(InputError, match="is no architecture"):
        Architecture.from_key(key)
