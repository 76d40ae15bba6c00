"""Extraction against references that share no code with it.

A stock full-depth model in which the dropped heads' and neurons' columns of the output projections
are zero, and whose dropped layers are taken out of its layer list, computes what the dense
sub-network must compute.
"""

import copy
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
)

from paretobert.dynabert.supernet import Supernet
from paretobert.encoders.bert import SubnetBertConfig
from paretobert.encoders.extraction import architecture_of, extract
from paretobert.encoders.families import FAMILIES, family_of, shape_of
from paretobert.errors import InputError
from paretobert.networks.retention import Retention
from paretobert.networks.spaces import Grid
from paretobert.networks.subnet import SubnetConfig
from paretobert.profiling.counts import count_parameters

NARROW = SubnetConfig(layers=(0, 2), heads=(3, 1), neurons=(17, 40))
SHALLOW = SubnetConfig(layers=(1, 2), heads=(4, 4), neurons=(40, 40))
UNEVEN = SubnetConfig(layers=(0, 1, 2), heads=(4, 2, 4), neurons=(40, 40, 5))


def logits(model, batch):
    with torch.inference_mode():
        return model(**batch).logits


def zeroed_stock_model(model, config, parts_of):
    """A deep copy whose dropped heads, neurons and layers have no effect."""
    reference = copy.deepcopy(model)
    family = family_of(model)
    layers = family.layer_list(reference)
    head_size = model.config.hidden_size // model.config.num_attention_heads
    with torch.no_grad():
        for index, heads, neurons in zip(config.layers, config.heads, config.neurons, strict=True):
            parts = parts_of(layers[index])
            parts.attention_output.weight[:, heads * head_size :] = 0
            parts.ffn_out.weight[:, neurons:] = 0
    parent, _, name = family.layers.rpartition(".")
    kept = nn.ModuleList([layers[index] for index in config.layers])
    setattr(reference.get_submodule(parent), name, kept)
    return reference


@pytest.mark.parametrize("config", [NARROW, SHALLOW, UNEVEN], ids=lambda config: config.key)
@pytest.mark.parametrize("model_type", FAMILIES)
def test_equals_a_stock_model_with_the_rest_zeroed(
    model_type, config, tiny_model, padded_batch, parts_of
):
    model = tiny_model(model_type)
    batch = padded_batch(model_type)
    expected = logits(zeroed_stock_model(model, config, parts_of), batch)
    dense = extract(model, config)
    torch.testing.assert_close(logits(dense, batch), expected, rtol=0, atol=1e-5)
    assert not torch.allclose(expected, logits(model, batch), atol=1e-2)


@pytest.mark.parametrize("config", [NARROW, SHALLOW, UNEVEN], ids=lambda config: config.key)
@pytest.mark.parametrize("model_type", FAMILIES)
def test_equals_the_active_supernet(model_type, config, tiny_model, padded_batch):
    model = tiny_model(model_type)
    supernet = Supernet(model, Grid(shape_of(model.config)))
    batch = padded_batch(model_type)
    with supernet.active(config), torch.inference_mode():
        expected = supernet(batch)
    dense = extract(model, config)
    torch.testing.assert_close(logits(dense, batch), expected, rtol=0, atol=1e-5)
    assert {type(m) for m in dense.modules() if isinstance(m, nn.Linear)} == {nn.Linear}


@st.composite
def configs(draw, *, tokens=False):
    layers = sorted(draw(st.sets(st.integers(0, 3), min_size=1)))
    sizes = {"min_size": len(layers), "max_size": len(layers)}
    full_width = draw(st.booleans())
    amounts = sorted(draw(st.lists(st.integers(1, 40), **sizes)), reverse=True)
    unit = draw(st.sampled_from(["tokens", "percent"]))
    return SubnetConfig(
        layers=tuple(layers),
        heads=(4,) * len(layers)
        if full_width
        else tuple(draw(st.lists(st.integers(1, 4), **sizes))),
        neurons=(40,) * len(layers)
        if full_width
        else tuple(draw(st.lists(st.integers(1, 40), **sizes))),
        tokens=Retention(tuple(amounts), unit) if tokens and draw(st.booleans()) else None,
    )


