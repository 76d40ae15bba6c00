"""Hard-concrete gates: random variables in [0, 1] that can be exactly 0 and learn by gradients.

Louizos, Welling & Kingma 2018, section 2.2 and equations 10 to 13. A concrete variable of location
log a and temperature b is stretched to (g, z), with g < 0 and z > 1, and clamped to [0, 1]. Left
out: learning the temperature.

Every function takes log a of any shape and returns the same shape.
"""

import math

import torch
from torch import Tensor

TEMPERATURE = 2 / 3
LOWEST, HIGHEST = -0.1, 1.1
"""The paper's b, g and z (section 4)."""


def sampled(log_alpha: Tensor, uniform: Tensor) -> Tensor:
    """Gates of the uniform numbers in (0, 1) that are given (equations 10 and 11)."""
    noise = uniform.log() - (-uniform).log1p()
    return _stretched(((noise + log_alpha) / TEMPERATURE).sigmoid())


def drawn(log_alpha: Tensor) -> Tensor:
    """Gates of random numbers."""
    tiny = torch.finfo(log_alpha.dtype).eps
    return sampled(log_alpha, torch.rand_like(log_alpha).clamp(tiny, 1 - tiny))


def open_probability(log_alpha: Tensor) -> Tensor:
    """The probability that a gate is not 0 (equation 12)."""
    return (log_alpha - TEMPERATURE * math.log(-LOWEST / HIGHEST)).sigmoid()


def settled(log_alpha: Tensor) -> Tensor:
    """The gate when nothing is random any more (equation 13)."""
    return _stretched(log_alpha.sigmoid())


def _stretched(share: Tensor) -> Tensor:
    return (share * (HIGHEST - LOWEST) + LOWEST).clamp(0, 1)
