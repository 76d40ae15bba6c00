import copy

import pytest
import torch

from paretobert.dynabert.importance import Importance
from paretobert.dynabert.reconstruction import collect, repair
from paretobert.dynabert.removal import necessity, removal_order
from paretobert.dynabert.rewiring import rewire
from paretobert.encoders.families import FAMILIES
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
    order = removal_order(read.T @ read, weight, unit_size=unit_size).tolist()
    left = set(range(6 // unit_size))

    def inputs_of(units):
        return [unit * unit_size + i for unit in sorted(units) for i in range(unit_size)]

    for unit in order[:-1]:
        errors = {u: fitted_error(read, weight, inputs_of(left - {u})) for u in left}
        assert unit == min(errors, key=errors.__getitem__)
        left.remove(unit)
    assert {order[-1]} == left


def test_a_copy_goes_before_everything_that_is_needed():
    read, weight = system(5, 3)
    read = torch.cat((read, read[:, :2]), dim=1)
    weight = torch.cat((weight, weight[:2]), dim=0)
    gram = read.T @ read + 1e-8 * torch.eye(7, dtype=torch.float64)
    first = set(removal_order(gram, weight)[:2].tolist())
    assert first in ({0, 1}, {0, 6}, {5, 1}, {5, 6})


def test_many_units_go_in_steps():
    read, weight = system(80, 6)
    order = removal_order(read.T @ read, weight)
    assert sorted(order.tolist()) == list(range(80))


@pytest.mark.parametrize("family", FAMILIES)
def test_networks_of_necessary_units_are_repaired_better(family, tiny_model, unlabelled):
    model = tiny_model(family)
    reference = collect(model, unlabelled(family, number=200))
    scores = necessity(model, reference)
    opposite = Importance(
        tuple(-heads for heads in scores.heads), tuple(-neurons for neurons in scores.neurons)
    )
    errors = []
    for order in (scores, opposite):
        changed = copy.deepcopy(model)
        rewire(changed, order)
        projections = repair(changed, NARROW, reference).projections
        errors.append(sum(projection.error_after for projection in projections))
    assert errors[0] < errors[1]