@settings(max_examples=40, deadline=None)
@given(config=configs(tokens=True), model_type=st.sampled_from(sorted(FAMILIES)))
def test_the_architecture_is_read_from_the_config_alone(config, model_type, tiny_model):
    dense = extract(tiny_model(model_type), config)
    shape, kept = architecture_of(AutoConfig.for_model(**dense.config.to_dict()))
    assert (shape.family, shape.num_layers) == (model_type, config.num_layers)
    assert kept == replace(config, layers=tuple(range(config.num_layers)))
    assert count_parameters(shape, kept) == dense.num_parameters()


@pytest.mark.parametrize("model_type", FAMILIES)
def test_the_architecture_of_a_stock_model_is_full(model_type, tiny_model):
    model = tiny_model(model_type)
    shape, kept = architecture_of(model.config)
    assert shape == shape_of(model.config)
    assert kept == SubnetConfig.full(shape)
    assert count_parameters(shape, kept) == model.num_parameters()


def test_the_architecture_of_another_family_is_refused():
    with pytest.raises(ValueError, match="'gpt2' is not supported"):
        architecture_of(GPT2Config())


CODE = {
    "elimination.py",
    "family.py",
    "modeling_subnet.py",
    "plan.py",
    "slicing.py",
}
OWN_CODE = {
    "bert": {"bert.py"},
    "electra": {"bert.py", "electra.py"},
    "distilbert": {"distilbert.py"},
}
ALONE = """
import sys, torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification
for folder in sys.argv[1:]:
    model = AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=True)
    given = load_file(folder + ".safetensors")
    expected = given.pop("logits")
    torch.testing.assert_close(model.eval()(**given).logits, expected, rtol=0, atol=1e-5)
    assert type(model).__module__.startswith("transformers_modules")
assert "paretobert" not in sys.modules
"""


def test_a_saved_network_carries_its_familys_code_and_loads_alone(
    tmp_path, tiny_model, padded_batch
):
    eliminating = replace(NARROW, tokens=Retention((60, 30), "percent"))
    folders = []
    for model_type in FAMILIES:
        dense = extract(tiny_model(model_type), eliminating)
        folder = tmp_path / model_type
        dense.save_pretrained(folder)
        own = OWN_CODE.get(model_type, {"bert.py", "roberta.py"})
        assert {path.name for path in folder.glob("*.py")} == CODE | own
        batch = padded_batch(model_type)
        save_file(batch | {"logits": logits(dense, batch)}, f"{folder}.safetensors")
        folders.append(str(folder))
    home = str(tmp_path / "home")
    done = subprocess.run(
        [sys.executable, "-I", "-c", ALONE, *folders],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"HF_HOME": home, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "HOME": home},
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_shallow_network_carries_no_code(tmp_path, tiny_model):
    extract(tiny_model("bert"), SHALLOW).save_pretrained(tmp_path)
    assert not list(tmp_path.glob("*.py"))


