"""How trials choose their sub-networks (Optuna, no torch).

Optuna sees the landmarks of the space as parameters: a width, a depth and, where tokens are
elastic, their share. `grid` visits every one of them once, in the order of the space; `nsga2` (Deb
et al. 2002) and `tpe` (Bergstra et al. 2011) are Optuna's own, for spaces too large for that.
"""

from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler, NSGAIISampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from ..networks.space import Space
from ..networks.subnet import SubnetConfig
from .options import SearchOptions

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
"""Trials that are not tried again; failed ones are."""

POPULATION = 10
"""Sub-networks of one NSGA-II generation, and random trials before TPE begins."""


class Choices:
    """The landmarks of a space as Optuna sees them.

    Attributes:
        configs: Each sub-network with the multipliers that first give it.
        distributions: Optuna's parameters: width and depth, and tokens where there is a choice.
    """

    def __init__(self, space: Space) -> None:
        """Lay out the landmarks."""
        self.configs = space.landmarks
        self.distributions: dict[str, BaseDistribution] = {
            "width": CategoricalDistribution(tuple(dict.fromkeys(space.widths))),
            "depth": CategoricalDistribution(tuple(dict.fromkeys(space.depths))),
        }
        if len(set(space.tokens)) > 1:
            tokens = CategoricalDistribution(tuple(dict.fromkeys(space.tokens)))
            self.distributions["tokens"] = tokens
        self._tokens = space.tokens[0]
        self._shape = space.shape

    def config(self, params: Mapping[str, Any]) -> SubnetConfig:
        """The sub-network of a trial's parameters; several may round to the same one."""
        return SubnetConfig.from_multipliers(
            self._shape, params["width"], params["depth"], params.get("tokens", self._tokens)
        )

    def tried(self, study: Study, *states: TrialState) -> dict[SubnetConfig, TrialState]:
        """The sub-networks of a study's trials in some states, with their latest state."""
        trials = study.get_trials(deepcopy=False, states=states)
        return {
            self.config(trial.params): trial.state
            for trial in trials
            if trial.params.keys() == self.distributions.keys()
        }


class InOrder(BaseSampler):
    """Suggests every sub-network once, in the order of the space.

    One whose trial is still running comes last: another process may be at it, or was killed.
    """

    def __init__(self, choices: Choices) -> None:
        """Take the order of `choices.configs`."""
        self._choices = choices

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Name all parameters: they are suggested together."""
        return self._choices.distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Suggest the first sub-network that is not finished and, if there is one, not running."""
        finished = self._choices.tried(study, *FINISHED)
        running = self._choices.tried(study, TrialState.RUNNING)
        missing = [config for config in self._choices.configs if config not in finished]
        width, depth, tokens = self._choices.configs[min(missing, key=running.__contains__)]
        asked = {"width": width, "depth": depth, "tokens": tokens}
        return {name: asked[name] for name in self._choices.distributions}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Suggest one of the same sub-network's parameters alone."""
        return self.sample_relative(study, trial, {})[param_name]


def sampler_for(options: SearchOptions, choices: Choices, *, num_finished: int) -> BaseSampler:
    """The sampler of the next trial.

    It is made afresh for each trial from the seed and the trials finished so far, because a
    storage keeps trials but no generator's state: so a resumed search goes on as an unbroken one.
    """
    seed = options.seed + num_finished
    if options.sampler == "nsga2":
        return NSGAIISampler(population_size=POPULATION, seed=seed)
    if options.sampler == "tpe":
        return TPESampler(n_startup_trials=POPULATION, seed=seed)
    return InOrder(choices)
