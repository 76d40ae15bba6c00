import copy
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from paretobert.dynabert.supernet import Supernet
from paretobert.encoders import elimination
from paretobert.encoders.elimination import (
    ATTENTION,
    ATTENTION_WITH_DIAGONAL,
    Kept,
    additive,
    by_score,
    eliminate,
    right_padded,
    select,
    significance_attention,
)
from paretobert.encoders.extraction import extract
from paretobert.encoders.families import FAMILIES, family_of, shape_of
from paretobert.networks.retention import Retention
from paretobert.networks.spaces import Grid
from paretobert.networks.subnet import SubnetConfig

RETENTIONS = [
    Retention((80, 55, 30, 1), "percent"),
    Retention((100, 100, 40, 40), "percent"),
    Retention((7, 4, 4, 2)),
]
KEEPS_ALL = Retention((40, 40, 40, 40))


def with_tokens(retention):
    return SubnetConfig((0, 1, 2, 3), (4, 3, 2, 4), (40, 17, 40, 5), retention)


def full_with(retention):
    return SubnetConfig((0, 1, 2, 3), (4,) * 4, (40,) * 4, retention)


def logits(model, batch):
    with torch.inference_mode():
        return model(**batch).logits


def attention_inputs(*, lengths, num_heads=3, head_size=4, seed=0):
    torch.manual_seed(seed)
    shape = (len(lengths), num_heads, max(lengths), head_size)
    query, key, value = torch.randn(3, *shape).unbind()
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    return query, key, value, mask


def expected_attention(query, key, value, mask, *, diagonal):
    """The output by PyTorch, the score by loops over the probabilities' definition."""
    seen = mask[:, None, None, :].bool()
    output = functional.scaled_dot_product_attention(query, key, value, attn_mask=seen)
    products = (query @ key.transpose(2, 3)) / query.shape[-1] ** 0.5
    score = torch.zeros(mask.shape)
    for b, h, q in torch.cartesian_prod(*(torch.arange(n) for n in query.shape[:3])).tolist():
        if not mask[b, q]:
            continue
        real = mask[b].bool()
        shares = products[b, h, q, real].softmax(dim=0)
        if not diagonal:
            shares[q] = 0
        score[b, real] += shares
    return output.transpose(1, 2), score


@pytest.mark.parametrize("block", [1, 50, 2**18])
@pytest.mark.parametrize("diagonal", [False, True])
def test_attention_and_score(diagonal, block, monkeypatch):
    monkeypatch.setattr(elimination, "BLOCK", block)
    query, key, value, mask = attention_inputs(lengths=(5, 2, 7))
    expected, expected_score = expected_attention(query, key, value, mask, diagonal=diagonal)
    absent = additive(mask, torch.float32)
    attend = partial(significance_attention, diagonal=diagonal)
    module = torch.nn.Module().eval()
    with torch.inference_mode():
        output, score = attend(module, query, key, value, absent)
        torch.testing.assert_close(output, expected)
        torch.testing.assert_close(score, expected_score)
    with_gradient, score = attend(module, query.requires_grad_(), key, value, absent)
    torch.testing.assert_close(with_gradient, expected)
    torch.testing.assert_close(score, expected_score)
    assert with_gradient.requires_grad
    assert not score.requires_grad
    assert score[1, 2:].count_nonzero() == 0


def test_without_padding_no_mask_is_needed():
    query, key, value, mask = attention_inputs(lengths=(4, 4))
    module = torch.nn.Module().eval()
    with_mask = significance_attention(module, query, key, value, additive(mask, torch.float32))
    without = significance_attention(module, query, key, value, None)
    torch.testing.assert_close(with_mask, without)


def test_the_score_is_of_the_probabilities_before_dropout():
    query, key, value, _ = attention_inputs(lengths=(6, 6))
    module = torch.nn.Module()
    trained = significance_attention(module.train(), query, key, value, None, dropout=0.5)
    evaluated = significance_attention(module.eval(), query, key, value, None, dropout=0.5)
    torch.testing.assert_close(trained[1], evaluated[1], rtol=0, atol=0)
    assert not torch.allclose(trained[0], evaluated[0])


def chosen(kept):
    return [
        positions[mask.bool()].tolist()
        for positions, mask in zip(kept.positions, kept.mask, strict=True)
    ]


