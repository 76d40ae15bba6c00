"""A study: which networks an engine has scored, kept so that it goes on after a kill (Optuna).

The study is an Optuna study in a journal file or a database. It is where processes agree on what
is scored and what somebody is at; how to choose is the engine's affair (`engines`). A trial is a
network, by the genes of the space, and is *complete* with the objectives' values and, as Optuna's
constraints, how far it is beyond each limit, as a share of it. A network over a limit on costs is
never scored and is no trial. An interrupted trial fails, and its network is proposed again.

Outcomes come from who evaluates, and who does keeps them: nothing is scored twice, and a study
that was lost is made again without scoring.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from optuna.samplers import RandomSampler
from optuna.study import Study
from optuna.trial import TrialState

from ..networks.subnet import SubnetConfig
from .engines.engine import Engine
from .engines.sampled import config_of, gene_distributions
from .journal import open_study, quiet_optuna
from .problem import Observation, Problem
from .quantities import QUANTITIES


def run_study(
    engine: Engine,
    *,
    num_trials: int,
    evaluate: Callable[[SubnetConfig], float],
    storage: Path | str,
    name: str,
    asked: Mapping[str, Any],
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[Observation, ...]:
    """Score what an engine proposes, or go on where an earlier call stopped.

    Args:
        engine: The engine, with its problem.
        num_trials: Networks to score, those of earlier calls among them.
        evaluate: Gives a network's score on the search split, and keeps it.
        storage: A journal file or the URL of a database that Optuna can use, made when missing.
        name: The study's name in the storage.
        asked: What decides what is proposed, as JSON types; more trials may be asked for later.
        on_progress: Called with the numbers of networks scored and wanted.

    Returns:
        What was scored, in order; fewer than wanted where the engine has nothing left.

    Raises:
        InputError: When the storage is damaged or holds another search.
    """
    problem = engine.problem
    with quiet_optuna():
        study = open_study(
            storage,
            name=name,
            asked=asked,
            directions=[QUANTITIES[objective].direction for objective in problem.objectives],
        )
        study.sampler = RandomSampler()
        while True:
            observed = observations(study, problem)
            if on_progress is not None:
                on_progress(min(len(observed), num_trials), num_trials)
            if len(observed) >= num_trials:
                break
            config = engine.propose(observed)
            if config is None:
                break
            _score(study, problem, config, evaluate)
    return tuple(observed)


def observations(study: Study, problem: Problem) -> list[Observation]:
    """What a study has scored, each network once, in the order in which it was asked for."""
    place = problem.objectives.index("score")
    found: dict[SubnetConfig, Observation] = {}
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        config = config_of(problem.space, trial.params)
        found.setdefault(config, Observation(config, trial.values[place]))
    return list(found.values())


def _score(
    study: Study,
    problem: Problem,
    config: SubnetConfig,
    evaluate: Callable[[SubnetConfig], float],
) -> None:
    """Score a network as a trial."""
    distributions = gene_distributions(problem.space)
    study.enqueue_trial(dict(zip(distributions, problem.space.encode(config), strict=True)))
    trial = study.ask(fixed_distributions=distributions)
    try:
        config = config_of(problem.space, trial.params)
        trial.set_user_attr("key", config.key)
        seen = Observation(config, evaluate(config))
        for quantity, violation in problem.violations(seen).items():
            trial.set_constraint(quantity, violation)
        values = problem.signed(seen)
        study.tell(
            trial,
            [
                QUANTITIES[name].signed(value)
                for name, value in zip(problem.objectives, values, strict=True)
            ],
        )
    except BaseException:
        study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
        raise
