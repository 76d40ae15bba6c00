import copy

import pytest
import torch

from paretobert.dynabert.supernet import Supernet
from paretobert.encoders.elastic import AccumulatingEmbedding, ElasticLinear
from paretobert.encoders.extraction import extract
from paretobert.encoders.families import FAMILIES, family_of, shape_of
from paretobert.errors import InputError
from paretobert.networks.spaces import SPACES, Grid
from paretobert.networks.subnet import SubnetConfig

UNEVEN = SubnetConfig(layers=(0, 2), heads=(3, 1), neurons=(7, 20))


def test_an_elastic_layer_equals_a_stock_layer_of_its_leading_slice():
    torch.manual_seed(0)
    stock = torch.nn.Linear(6, 8)
    elastic = ElasticLinear.from_linear(stock)
    elastic.activate(4, 5)
    small = torch.nn.Linear(4, 5)
    with torch.no_grad():
        small.weight.copy_(stock.weight[:5, :4])
        small.bias.copy_(stock.bias[:5])
    ours = torch.randn(3, 2, 4, requires_grad=True)
    theirs = ours.detach().clone().requires_grad_()
    for _ in range(2):
        elastic(ours).square().sum().backward()
        small(theirs).square().sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)
    torch.testing.assert_close(stock.weight.grad[:5, :4], small.weight.grad)
    torch.testing.assert_close(stock.bias.grad[:5], small.bias.grad)
    assert stock.weight.grad[5:].count_nonzero() == stock.weight.grad[:, 4:].count_nonzero() == 0


@pytest.mark.parametrize("padding", [None, 1])
def test_an_accumulating_embedding_learns_as_a_stock_one_does(padding):
    torch.manual_seed(0)
    stock = torch.nn.Embedding(6, 4, padding_idx=padding)
    ours = AccumulatingEmbedding.from_embedding(copy.deepcopy(stock))
    ids = torch.tensor([[1, 2, 2], [5, 1, 0]])
    for _ in range(2):
        for layer in (stock, ours):
            layer(ids).pow(3).sum().backward()
    torch.testing.assert_close(ours(ids), stock(ids))
    torch.testing.assert_close(ours.weight.grad, stock.weight.grad)
    assert list(ours.state_dict()) == list(stock.state_dict())


def test_a_frozen_elastic_layer_gets_no_gradient():
    elastic = ElasticLinear.from_linear(torch.nn.Linear(3, 3).requires_grad_(False))
    elastic(torch.ones(1, 3, requires_grad=True)).sum().backward()
    assert elastic.weight.grad is None


@pytest.mark.parametrize("family", FAMILIES)
def test_becoming_elastic_changes_neither_function_nor_keys(family, tiny_model, padded_batch):
    model, batch = tiny_model(family), padded_batch(family)
    keys = list(model.state_dict())
    with torch.inference_mode():
        expected = model(**batch).logits
        supernet = Supernet(model, Grid(shape_of(model.config)))
        torch.testing.assert_close(supernet(batch), expected, rtol=0, atol=0)
        torch.testing.assert_close(model(**batch).logits, expected, rtol=0, atol=0)
    assert list(model.state_dict()) == keys


@pytest.mark.parametrize("family", FAMILIES)
def test_every_active_subnetwork_equals_its_extracted_copy(family, tiny_model, padded_batch):
    model, batch = tiny_model(family), padded_batch(family)
    supernet = Supernet(model, Grid(shape_of(model.config)))
    configs = [*supernet.space.landmarks, UNEVEN]
    assert len(configs) >= 9
    for config in configs:
        with torch.inference_mode():
            with supernet.active(config):
                ours = supernet(batch)
            torch.testing.assert_close(
                ours, extract(supernet.model, config)(**batch).logits, rtol=0, atol=1e-5
            )


@pytest.mark.parametrize("family", ["bert", "electra", "distilbert"])
def test_a_subnetworks_gradient_is_the_slice_of_its_copys(
    family, tiny_model, padded_batch, parts_of
):
    model, batch = tiny_model(family), padded_batch(family)
    copy = extract(model, UNEVEN)
    copy(**batch).logits.square().sum().backward()
    supernet = Supernet(model, Grid(shape_of(model.config)))
    with supernet.active(UNEVEN):
        supernet(batch).square().sum().backward()
    adapter = family_of(model)
    layer = parts_of(adapter.layer_list(model)[2])
    small = parts_of(adapter.layer_list(copy)[1])
    head_size = supernet.shape.head_size
    torch.testing.assert_close(
        layer.attention_output.weight.grad[:, :head_size], small.attention_output.weight.grad
    )
    torch.testing.assert_close(layer.query.weight.grad[:head_size], small.query.weight.grad)
    torch.testing.assert_close(layer.ffn_out.weight.grad[:, :20], small.ffn_out.weight.grad)
    assert parts_of(adapter.layer_list(model)[1]).query.weight.grad is None


def test_the_active_subnetwork_is_restored_even_after_an_error(tiny_model, padded_batch):
    model = tiny_model("bert")
    supernet = Supernet(model, Grid(shape_of(model.config)))
    full = SubnetConfig.full(supernet.shape)
    with pytest.raises(RuntimeError, match="inside"), supernet.active(UNEVEN):
        raise RuntimeError("inside")
    assert supernet.active_config == full
    with supernet.active(UNEVEN):
        with supernet.active(SubnetConfig((1,), (1,), (1,))):
            pass
        assert supernet.active_config == UNEVEN
    with (
        pytest.raises(InputError, match="heads 9"),
        supernet.active(SubnetConfig((0,), (9,), (1,))),
    ):
        pass


@pytest.mark.parametrize("space", SPACES.values())
def test_a_saved_supernet_loads_back_and_is_an_ordinary_checkpoint(
    space, tiny_model, padded_batch, tmp_path
):
    model, batch = tiny_model("roberta"), padded_batch("roberta")
    supernet = Supernet(model, space(shape_of(model.config), (1.0, 0.5), (1.0,)))
    supernet.save_pretrained(tmp_path)
    with torch.inference_mode():
        expected = model(**batch).logits
        loaded = Supernet.from_pretrained(tmp_path)
        torch.testing.assert_close(loaded(batch), expected)
        stock = type(model).from_pretrained(tmp_path)
        torch.testing.assert_close(stock(**batch).logits, expected)
    assert loaded.space == supernet.space


def test_a_folder_without_a_supernet_is_refused(tmp_path):
    with pytest.raises(InputError, match="supernet.json does not exist"):
        Supernet.from_pretrained(tmp_path)
    (tmp_path / "supernet.json").write_text('{"widths": [1.0], "depths": [1.0]}')
    with pytest.raises(InputError, match="holds no loadable model"):
        Supernet.from_pretrained(tmp_path)
