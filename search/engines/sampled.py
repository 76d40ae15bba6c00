"""What the engines by Optuna's samplers share (Optuna).

A sampler sees the genes of the space, integers all of the same names, so that none takes the space
for a dynamic one. Its study is in memory and holds what was observed, one trial for each network;
what a trial is told are the objectives and, as constraints, how far it is beyond every limit, the
same ones for each. It begins with the landmarks of the space.

A proposal that is known already or over a limit on costs is not told: the sampler is asked again,
and after `ATTEMPTS` a neighbour of what it last proposed is taken. The sampler is made afresh for
every attempt, from the seed, the number of observations and that of the attempt, so that its
proposals follow from the observations.

Left out: `Trial.report` and pruning, which Optuna has for one objective only.
"""

from abc import abstractmethod
from collections.abc import Collection, Sequence
from random import Random
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.trial import Trial, TrialState, create_trial

from ...networks.space import Space
from ...networks.subnet import SubnetConfig
from ..journal import quiet_optuna
from ..problem import Observation, Problem
from .engine import Engine, first_new, known_to

ATTEMPTS = 8
"""How often a sampler is asked before something near is taken."""

MUTATIONS = 200
"""How many steps away from the last proposal a new network is looked for."""

_SEEDS = 2**32


class Sampled(Engine):
    """Scores what a sampler proposes.

    Attributes:
        study: What was observed, as Optuna's trials.
        told: How many observations it has.
    """

    def __init__(self, problem: Problem) -> None:
        """Open an empty study."""
        super().__init__(problem)
        self._distributions = gene_distributions(problem.space)
        with quiet_optuna():
            self.study = optuna.create_study(directions=["minimize"] * len(problem.objectives))
        self.told = 0

    @abstractmethod
    def sampler(self, seed: int) -> BaseSampler:
        """A sampler of a seed."""

    def propose(
        self, observed: Sequence[Observation], pending: Collection[SubnetConfig] = ()
    ) -> SubnetConfig | None:
        """The next landmark, then what the sampler proposes."""
        known = known_to(observed, pending)
        start = first_new(self.problem.landmarks, known)
        if start is not None:
            return start
        with quiet_optuna():
            for seen in observed[self.told :]:
                code = self.problem.space.encode(seen.config)
                self.tell(seen, dict(zip(self._distributions, code, strict=True)))
                self.told += 1
            config = None
            for attempt in range(ATTEMPTS):
                trial = self.ask(len(observed) + len(pending), attempt)
                config = self._config(trial)
                self.study.tell(trial, state=TrialState.FAIL)
                if config not in known and self.problem.affordable(config):
                    return config
        return self._near(config, known) or self.drawn(known)

    def tell(self, seen: Observation, params: dict[str, int]) -> None:
        """Add what was observed to the study, as a trial of these parameters."""
        self.study.add_trial(
            create_trial(
                params=params,
                distributions=self._distributions,
                values=list(self.problem.signed(seen)),
                constraints=self.problem.violations(seen),
            )
        )

    def ask(self, number: int, attempt: int = 0) -> Trial:
        """Ask the sampler for a network, having seen so many."""
        generator = Random(f"{self.problem.seed} {number} {attempt}")
        self.study.sampler = self.sampler(generator.randrange(_SEEDS))
        return self.study.ask(fixed_distributions=self._distributions)

    def _config(self, trial: Trial) -> SubnetConfig:
        return config_of(self.problem.space, trial.params)

    def _near(self, config: SubnetConfig | None, known: set[SubnetConfig]) -> SubnetConfig | None:
        generator = Random(f"{self.problem.seed} near {len(known)}")
        for _ in range(MUTATIONS):
            assert config is not None
            config = self.problem.space.mutate(config, generator)
            if config not in known and self.problem.affordable(config):
                return config
        return None


def gene_distributions(space: Space) -> dict[str, BaseDistribution]:
    """The genes of a space as Optuna's parameters."""
    return {name: IntDistribution(0, count - 1) for name, count in space.genes.items()}


def config_of(space: Space, params: dict[str, Any]) -> SubnetConfig:
    """The network of a trial's parameters."""
    return space.decode([params[name] for name in space.genes])
