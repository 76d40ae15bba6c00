import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    BertConfig,
    GPT2Config,
    PreTrainedModel,
    RobertaConfig,
)

from paretobert.dynabert.families import FAMILIES, family_of
from paretobert.dynabert.shape import EncoderShape

PAD = 1


def tiny_model(model_type: str, *, seed: int = 0, attention: str = "sdpa") -> PreTrainedModel:
    """Three layers of four heads of size 4, LayerNorms and biases randomised, in eval mode."""
    torch.manual_seed(seed)
    family = FAMILIES[model_type]
    sizes = {
        "vocab_size": 40,
        "hidden_size": 16,
        "num_attention_heads": 4,
        "num_hidden_layers": 3,
        family.ffn_size_attribute: 24,
        "max_position_embeddings": 24,
        "num_labels": 3,
        "pad_token_id": PAD,
        "attn_implementation": attention,
    }
    if model_type == "electra":
        sizes["embedding_size"] = 12
    model = AutoModelForSequenceClassification.from_config(
        AutoConfig.for_model(model_type, **sizes)
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval()


def padded_batch(model_type: str, *, lengths=(5, 9, 2), seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = (len(lengths), max(lengths))
    mask = (torch.arange(shape[1]) < torch.tensor(lengths)[:, None]).long()
    ids = torch.randint(2, 40, shape, generator=generator) * mask + PAD * (1 - mask)
    batch = {"input_ids": ids, "attention_mask": mask}
    if "token_type_ids" in FAMILIES[model_type].embedding_inputs:
        batch["token_type_ids"] = torch.randint(0, 2, shape, generator=generator)
    return batch


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("model_type", FAMILIES)
def test_pieces_compose_to_the_model(model_type, attention):
    model = tiny_model(model_type, attention=attention)
    batch = padded_batch(model_type)
    family = family_of(model)
    with torch.inference_mode():
        hidden = family.embed(model, batch)
        mask = family.mask(model, hidden, batch)
        for layer in family.layer_list(model):
            hidden = layer(hidden, mask)
        logits = family.classify(model, hidden)
        expected = model(**batch).logits
    assert hidden.shape == (3, 9, 16)
    torch.testing.assert_close(logits, expected, rtol=0, atol=0)


@pytest.mark.parametrize("model_type", FAMILIES)
def test_projections_have_the_sizes_of_the_shape(model_type):
    model = tiny_model(model_type)
    shape = EncoderShape.from_config(model.config)
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
