from dataclasses import replace

import pytest
import torch
from transformers import AutoTokenizer

from paretobert.dynabert.losses import LayerLosses, RepairLosses, read_losses
from paretobert.dynabert.reconstruction import collect, repair
from paretobert.dynabert.repairs import (
    RepairableSupernet,
    RepairOptions,
    Repairs,
    read_options,
    repair_texts,
)
from paretobert.dynabert.supernet import Supernet
from paretobert.encoders.extraction import extract
from paretobert.encoders.families import FAMILIES, shape_of
from paretobert.errors import InputError
from paretobert.networks.retention import Retention
from paretobert.networks.spaces import Grid
from paretobert.networks.subnet import SubnetConfig
from paretobert.tasks.batches import encode_texts
from paretobert.tasks.task import Texts

UNEVEN = SubnetConfig(layers=(0, 2), heads=(3, 1), neurons=(7, 30))


def no_texts(options):
    raise AssertionError("the full model is not run again")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_network_is_repaired_once_and_then_read(family, tiny_model, unlabelled, tmp_path):
    model, texts, options = tiny_model(family), unlabelled(family), RepairOptions(seed=2)
    expected = repair(model, UNEVEN, collect(model, texts, seed=2)).model.state_dict()
    counted = []
    first = Repairs(
        model,
        options,
        texts=lambda options: texts,
        kept_in=tmp_path / "repaired",
        progress=lambda done, total: counted.append((done, total)),
    )
    second = Repairs(model, options, texts=no_texts, kept_in=tmp_path / "repaired")
    for repairs in (first, second):
        built = repairs.build(UNEVEN)
        assert not built.training
        assert built.state_dict().keys() == expected.keys()
        for name, tensor in built.state_dict().items():
            assert torch.equal(tensor, expected[name])
    assert counted[-1] == (len(texts), len(texts))
    assert len(counted) > 1


def test_elimination_does_not_change_the_weights(tiny_model, unlabelled, tmp_path):
    model, texts = tiny_model("bert"), unlabelled("bert")
    repairs = Repairs(model, RepairOptions(), texts=lambda options: texts, kept_in=tmp_path)
    whole = repairs.build(UNEVEN).state_dict()
    fewer = repairs.build(replace(UNEVEN, tokens=Retention((50, 1), "percent")))
    assert all(torch.equal(whole[name], tensor) for name, tensor in fewer.state_dict().items())
    assert len(list(tmp_path.iterdir())) == 1


def test_the_full_model_needs_no_repair(tiny_model, tmp_path):
    model = tiny_model("bert")
    repairs = Repairs(model, RepairOptions(), texts=no_texts, kept_in=tmp_path)
    full = SubnetConfig.full(shape_of(model.config))
    for name, tensor in extract(model, full).state_dict().items():
        assert torch.equal(repairs.build(full).state_dict()[name], tensor)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"not safetensors at all"])
def test_a_damaged_file_is_named(content, tiny_model, unlabelled, tmp_path):
    model, texts = tiny_model("bert"), unlabelled("bert")
    repairs = Repairs(model, RepairOptions(), texts=lambda options: texts, kept_in=tmp_path)
    repairs.build(UNEVEN)
    (path,) = tmp_path.iterdir()
    path.write_bytes(content)
    with pytest.raises(InputError, match="is no repair of L0.2-H3.1-F7.30: delete the file"):
        repairs.build(UNEVEN)


def test_a_supernet_says_how_its_subnetworks_are_repaired(tiny_model, tmp_path):
    model = tiny_model("bert")
    supernet = Supernet(model, Grid(shape_of(model.config)))
    supernet.save_pretrained(tmp_path)
    assert read_options(tmp_path) is None
    assert read_losses(tmp_path) is None
    layer = LayerLosses(((0, 2.5), (1, 0.0)), ((0, 3.0), (2, 0.5), (4, 0.0)))
    losses = RepairLosses((layer, layer), ((0.0, 1.5), (0.0, 2.5), (0.0,)))
    RepairableSupernet(supernet, RepairOptions(5, 7, 6), losses).save_pretrained(tmp_path)
    assert read_losses(tmp_path) == losses
    assert read_options(tmp_path) == RepairOptions(num_texts=5, num_tokens=7, seed=6)
    assert Supernet.from_pretrained(tmp_path).space == supernet.space
    (tmp_path / "repair.json").write_text("[]")
    with pytest.raises(InputError, match="names no texts and seed"):
        read_options(tmp_path)
    (tmp_path / "losses.json").write_text('{"layers": []}')
    with pytest.raises(InputError, match="holds no losses of layers"):
        read_losses(tmp_path)


def test_texts_are_drawn_with_their_pairs_up_to_so_many_tokens(tiny_checkpoint):
    tokenizer = AutoTokenizer.from_pretrained(tiny_checkpoint)
    firsts = ("red", "blue coat", "the old house is small", "green", "a boat", "grey")
    split = Texts(firsts, tuple(text.split()[-1] for text in firsts))
    whole = encode_texts(split, tokenizer, max_length=32)

    def drawn(**options):
        return repair_texts(split, tokenizer, RepairOptions(**options), max_length=32)

    three = drawn(num_texts=3, seed=1)
    assert len(three) == 3
    assert set(three.input_ids) <= set(whole.input_ids)
    assert three == drawn(num_texts=3, seed=1) != drawn(num_texts=3, seed=2)
    assert sorted(drawn().input_ids) == sorted(whole.input_ids)
    fewer = drawn(num_tokens=20)
    assert sum(fewer.lengths) <= 20
    assert fewer == drawn().at(range(len(fewer)))
    assert sum(drawn().lengths[: len(fewer) + 1]) > 20
    assert len(drawn(num_tokens=1)) == 2
