"""`tpe`: Optuna's tree-structured Parzen estimator (Bergstra et al. 2011; Ozaki et al. 2022)."""

from optuna.samplers import BaseSampler, TPESampler

from .sampled import Sampled

STARTS = 10
"""Random networks, landmarks counted, before the estimator begins."""


class TPE(Sampled):
    """Draws genes that good networks have and bad ones lack."""

    def sampler(self, seed: int) -> BaseSampler:
        """A sampler of a seed."""
        return TPESampler(n_startup_trials=STARTS, seed=seed)
