"""`nsga2`: Optuna's NSGA-II (Deb et al. 2002) on the genes of the space.

Optuna's genetic samplers know the generation of a trial from when it was asked for. A trial that a
study is given whole is of none and would never be a parent, so what was observed is asked for, by
its genes, and told.
"""

from optuna.samplers import BaseSampler, NSGAIISampler

from ..problem import Observation
from .sampled import Sampled

POPULATION = 20
"""Networks of one generation."""


class Genetic(Sampled):
    """Crosses and mutates what no other network beats."""

    def tell(self, seen: Observation, params: dict[str, int]) -> None:
        """Ask for a trial of these parameters, and tell it.

        Optuna asks a sampler for what is not given only, and it is in asking that it counts
        generations; so the parameters that it would have proposed are looked at.
        """
        self.study.enqueue_trial(params)
        trial = self.ask(self.told)
        assert trial.relative_params.keys() <= params.keys()
        for name, violation in self.problem.violations(seen).items():
            trial.set_constraint(name, violation)
        self.study.tell(trial, list(self.problem.signed(seen)))


class NSGA2(Genetic):
    """By how many networks beat it, and how lonely it is."""

    def sampler(self, seed: int) -> BaseSampler:
        """A sampler of a seed."""
        return NSGAIISampler(population_size=POPULATION, seed=seed)
