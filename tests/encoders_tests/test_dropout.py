import pytest
import torch

from paretobert.encoders.dropout import PackedDropout


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_the_share_and_the_mean_are_those_of_dropout(p):
    torch.manual_seed(0)
    layer = PackedDropout(p).train()
    output = layer(torch.ones(333, 301))
    assert (output == 0).float().mean().item() == pytest.approx(p, abs=0.01)
    assert output.mean().item() == pytest.approx(1, rel=0.02)
    assert output.unique().numel() == 2


def test_neighbours_are_independent():
    torch.manual_seed(0)
    kept = (PackedDropout(0.5).train()(torch.ones(40_000)) != 0).float()
    for distance in (1, 2, 3, 4):
        correlation = torch.corrcoef(torch.stack((kept[:-distance], kept[distance:])))[0, 1]
        assert abs(correlation.item()) < 0.03


def test_the_gradient_passes_where_the_value_passed():
    input = torch.ones(7, 3, requires_grad=True)
    output = PackedDropout(0.5).train()(input)
    output.sum().backward()
    assert torch.equal(input.grad, output.detach())


@pytest.mark.parametrize("layer", [PackedDropout(0.0).train(), PackedDropout(0.5).eval()])
def test_nothing_is_dropped_at_zero_or_in_evaluation(layer):
    input = torch.randn(5)
    assert layer(input) is input


def test_the_seed_decides():
    layer = PackedDropout(0.3).train()
    outputs = []
    for _ in range(2):
        torch.manual_seed(4)
        outputs.append(layer(torch.ones(50)))
    assert torch.equal(*outputs)
