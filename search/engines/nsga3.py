"""`nsga3`: Optuna's NSGA-III (Deb and Jain 2014), for three objectives and more."""

from optuna.samplers import BaseSampler, NSGAIIISampler

from .nsga2 import POPULATION, Genetic


class NSGA3(Genetic):
    """Like NSGA-II, spread along reference directions."""

    def sampler(self, seed: int) -> BaseSampler:
        """A sampler of a seed."""
        return NSGAIIISampler(population_size=POPULATION, seed=seed)
