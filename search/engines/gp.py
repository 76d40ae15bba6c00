"""`gp`: Optuna's Gaussian processes on the genes of the space, by hypervolume improvement.

Optuna advises it for at most 500 trials. It computes with torch, which Optuna loads for it.
"""

from optuna.samplers import BaseSampler, GPSampler

from .sampled import Sampled
from .tpe import STARTS


class GP(Sampled):
    """Draws what promises the most hypervolume."""

    def sampler(self, seed: int) -> BaseSampler:
        """A sampler of a seed."""
        return GPSampler(n_startup_trials=STARTS, seed=seed, warn_independent_sampling=False)
