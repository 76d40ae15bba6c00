"""One repair for all widths: what it must leave alone, and what it must bring nearer."""

import copy

import pytest
import torch

from paretobert.dynabert.joint_repair import repair_together
from paretobert.dynabert.reconstruction import collect, divergence, repair
from paretobert.encoders.extraction import extract
from paretobert.encoders.families import FAMILIES, shape_of
from paretobert.networks.spaces import Grid
from paretobert.networks.subnet import SubnetConfig


@pytest.mark.parametrize("family", FAMILIES)
def test_the_full_model_alone_stays_what_it_is(family, tiny_model, unlabelled, padded_batch):
    model, batch = tiny_model(family), padded_batch(family)
    before = copy.deepcopy(model)
    full = SubnetConfig.full(shape_of(model.config))
    repair_together(model, [full], collect(model, unlabelled(family)))
    with torch.inference_mode():
        torch.testing.assert_close(
            model(**batch).logits, before(**batch).logits, rtol=1e-3, atol=1e-3
        )


@pytest.mark.parametrize("family", FAMILIES)
def test_of_one_network_it_is_that_networks_repair(family, tiny_model, unlabelled, padded_batch):
    """But for the ridge, which is relative to all inputs of the full model: nearly none here."""
    model, batch = tiny_model(family).double(), padded_batch(family)
    narrow = list(Grid(shape_of(model.config)).at_full_depth().landmarks)[-1]
    reference = collect(model, unlabelled(family, number=500))
    alone = repair(model, narrow, reference, ridges=(1e-8,)).model
    repair_together(model, [narrow], reference, ridges=(1e-8,))
    with torch.inference_mode():
        torch.testing.assert_close(
            extract(model, narrow)(**batch).logits, alone(**batch).logits, rtol=1e-3, atol=1e-3
        )


@pytest.mark.parametrize("family", FAMILIES)
def test_every_narrow_width_comes_nearer_to_the_full_model(family, tiny_model, unlabelled):
    model = tiny_model(family)
    before = copy.deepcopy(model)
    reference = collect(model, unlabelled(family))
    widths = list(Grid(shape_of(model.config)).at_full_depth().landmarks)
    repair_together(model, widths, reference)
    for config in widths[1:]:
        cut, repaired = (extract(each, config) for each in (before, model))
        assert divergence(before, repaired, reference) < divergence(before, cut, reference)
