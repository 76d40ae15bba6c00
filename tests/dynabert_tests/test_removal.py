import copy
from dataclasses import replace

import pytest
import torch

from paretobert.dynabert.importance import Importance
from paretobert.dynabert.reconstruction import collect, repair
from paretobert.dynabert.removal import removal, removals
from paretobert.dynabert.rewiring import rewire
from paretobert.encoders.families import FAMILIES, shape_of
from paretobert.networks.subnet import SubnetConfig

NARROW = SubnetConfig(layers=(0, 1, 2, 3), heads=(2, 2, 2, 2), neurons=(20, 20, 20, 20))


def system(inputs, outputs, *, seed=0):
    generator = torch.Generator().manual_seed(seed)
    read = torch.randn(200, inputs, dtype=torch.float64, generator=generator)
    read = read @ torch.randn(inputs, inputs, dtype=torch.float64, generator=generator)
    weight = torch.randn(inputs, outputs, dtype=torch.float64, generator=generator)
    return read, weight


def fitted_error(read, weight, kept):
    """The squared error of the best weights of the kept inputs."""
    wanted = read @ weight
    solution = torch.linalg.lstsq(read[:, kept], wanted).solution
    return (read[:, kept] @ solution - wanted).square().sum().item()


@pytest.mark.parametrize("unit_size", [1, 2])
def test_the_next_unit_to_go_is_the_one_that_is_made_up_for_best(unit_size):
    read, weight = system(6, 4)
    order = removal(read.T @ read, weight, unit_size=unit_size).order.tolist()
    left = set(range(6 // unit_size))

    def inputs_of(units):
        return [unit * unit_size + i for unit in sorted(units) for i in range(unit_size)]

    for unit in order[:-1]:
        errors = {u: fitted_error(read, weight, inputs_of(left - {u})) for u in left}
        assert unit == min(errors, key=errors.__getitem__)
        left.remove(unit)
    assert {order[-1]} == left


def test_the_errors_are_those_of_the_best_weights_of_what_is_left():
    read, weight = system(80, 6)
    found = removal(read.T @ read, weight)
    assert found.sizes[0] == 80
    assert found.sizes[-1] == 0
    assert found.errors[0] == 0
    assert found.errors[-1] == pytest.approx((read @ weight).square().sum().item())
    for size, error in list(zip(found.sizes, found.errors, strict=True))[1:-1:9]:
        kept = found.order[80 - size :].tolist()
        assert error == pytest.approx(fitted_error(read, weight, kept), rel=1e-6)


def test_what_the_logits_lose_compares_over_layers(tiny_model, unlabelled):
    """One layer's states count ten times as much for the logits as they did."""
    model = tiny_model("bert")
    texts = unlabelled("bert", number=200)
    before = removals(model, collect(model, texts)).losses
    model.classifier.weight.data *= 10
    after = removals(model, collect(model, texts)).losses
    for old, new in zip(before.gaps, after.gaps, strict=True):
        assert new == pytest.approx([100 * less for less in old], rel=0.02)
    for old, new in zip(before.layers, after.layers, strict=True):
        for earlier, later in ((old.heads, new.heads), (old.neurons, new.neurons)):
            assert [size for size, _ in earlier] == [size for size, _ in later]
            for (_, less), (_, more) in zip(earlier[:-1], later[:-1], strict=True):
                assert more == pytest.approx(100 * less, rel=0.02)


def test_losses_tell_which_layer_can_spare_neurons(tiny_model, unlabelled):
    model = tiny_model("bert")
    reference = collect(model, unlabelled("bert", number=400))
    found = removals(model, reference)
    changed = copy.deepcopy(model)
    rewire(changed, found.importance)
    full = SubnetConfig.full(shape_of(model.config))
    estimates, errors = [], []
    for place in range(4):
        config = replace(full, neurons=tuple(12 if i == place else 40 for i in range(4)))
        dense = repair(changed, config, reference, ridges=(1e-2,)).model
        with torch.inference_mode():
            wrong = torch.cat([dense(**b).logits - model(**b).logits for b in reference.batches])
        errors.append((wrong - wrong.mean(1, keepdim=True)).square().sum(1).mean().item())
        estimates.append(found.losses.estimate(config))
    ratios = [estimate / error for estimate, error in zip(estimates, errors, strict=True)]
    assert max(ratios[1:]) < 1.2 * min(ratios[1:])
    assert min(ratios[1:]) < ratios[0] < 2.5 * min(ratios[1:]), "later layers make up for some"
    assert max(errors) > 3 * min(errors)


def test_a_layer_that_does_little_can_be_dropped(tiny_model, unlabelled):
    model = tiny_model("bert")
    with torch.no_grad():
        for name in ("attention.output.dense", "output.dense"):
            linear = model.bert.encoder.layer[2].get_submodule(name)
            linear.weight.mul_(0.01)
            linear.bias.mul_(0.01)
    gaps = removals(model, collect(model, unlabelled("bert", number=300))).losses.gaps
    assert [gap[0] for gap in gaps] == [0.0] * 5
    one_layer = [gap[1] for gap in gaps[:4]]
    assert one_layer.index(min(one_layer)) == 2
    assert all(loss > 0 for gap in gaps for loss in gap[1:])


def test_gaps_are_what_the_logits_lose_without_those_layers(tiny_model, unlabelled):
    """Layers that only normalise are nearly linear, and so is what stands for them."""
    model = tiny_model("bert")
    with torch.no_grad():
        for name in ("attention.output.dense", "output.dense"):
            for layer in model.bert.encoder.layer[:2]:
                layer.get_submodule(name).weight.zero_()
    texts = unlabelled("bert", number=300)
    gaps = removals(model, collect(model, texts)).losses.gaps
    from_start, behind_first = gaps[0], gaps[1]
    assert max(from_start[1:3]) < 0.1 * from_start[3]
    assert behind_first[1] < 0.1 * behind_first[2]


def test_a_copy_goes_before_everything_that_is_needed():
    read, weight = system(5, 3)
    read = torch.cat((read, read[:, :2]), dim=1)
    weight = torch.cat((weight, weight[:2]), dim=0)
    gram = read.T @ read + 1e-8 * torch.eye(7, dtype=torch.float64)
    first = set(removal(gram, weight).order[:2].tolist())
    assert first in ({0, 1}, {0, 6}, {5, 1}, {5, 6})


def test_many_units_go_in_steps():
    read, weight = system(80, 6)
    order = removal(read.T @ read, weight).order
    assert sorted(order.tolist()) == list(range(80))


@pytest.mark.parametrize("family", FAMILIES)
def test_networks_of_necessary_units_are_repaired_better(family, tiny_model, unlabelled):
    model = tiny_model(family)
    reference = collect(model, unlabelled(family, number=200))
    scores = removals(model, reference).importance
    opposite = Importance(
        tuple(-heads for heads in scores.heads), tuple(-neurons for neurons in scores.neurons)
    )
    errors = []
    for order in (scores, opposite):
        changed = copy.deepcopy(model)
        rewire(changed, order)
        fits = repair(changed, NARROW, reference).fits
        errors.append(sum(fit.error_after for fit in fits))
    assert errors[0] < errors[1]
