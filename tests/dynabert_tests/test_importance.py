import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from paretobert.dynabert.importance import Importance, importance
from paretobert.dynabert.rewiring import rewire
from paretobert.encoders.families import FAMILIES, family_of
from paretobert.tasks.heads import CLASSIFICATION

HEAD = CLASSIFICATION
LABELS = torch.tensor([0, 2, 1])


def batches_of(padded_batch, family):
    return [padded_batch(family, seed=seed) | {"labels": LABELS} for seed in (0, 1)]


@pytest.mark.parametrize("family", FAMILIES)
def test_importance_is_the_first_order_change_when_a_unit_is_scaled(
    family, tiny_model, padded_batch, parts_of
):
    """Compare with a central difference of the loss in the unit's scale."""
    model = tiny_model(family).double()
    batches = batches_of(padded_batch, family)
    scores = importance(model, batches, head=HEAD)
    adapter = family_of(model)
    head_size = model.config.hidden_size // model.config.num_attention_heads

    @torch.no_grad()
    def slope(scale):
        step = 1e-5
        losses = []
        for factor in (1 + step, 1 - step):
            changed = copy.deepcopy(model)
            scale(parts_of(adapter.layer_list(changed)[1]), factor)
            losses.append(
                sum(
                    functional.cross_entropy(
                        changed(**{k: v for k, v in batch.items() if k != "labels"}).logits,
                        LABELS,
                        reduction="sum",
                    )
                    for batch in batches
                )
            )
        return abs((losses[0] - losses[1]) / (2 * step)).item()

    def scale_head(layer, factor):
        layer.attention_output.weight[:, 2 * head_size : 3 * head_size] *= factor

    def scale_neuron(layer, factor):
        layer.ffn_in.weight[5] *= factor
        layer.ffn_out.weight[:, 5] *= factor

    assert scores.heads[1][2].item() == pytest.approx(slope(scale_head), rel=1e-4)
    assert scores.neurons[1][5].item() == pytest.approx(slope(scale_neuron), rel=1e-4)


def test_importance_leaves_the_model_as_it_was(tiny_model, padded_batch):
    model = tiny_model("bert").train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    first = importance(model, batches_of(padded_batch, "bert"), head=HEAD)
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    second = importance(model, batches_of(padded_batch, "bert"), head=HEAD)
    assert all(map(torch.equal, first.neurons, second.neurons))


def test_the_split_into_batches_does_not_matter(tiny_model, padded_batch):
    model = tiny_model("bert")
    batches = [padded_batch("bert", lengths=(6, 6, 6)) | {"labels": LABELS}]
    singles = [{name: tensor[i : i + 1] for name, tensor in batches[0].items()} for i in range(3)]
    whole, single = (
        importance(model, batches, head=HEAD),
        importance(model, singles, head=HEAD),
    )
    for a, b in zip(whole.heads + whole.neurons, single.heads + single.neurons, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def test_importance_needs_a_batch(tiny_model):
    with pytest.raises(ValueError, match="at least one batch"):
        importance(tiny_model("bert"), [], head=HEAD)


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_rewiring_keeps_the_full_models_logits(family, tiny_model, padded_batch, seed):
    model, batch = tiny_model(family), padded_batch(family)
    generator = torch.Generator().manual_seed(seed)
    scores = Importance(
        heads=tuple(torch.rand(4, generator=generator) for _ in range(4)),
        neurons=tuple(torch.rand(40, generator=generator) for _ in range(4)),
    )
    with torch.inference_mode():
        expected = model(**batch).logits
        rewire(model, scores)
        torch.testing.assert_close(model(**batch).logits, expected, rtol=0, atol=1e-5)


def test_rewiring_sorts_units_by_descending_importance(tiny_model, padded_batch, parts_of):
    model = tiny_model("bert")
    batches = batches_of(padded_batch, "bert")
    first = parts_of(family_of(model).layer_list(model)[0])
    scores = importance(model, batches, head=HEAD)
    most_important = int(scores.neurons[0].argmax())
    row = first.ffn_in.weight[most_important].clone()
    rewire(model, scores)
    assert torch.equal(first.ffn_in.weight[0], row)
    for units in (
        *importance(model, batches, head=HEAD).heads,
        *importance(model, batches, head=HEAD).neurons,
    ):
        assert (units.diff() <= 1e-3 * units.max()).all()


def test_equal_scores_keep_their_order(tiny_model):
    model = tiny_model("bert")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    rewire(model, Importance((torch.ones(4),) * 4, (torch.ones(40),) * 4))
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