@settings(max_examples=40, deadline=None)
@given(config=configs(), model_type=st.sampled_from(sorted(FAMILIES)), seed=st.integers(0, 99))
def test_any_configuration_equals_the_zeroed_stock_model(
    config, model_type, seed, tiny_model, padded_batch, parts_of
):
    model = tiny_model(model_type, seed=seed)
    batch = padded_batch(model_type, lengths=(1, 7), seed=seed)
    expected = logits(zeroed_stock_model(model, config, parts_of), batch)
    torch.testing.assert_close(logits(extract(model, config), batch), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("model_type", FAMILIES)
def test_full_width_is_stock_and_narrow_is_registered(model_type, tiny_model):
    model = tiny_model(model_type)
    shallow, narrow = extract(model, SHALLOW), extract(model, NARROW)
    assert type(shallow) is type(model)
    assert shallow.config.model_type == model_type
    assert shallow.config.num_hidden_layers == 2
    assert type(narrow) is FAMILIES[model_type].subnet_model
    assert narrow.config.model_type == f"paretobert-{model_type}"
    assert narrow.config.subnet_heads == [3, 1]
    assert narrow.config.subnet_neurons == [17, 40]
    assert type(AutoModelForSequenceClassification.from_config(narrow.config)) is type(narrow)


def test_the_full_configuration_is_the_whole_model(tiny_model, padded_batch):
    model = tiny_model("bert")
    dense = extract(model, SubnetConfig.full(shape_of(model.config)))
    assert dense.state_dict().keys() == model.state_dict().keys()
    batch = padded_batch("bert")
    torch.testing.assert_close(logits(dense, batch), logits(model, batch), rtol=0, atol=0)


@pytest.mark.parametrize("config", [NARROW, SHALLOW], ids=lambda config: config.key)
@pytest.mark.parametrize("model_type", FAMILIES)
def test_shares_no_memory_and_keeps_nothing_extra(model_type, config, tiny_model):
    model = tiny_model(model_type)
    tensors = [*model.parameters(), *model.buffers()]
    owned = {tensor.untyped_storage().data_ptr() for tensor in tensors}
    dense = extract(model, config)
    for tensor in [*dense.parameters(), *dense.buffers()]:
        storage = tensor.untyped_storage()
        assert storage.data_ptr() not in owned
        assert tensor.is_contiguous()
    for parameter in dense.parameters():
        assert parameter.untyped_storage().nbytes() == parameter.numel() * parameter.element_size()
        assert parameter.requires_grad
        assert parameter.grad is None


@pytest.mark.parametrize("config", [NARROW, SHALLOW], ids=lambda config: config.key)
@pytest.mark.parametrize("model_type", FAMILIES)
def test_keeps_dtype_labels_attention_and_source(model_type, config, tiny_model):
    model = tiny_model(model_type).to(torch.bfloat16).train()
    model.set_attn_implementation("eager")
    model.config.id2label = {0: "no", 1: "maybe", 2: "yes"}
    model.config.label2id = {"no": 0, "maybe": 1, "yes": 2}
    model.config.problem_type = "single_label_classification"
    before = model.config.to_dict()
    dense = extract(model, config)
    assert {parameter.dtype for parameter in dense.parameters()} == {torch.bfloat16}
    assert dense.config.dtype == torch.bfloat16
    assert dense.config.id2label == model.config.id2label
    assert dense.config.label2id == model.config.label2id
    assert dense.config.problem_type == "single_label_classification"
    assert dense.config._attn_implementation == "eager"
    assert not dense.training
    assert model.training
    assert model.config.to_dict() == before


@pytest.mark.parametrize("config", [NARROW, SHALLOW], ids=lambda config: config.key)
@pytest.mark.parametrize("model_type", FAMILIES)
def test_survives_saving_and_loading(model_type, config, tmp_path, tiny_model, padded_batch):
    dense = extract(tiny_model(model_type), config)
    dense.save_pretrained(tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    batch = padded_batch(model_type)
    assert type(loaded) is type(dense)
    torch.testing.assert_close(logits(loaded, batch), logits(dense, batch), rtol=0, atol=0)


def test_a_larger_configuration_is_refused(tiny_model):
    with pytest.raises(InputError, match="has heads 5, but the model allows at most 4"):
        extract(tiny_model("bert"), SubnetConfig((0,), (5,), (40,)))


def test_an_unsupported_family_is_refused():
    with pytest.raises(ValueError, match="'gpt2' is not supported"):
        extract(GPT2LMHeadModel(GPT2Config(n_layer=1, n_embd=8, n_head=2, vocab_size=9)), SHALLOW)


@pytest.mark.parametrize("heads", [[4], [4, 4, 4], [0, 4], [5, 4]])
def test_sizes_that_do_not_fit_the_layers_are_refused(heads):
    config = SubnetBertConfig(
        vocab_size=9,
        hidden_size=16,
        num_attention_heads=4,
        num_hidden_layers=2,
        intermediate_size=24,
        subnet_heads=heads,
    )
    with pytest.raises(ValueError, match="subnet_heads must give each of the 2 layers a size"):
        AutoModelForSequenceClassification.from_config(config)