def test_the_first_token_and_the_best_others_stay_in_their_order():
    score = torch.tensor([[0.0, 0.1, 0.9, 0.5], [0.0, 0.7, 0.2, 0.0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    kept = select(score, mask, counts=torch.tensor([3, 2]), most=3)
    assert chosen(kept) == [[0, 2, 3], [0, 1]]
    assert kept.mask.tolist() == [[1, 1, 1], [1, 1, 0]]


def test_of_equal_scores_the_earlier_position_stays():
    score, mask = torch.full((1, 300), 0.25), torch.ones(1, 300, dtype=torch.long)
    kept = select(score, mask, counts=torch.tensor([120]), most=120)
    assert chosen(kept) == [list(range(120))]


def test_a_token_without_attention_comes_before_padding():
    mask = torch.tensor([[1, 1, 1, 0], [0, 1, 1, 1]])
    kept = select(torch.zeros(2, 4), mask, counts=torch.tensor([4, 3]), most=4)
    assert chosen(kept) == [[0, 1, 2], [1, 2, 3]]


@settings(max_examples=60, deadline=None)
@given(data=st.data(), num_tokens=st.integers(1, 12), left=st.booleans())
def test_selection_by_brute_force(data, num_tokens, left):
    length = data.draw(st.integers(1, num_tokens))
    score = data.draw(
        st.lists(st.integers(0, 4), min_size=num_tokens, max_size=num_tokens).map(torch.tensor)
    ).float()
    mask = (torch.arange(num_tokens) < length).long()
    if left:
        mask = mask.flip(0)
    count = data.draw(st.integers(1, length))
    kept = select(score[None], mask[None], counts=torch.tensor([count]), most=num_tokens)
    first, *others = mask.nonzero().flatten().tolist()
    others.sort(key=lambda position: -score[position])
    assert chosen(kept) == [sorted([first, *others[: count - 1]])]
    ranks = by_score(score[None], mask[None]).argsort(dim=1)[0]
    assert ranks[first] == 0
    assert sorted(ranks[mask.bool()].tolist()) == list(range(length))


def test_kept_entries_are_gathered_from_states_and_from_ids():
    kept = Kept(torch.tensor([[0, 2], [1, 1]]), torch.ones(2, 2))
    states = torch.arange(12).view(2, 3, 2)
    assert kept.of(states).tolist() == [[[0, 1], [4, 5]], [[8, 9], [8, 9]]]
    assert kept.of(states[:, :, 0]).tolist() == [[0, 4], [8, 8]]


@pytest.mark.parametrize("model_type", FAMILIES)
def test_keeping_everything_equals_the_plain_model(model_type, tiny_model, padded_batch):
    model, batch = tiny_model(model_type), padded_batch(model_type)
    dense = extract(model, full_with(KEEPS_ALL))
    torch.testing.assert_close(logits(dense, batch), logits(model, batch), rtol=0, atol=1e-5)
    whole = copy.deepcopy(model)
    eliminate(whole, family_of(whole), amounts=[100] * 4, unit="percent", diagonal=False)
    torch.testing.assert_close(logits(whole, batch), logits(model, batch), rtol=0, atol=1e-5)


@pytest.mark.parametrize("retention", RETENTIONS, ids=lambda retention: retention.key)
@pytest.mark.parametrize("model_type", FAMILIES)
def test_a_batch_equals_its_examples(model_type, retention, tiny_model, padded_batch):
    dense = extract(tiny_model(model_type), with_tokens(retention))
    lengths = (5, 19, 2, 1, 11)
    batch = padded_batch(model_type, lengths=lengths)
    one_by_one = [
        logits(dense, {name: entry[i : i + 1, :length] for name, entry in batch.items()})
        for i, length in enumerate(lengths)
    ]
    torch.testing.assert_close(logits(dense, batch), torch.cat(one_by_one), rtol=0, atol=1e-5)
    without_mask = {name: entry[1:2] for name, entry in batch.items() if name != "attention_mask"}
    torch.testing.assert_close(logits(dense, without_mask), one_by_one[1], rtol=0, atol=1e-5)


@pytest.mark.parametrize("retention", RETENTIONS, ids=lambda retention: retention.key)
@pytest.mark.parametrize("model_type", FAMILIES)
def test_padding_changes_nothing(model_type, retention, tiny_model, padded_batch):
    """Neither its side nor its amount; nor what stands in it, or the order of that."""
    model = tiny_model(model_type)
    supernet, dense = (
        Supernet(model, Grid(shape_of(model.config))),
        extract(model, with_tokens(retention)),
    )
    batch = padded_batch(model_type, lengths=(5, 13, 2))
    expected = logits(dense, batch)
    more = {name: functional.pad(entry, (0, 7)) for name, entry in batch.items()}
    pads = more["attention_mask"] == 0
    more["input_ids"][pads] = torch.randint(2, 40, (int(pads.sum()),))
    left = {name: torch.cat([entry[:, 13:], entry[:, :13]], dim=1) for name, entry in more.items()}
    rolled = {
        name: torch.stack(
            [row.roll(20 - length) for row, length in zip(entry, (5, 13, 2), strict=True)]
        )
        for name, entry in more.items()
    }
    assert rolled["attention_mask"].tolist() == [[0] * (20 - n) + [1] * n for n in (5, 13, 2)]
    for padded in (more, left, rolled):
        torch.testing.assert_close(logits(dense, padded), expected, rtol=0, atol=1e-5)
        with torch.inference_mode(), supernet.active(with_tokens(retention)):
            torch.testing.assert_close(supernet(padded), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("model_type", FAMILIES)
def test_after_the_last_attention_only_the_first_token_counts(
    model_type, tiny_model, padded_batch
):
    model, batch = tiny_model(model_type), padded_batch(model_type, lengths=(9, 30, 4))
    for before in (100, 60):
        last_alone = extract(model, full_with(Retention((before,) * 3 + (1,), "percent")))
        rest_too = extract(model, full_with(Retention((before,) * 4, "percent")))
        torch.testing.assert_close(
            logits(last_alone, batch), logits(rest_too, batch), rtol=0, atol=1e-5
        )


@pytest.mark.parametrize("retention", RETENTIONS, ids=lambda retention: retention.key)
@pytest.mark.parametrize("model_type", FAMILIES)
def test_the_active_supernet_equals_its_extracted_copy(
    model_type, retention, tiny_model, padded_batch
):
    model, batch = tiny_model(model_type), padded_batch(model_type, lengths=(9, 21, 4))
    supernet, config = Supernet(model, Grid(shape_of(model.config))), with_tokens(retention)
    own = model.config._attn_implementation
    with torch.inference_mode(), supernet.active(config):
        assert model.config._attn_implementation == ATTENTION
        output = supernet.encode(supernet.embed(batch), batch)
    assert model.config._attn_implementation == own
    dense = extract(model, config)
    torch.testing.assert_close(output.logits, logits(dense, batch), rtol=0, atol=1e-5)
    for index, amounts in enumerate(zip(*map(retention.kept, (9, 21, 4)), strict=True)):
        kept = output.kept[index]
        assert kept.mask.sum(dim=1).tolist() == list(amounts)
        assert output.hidden[index].shape[:2] == kept.positions.shape
        for positions in chosen(kept):
            assert positions[0] == 0
            assert positions == sorted(set(positions))


def test_hidden_states_stand_at_the_positions_given_with_them(tiny_model, padded_batch):
    """What the first layer keeps is what it computes without elimination."""
    model, batch = tiny_model("bert"), padded_batch("bert", lengths=(9, 21, 4))
    supernet = Supernet(model, Grid(shape_of(model.config)))
    with torch.inference_mode():
        with supernet.active(full_with(Retention((50, 50, 50, 50), "percent"))):
            output = supernet.encode(supernet.embed(batch), batch)
        plain = supernet.encode(supernet.embed(batch), batch).hidden[0]
    kept = output.kept[0]
    difference = (output.hidden[0] - kept.of(plain)) * kept.mask[..., None]
    assert difference.abs().max() < 1e-5


def test_the_diagonal_is_an_option_of_the_attention(tiny_model, padded_batch):
    batch = padded_batch("bert", lengths=(12,))
    found = []
    for diagonal in (False, True):
        model = tiny_model("bert")
        eliminate(model, family_of(model), amounts=[5, 3, 2, 1], unit="tokens", diagonal=diagonal)
        expected = ATTENTION_WITH_DIAGONAL if diagonal else ATTENTION
        assert model.config._attn_implementation == expected
        found.append(logits(model, batch))
    assert not torch.allclose(*found, atol=1e-4)


def test_one_amount_per_layer_is_needed(tiny_model):
    model = tiny_model("bert")
    with pytest.raises(ValueError, match="must give each of the 4 layers an amount, not"):
        eliminate(model, family_of(model), amounts=[3, 2], unit="tokens", diagonal=False)


def test_right_padding_moves_what_belongs_to_the_tokens_and_nothing_else():
    batch = {
        "input_ids": torch.tensor([[0, 0, 5, 6], [7, 8, 9, 0]]),
        "attention_mask": torch.tensor([[0, 0, 1, 1], [1, 1, 1, 0]]),
        "labels": torch.tensor([1, 0]),
        "return_dict": True,
    }
    moved = right_padded(batch)
    assert moved["input_ids"].tolist() == [[5, 6, 0, 0], [7, 8, 9, 0]]
    assert moved["attention_mask"].tolist() == [[1, 1, 0, 0], [1, 1, 1, 0]]
    assert moved["labels"] is batch["labels"]
    assert moved["return_dict"] is True
    assert right_padded({"input_ids": batch["input_ids"]})["input_ids"] is batch["input_ids"]


def test_gradients_reach_the_kept_tokens_layers(tiny_model, padded_batch, parts_of):
    model = tiny_model("bert").train()
    supernet, batch = Supernet(model, Grid(shape_of(model.config))), padded_batch("bert")
    with supernet.active(with_tokens(RETENTIONS[0])):
        supernet(batch).square().sum().backward()
    family = family_of(model)
    for layer in family.layer_list(model):
        for name in ("query", "value", "ffn_in", "ffn_out"):
            assert getattr(parts_of(layer), name).weight.grad.abs().sum() > 0


def test_training_outputs_keep_the_stock_classes_semantics(tiny_model, padded_batch):
    dense, batch = extract(tiny_model("bert"), with_tokens(RETENTIONS[0])), padded_batch("bert")
    labels = torch.tensor([0, 2, 1])
    with torch.inference_mode():
        output = dense(**batch, labels=labels)
        in_order = dense(batch["input_ids"], batch["attention_mask"])
        named = dense(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
    torch.testing.assert_close(output.loss, functional.cross_entropy(output.logits, labels))
    torch.testing.assert_close(in_order.logits, named.logits, rtol=0, atol=0)
