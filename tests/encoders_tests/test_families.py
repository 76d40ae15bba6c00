import pytest
import torch
from transformers import BertConfig, GPT2Config, RobertaConfig

from paretobert.encoders.families import FAMILIES, family_of, shape_of


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
def test_projections_have_the_sizes_of_the_shape(model_type, tiny_model):
    model = tiny_model(model_type)
    shape = shape_of(model.config)
    layers = family_of(model).layer_list(model)
    assert len(layers) == shape.num_layers
    inner, hidden, neurons = shape.num_heads * shape.head_size, shape.hidden_size, shape.ffn_size
    for layer in layers:
        found = family_of(model).projections(layer)
        assert found.query.weight.shape == (inner, hidden)
        assert found.key.weight.shape == (inner, hidden)
        assert found.value.weight.shape == (inner, hidden)
        assert found.attention_output.weight.shape == (hidden, inner)
        assert found.ffn_in.weight.shape == (neurons, hidden)
        assert found.ffn_out.weight.shape == (hidden, neurons)
        assert len({id(getattr(found, name)) for name in found.__slots__}) == 6


def test_unsupported_type_names_the_supported_ones():
    with pytest.raises(ValueError, match=r"'gpt2' is not supported; .*bert, camembert"):
        family_of(GPT2Config())


@pytest.mark.parametrize("config_class", [BertConfig, RobertaConfig])
def test_decoders_are_refused(config_class):
    with pytest.raises(ValueError, match="is a decoder"):
        family_of(config_class(is_decoder=True))
