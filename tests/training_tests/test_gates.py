"""Hard-concrete gates against the distribution that they are said to have."""

import math

import pytest
import torch

from paretobert.training.gates import drawn, open_probability, sampled, settled

LOCATIONS = [-3.0, -1.0, 0.0, 2.0, 5.0]
DRAWS = 200_000


@pytest.fixture(scope="module")
def draws() -> torch.Tensor:
    torch.manual_seed(0)
    return drawn(torch.tensor(LOCATIONS).expand(DRAWS, -1))


def test_the_formulas_by_hand() -> None:
    """u = .7, log a = .4: s = 1 / (1 + e^-((ln .7 - ln .3 + .4) / (2 / 3)))."""
    share = 1 / (1 + math.exp(-(math.log(0.7) - math.log(0.3) + 0.4) * 1.5))
    gate = sampled(torch.tensor(0.4), torch.tensor(0.7)).item()
    assert gate == pytest.approx(1.2 * share - 0.1, abs=1e-6)
    assert settled(torch.tensor(0.4)).item() == pytest.approx(
        1.2 / (1 + math.exp(-0.4)) - 0.1, abs=1e-6
    )
    odds = 1 / (1 + math.exp(-(0.4 - 2 / 3 * math.log(0.1 / 1.1))))
    assert open_probability(torch.tensor(0.4)).item() == pytest.approx(odds, abs=1e-6)


def test_gates_are_often_exactly_0_or_1(draws: torch.Tensor) -> None:
    assert draws.min() == 0
    assert draws.max() == 1
    inside = (draws > 0) & (draws < 1)
    assert 0 < inside.float().mean() < 0.6


def test_they_are_open_as_often_as_is_said(draws: torch.Tensor) -> None:
    said = open_probability(torch.tensor(LOCATIONS))
    error = (said * (1 - said) / DRAWS).sqrt()
    assert ((draws > 0).float().mean(0) - said).abs().le(5 * error).all()


def test_as_many_are_open_as_is_expected(draws: torch.Tensor) -> None:
    expected = open_probability(torch.tensor(LOCATIONS)).sum().item()
    assert (draws > 0).sum(1).float().mean().item() == pytest.approx(expected, abs=0.02)


def test_nothing_is_random_any_more_at_the_end() -> None:
    far = torch.tensor([-6.0, 6.0])
    assert settled(far).tolist() == [0.0, 1.0]


def test_gradients_reach_the_location() -> None:
    location = torch.tensor(0.0, requires_grad=True)
    sampled(location, torch.tensor(0.5)).backward()
    assert location.grad is not None
    assert location.grad > 0
