from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from paretobert.encoders.dropout import draw_mask
from paretobert.encoders.extraction import extract
from paretobert.encoders.families import FAMILIES, family_of, shape_of
from paretobert.encoders.fused import run_layer
from paretobert.encoders.plan import LayerSizes
from paretobert.encoders.running import run_together
from paretobert.networks.subnet import SubnetConfig, grid

UNEVEN = SubnetConfig(layers=(0, 2), heads=(3, 1), neurons=(7, 20))
"""Begins like none of the grid."""

LIKE_UNEVEN = replace(UNEVEN, layers=(0, 3))


def together(model, batch, configs):
    family, shape = family_of(model), shape_of(model.config)
    embeddings = family.embed(model, batch)
    return run_together(model, family, embeddings, batch, configs, head_size=shape.head_size)


def gradients(model):
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", FAMILIES)
def test_sub_networks_run_together_compute_and_learn_as_their_copies_do(
    name, tiny_model, padded_batch, parts_of
):
    model, batch = tiny_model(name), padded_batch(name)
    family, shape = family_of(model), shape_of(model.config)
    configs = [*grid(shape), UNEVEN, LIKE_UNEVEN]
    outputs = together(model, batch, configs)
    sum(output.logits.square().sum() for output in outputs).backward()
    expected = {
        part: [torch.zeros_like(getattr(parts_of(layer), part).weight) for layer in layers]
        for layers in [family.layer_list(model)]
        for part in ("query", "attention_output", "ffn_in", "ffn_out")
    }
    for config, output in zip(configs, outputs, strict=True):
        copy = extract(model, config)
        logits = copy(**batch).logits
        torch.testing.assert_close(output.logits, logits, rtol=1e-4, atol=1e-4)
        assert list(output.hidden) == list(config.layers)
        logits.square().sum().backward()
        for index, layer in zip(config.layers, family.layer_list(copy), strict=True):
            for part, sums in expected.items():
                gradient = getattr(parts_of(layer), part).weight.grad
                rows, columns = gradient.shape
                sums[index][:rows, :columns] += gradient
    for part, sums in expected.items():
        for layer, whole in zip(family.layer_list(model), sums, strict=True):
            torch.testing.assert_close(
                getattr(parts_of(layer), part).weight.grad, whole, rtol=1e-3, atol=1e-3
            )


def test_what_begins_alike_is_run_once(tiny_model, padded_batch):
    model, batch = tiny_model("bert"), padded_batch("bert")
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.5
    first, second, other = together(
        model.train(), batch, [UNEVEN, LIKE_UNEVEN, replace(UNEVEN, heads=(2, 1))]
    )
    assert torch.equal(first.hidden[0], second.hidden[0])
    assert not torch.equal(first.hidden[0], other.hidden[0])


@pytest.mark.parametrize("name", ["bert", "distilbert"])
def test_dropout_falls_where_transformers_has_it(name, tiny_model, padded_batch, parts_of):
    """Against the published formulas under plain autograd, with the same draws."""
    model, batch = tiny_model(name), padded_batch(name)
    family, shape = family_of(model), shape_of(model.config)
    layer = family.layer_list(model.train())[0]
    paths = family.parts.dropouts
    rates = dict(zip(paths, (0.3, 0.4, 0.5), strict=True))
    for path in filter(None, paths):
        layer.get_submodule(path).p = rates[path]
    parts = parts_of(layer)
    norms = [layer.get_submodule(path) for path in family.norms]
    present = batch["attention_mask"]
    mask = torch.zeros(present.shape).masked_fill(present == 0, -torch.inf)[:, None, None]
    state = torch.randn(*present.shape, shape.hidden_size, requires_grad=True)

    def dropped(tensor, path):
        if path is None:
            return tensor
        drawn = draw_mask(tensor.shape, rates[path], dtype=torch.float32, device=tensor.device)
        return tensor * drawn.factors * drawn.scale

    def split(tensor):
        return tensor.unflatten(-1, (-1, shape.head_size)).transpose(1, 2)

    torch.manual_seed(3)
    query, key, value = (split(linear(state)) for linear in (parts.query, parts.key, parts.value))
    scores = query @ key.transpose(2, 3) / shape.head_size**0.5 + mask
    shares = dropped(scores.softmax(-1), paths[0])
    context = (shares @ value).transpose(1, 2).flatten(2)
    between = norms[0](state + dropped(parts.attention_output(context), paths[1]))
    written = parts.ffn_out(functional.gelu(parts.ffn_in(between)))
    expected = norms[1](between + dropped(written, paths[2]))
    expected.square().sum().backward()
    theirs, theirs_input = gradients(model), state.grad
    model.zero_grad(set_to_none=True)
    state.grad = None

    torch.manual_seed(3)
    sizes = LayerSizes(shape.hidden_size, shape.head_size, shape.num_heads, shape.ffn_size)
    ours = run_layer(family, layer, state, mask, sizes)
    ours.square().sum().backward()
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(state.grad, theirs_input, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(gradients(model), theirs, rtol=1e-3, atol=1e-3)


def test_products_in_bf16_give_nearly_the_gradients_of_fp32(tiny_model, padded_batch):
    model, batch = tiny_model("bert"), padded_batch("bert")
    configs = list(grid(shape_of(model.config)))
    found = []
    for enabled in (False, True):
        model.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            outputs = together(model, batch, configs)
        sum(output.logits.float().square().sum() for output in outputs).backward()
        found.append(torch.cat([g.flatten() for g in gradients(model).values()]))
        assert outputs[0].hidden[3].dtype == torch.float32
    assert functional.cosine_similarity(*found, dim=0) > 0.995
    assert not torch.equal(*found)


def test_frozen_layers_get_no_gradient(tiny_model, padded_batch):
    model, batch = tiny_model("bert"), padded_batch("bert")
    frozen = family_of(model).layer_list(model)[1].requires_grad_(False)
    (output,) = together(model, batch, [SubnetConfig.full(shape_of(model.config))])
    output.logits.sum().backward()
    assert all(parameter.grad is None for parameter in frozen.parameters())
    assert gradients(model)
