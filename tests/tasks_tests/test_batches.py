"""Tokenising, padding and batching."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from paretobert.tasks.batches import (
    EncodedSplit,
    encode,
    evaluation_batches,
    padded,
    training_batches,
)
from paretobert.tasks.task import TextSplit

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "c", "d"]


@pytest.fixture(scope="module", params=[True, False], ids=["type ids", "no type ids"])
def tokenizer(request):
    core = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    core.pre_tokenizer = Whitespace()
    core.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    names = ["input_ids", "attention_mask"] + ["token_type_ids"] * request.param
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="[PAD]",
        unk_token="[UNK]",
        model_max_length=512,
        model_input_names=names,
    )


def test_pairs_are_encoded_and_padded_on_the_right(tokenizer):
    split = TextSplit(("a b", "c"), ("d", "a b c d"), (1, 0))
    encoded = encode(split, tokenizer, max_length=128)
    batch = padded(encoded, [0, 1])
    assert batch["input_ids"].tolist() == [[2, 4, 5, 3, 7, 3, 0, 0], [2, 6, 3, 4, 5, 6, 7, 3]]
    assert batch["attention_mask"].tolist() == [[1] * 6 + [0] * 2, [1] * 8]
    assert batch["labels"].tolist() == [1, 0]
    if "token_type_ids" in tokenizer.model_input_names:
        assert batch["token_type_ids"].tolist()[0] == [0, 0, 0, 0, 1, 1, 0, 0]
    else:
        assert "token_type_ids" not in batch


def test_long_texts_are_cut_and_scores_are_floats(tokenizer):
    split = TextSplit(("a " * 50, "b"), None, (0.5, 2.0))
    encoded = encode(split, tokenizer, max_length=10)
    assert encoded.lengths == (10, 3)
    batch = padded(encoded, [1])
    assert batch["input_ids"].shape == (1, 3)
    assert batch["labels"].dtype == torch.float32


def encoded_of(lengths):
    return EncodedSplit(
        input_ids=tuple((4,) * length for length in lengths),
        token_type_ids=None,
        labels=(0,) * len(lengths),
        pad_token_id=0,
        pad_token_type_id=0,
    )


lengths = st.lists(st.integers(1, 50), min_size=1, max_size=300)


@given(lengths, st.integers(1, 40), st.integers(0, 3), st.integers(0, 3))
def test_every_example_is_in_one_batch_of_each_epoch(lengths, batch_size, seed, epoch):
    encoded = encoded_of(lengths)
    batches = training_batches(encoded, batch_size=batch_size, seed=seed, epoch=epoch)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    assert max(map(len, batches)) <= batch_size
    assert len(batches) == -(-len(lengths) // batch_size)
    assert batches == training_batches(encoded, batch_size=batch_size, seed=seed, epoch=epoch)


def test_batches_hold_similar_lengths_in_an_order_of_their_own_each_epoch():
    encoded = encoded_of([1 + i * 37 % 100 for i in range(2000)])
    epochs = [training_batches(encoded, batch_size=20, seed=0, epoch=e) for e in (0, 1)]
    assert epochs[0] != epochs[1]
    for batches in epochs:
        longest = [max(encoded.lengths[i] for i in batch) for batch in batches]
        assert sum(longest) * 20 < 1.1 * sum(encoded.lengths)
        assert longest != sorted(longest)


@given(lengths, st.integers(1, 40))
def test_evaluation_goes_from_long_to_short(lengths, batch_size):
    encoded = encoded_of(lengths)
    order = [i for batch in evaluation_batches(encoded, batch_size=batch_size) for i in batch]
    assert sorted(order) == list(range(len(lengths)))
    assert [lengths[i] for i in order] == sorted(lengths, reverse=True)
