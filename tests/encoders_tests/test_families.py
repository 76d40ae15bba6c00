import pytest
import torch
from torch import nn
from transformers import BertConfig, GPT2Config, RobertaConfig

from paretobert.encoders.families import FAMILIES, family_of, shape_of
from paretobert.encoders.plan import LayerSizes
from paretobert.encoders.slicing import linears


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("model_type", FAMILIES)
def test_pieces_compose_to_the_model(model_type, attention, tiny_model, padded_batch):
    model = tiny_model(model_type)
    model.set_attn_implementation(attention)
    batch = padded_batch(model_type)
    family = family_of(model)
    with torch.inference_mode():
        hidden = family.embed(model, batch)
        mask = family.mask(model, hidden, batch)
        for layer in family.layer_list(model):
            hidden = layer(hidden, mask)
        logits = family.classify(model, hidden)
        expected = model(**batch).logits
    assert hidden.shape == (3, 9, 24)
    torch.testing.assert_close(logits, expected, rtol=0, atol=0)


@pytest.mark.parametrize("model_type", FAMILIES)
def test_a_plan_names_every_linear_layer_and_its_axes(model_type, tiny_model, parts_of):
    model = tiny_model(model_type)
    shape = shape_of(model.config)
    layers = family_of(model).layer_list(model)
    assert len(layers) == shape.num_layers
    inner, hidden, neurons = shape.num_heads * shape.head_size, shape.hidden_size, shape.ffn_size
    sizes = LayerSizes(hidden, shape.head_size, shape.num_heads, shape.ffn_size)
    plan = family_of(model).plan
    for layer in layers:
        parts = parts_of(layer)
        expected = {
            parts.query: (inner, hidden),
            parts.key: (inner, hidden),
            parts.value: (inner, hidden),
            parts.attention_output: (hidden, inner),
            parts.ffn_in: (neurons, hidden),
            parts.ffn_out: (hidden, neurons),
        }
        found = {
            linear: (axes.num_rows(sizes), axes.num_columns(sizes))
            for linear, axes in linears(layer, plan)
        }
        assert found == expected
        assert set(found) == {m for m in layer.modules() if isinstance(m, nn.Linear)}
        assert plan.num_parameters(sizes) == sum(p.numel() for p in layer.parameters())


@pytest.mark.parametrize("model_type", FAMILIES)
def test_the_longest_input_runs_and_a_longer_one_does_not(model_type, tiny_model):
    model = tiny_model(model_type)
    longest = family_of(model).longest_input(model.config)
    with torch.inference_mode():
        assert model(torch.full((1, longest), 5)).logits.isfinite().all()
        with pytest.raises((IndexError, RuntimeError)):
            model(torch.full((1, longest + 1), 5))


def test_unsupported_type_names_the_supported_ones():
    with pytest.raises(ValueError, match=r"'gpt2' is not supported; .*bert, camembert"):
        family_of(GPT2Config())


@pytest.mark.parametrize("config_class", [BertConfig, RobertaConfig])
def test_decoders_are_refused(config_class):
    with pytest.raises(ValueError, match="is a decoder"):
        family_of(config_class(is_decoder=True))
