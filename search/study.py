"""A study: which networks an engine has scored, kept so that it goes on after a kill (Optuna).

The study is an Optuna study in a journal file or a database. It is where workers agree on what is
scored and what somebody is at; how to choose is the engine's affair (`engines`). A trial is a
network by its key, an attribute: as parameters, the genes of a space would cost a database some
hundred statements under the study's lock. It is *complete* with the objectives' values and, as
Optuna's constraints, how far it is beyond each limit, as a share of it. A network over a limit on
costs is never scored and is no trial.

Any number of workers, on one machine or many, run the same study by the same call, without a
coordinator. A worker claims a network by a *running* trial that names both. Storages number
trials one after the other, so of two claims on a network the one with the lower number holds, and
of more claims than networks are wanted the lowest do; the others fail, and their workers look
again after a random while (`backoff`). What a worker was at that died (`liveness`) or was
interrupted fails too, and is what the next worker takes. So nobody waits for a lock while engines
think or networks are scored.

Outcomes come from who evaluates, and who does keeps them: nothing is scored twice, and a study
that was lost is made again without scoring.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.samplers import RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from ..errors import InputError
from ..networks.subnet import SubnetConfig
from .backoff import backoff_s
from .engines.engine import Engine
from .journal import opened_study, quiet_optuna
from .liveness import Liveness, joined
from .problem import Observation, Problem
from .quantities import QUANTITIES

LOOK_S, LONGEST_LOOK_S = 0.1, 2.0
"""Seconds between looks at the study while others are at all that is left: ever more of them, for
hundreds may be waiting for the last one."""

NOBODY = ""
"""Who began a trial that does not say so."""


def run_study(
    engine: Engine,
    *,
    num_trials: int,
    evaluate: Callable[[SubnetConfig], float],
    storage: Path | str,
    name: str,
    asked: Mapping[str, Any],
    on_progress: Callable[[int, int], None] | None = None,
    goes_on: Callable[[], bool] = lambda: True,
) -> tuple[Observation, ...]:
    """Score what an engine proposes, with others who do, or go on where an earlier call stopped.

    Args:
        engine: The engine, with its problem.
        num_trials: Networks to score, those of other workers and earlier calls among them.
        evaluate: Gives a network's score on the search split, and keeps it.
        storage: A journal file or the URL of a database that Optuna can use, made when missing.
        name: The study's name in the storage.
        asked: What decides what is proposed, as JSON types; more trials may be asked for later.
        on_progress: Called with the numbers of networks scored and wanted.
        goes_on: Whether to begin another network.

    Returns:
        What was scored, in the order in which this worker learnt of it, which is that of the
        trials where it works alone; fewer than wanted where the engine has nothing left.

    Raises:
        InputError: When the storage is damaged, cannot be reached or holds another search.
    """
    problem = engine.problem
    try:
        with (
            quiet_optuna(),
            opened_study(
                storage,
                name=name,
                asked=asked,
                directions=[QUANTITIES[objective].direction for objective in problem.objectives],
            ) as study,
        ):
            study.sampler = RandomSampler()
            with joined(study, storage) as liveness:
                shared, pause_s = Shared(study, problem, liveness), LOOK_S
                lost, generator = 0, Random(liveness.name)
                while goes_on():
                    shared.look()
                    observed, pending = shared.observed, shared.pending
                    if on_progress is not None:
                        on_progress(min(len(observed), num_trials), num_trials)
                    if len(observed) >= num_trials:
                        break
                    config = None
                    if len(observed) + len(pending) < num_trials:
                        config = shared.given_back() or engine.propose(observed, pending)
                    if config is not None:
                        pause_s = LOOK_S
                        if shared.score(config, evaluate, most=num_trials):
                            lost = 0
                        else:
                            lost += 1
                            time.sleep(backoff_s(lost, generator))
                    elif pending:
                        time.sleep(pause_s)
                        pause_s = min(2 * pause_s, LONGEST_LOOK_S)
                    else:
                        break
                return tuple(shared.observed)
    except StorageInternalError as error:
        reason = str(error.__cause__ or error).splitlines()[0].rstrip(".")
        raise InputError(
            f"The study's database cannot be used ({reason}): mend it and give the same command "
            "again; what was scored is not scored again."
        ) from None


class Shared:
    """A study as one worker sees it.

    Attributes:
        observed: What is scored, in the order in which the worker learnt of it: it only grows.
        pending: What other workers are at.
    """

    def __init__(self, study: Study, problem: Problem, liveness: Liveness) -> None:
        """Begin without having looked.

        Args:
            study: What workers share.
            problem: What is searched.
            liveness: Knows this worker's name, and which others are alive.
        """
        self.observed: list[Observation] = []
        self.pending: list[SubnetConfig] = []
        self._study, self._problem, self._liveness = study, problem, liveness
        self._score_at = problem.objectives.index("score")
        self._counted: set[int] = set()
        self._known: set[SubnetConfig] = set()
        self._failed: dict[SubnetConfig, None] = {}

    def look(self) -> None:
        """Learn what was scored and failed since, and let what dead workers were at fail."""
        trials = self._study.get_trials(deepcopy=False)
        running = [trial for trial in trials if trial.state == TrialState.RUNNING]
        workers = {_worker(trial) for trial in running} - {NOBODY}
        alive = workers - self._liveness.dead(workers)
        for trial in running:
            if _worker(trial) not in alive:
                self._fail(trial)
                self._learn(trial)
        self.pending = [_config(trial) for trial in running if _worker(trial) in alive]
        for trial in trials:
            if trial.state.is_finished() and trial.number not in self._counted:
                self._counted.add(trial.number)
                self._learn(trial)

    def _learn(self, trial: FrozenTrial) -> None:
        """Take in a trial that ended; one that names no network is none of ours."""
        if "key" not in trial.user_attrs:
            return
        config = _config(trial)
        if trial.state != TrialState.COMPLETE:
            self._failed[config] = None
        elif config not in self._known:
            self._known.add(config)
            self.observed.append(Observation(config, trial.values[self._score_at]))

    def given_back(self) -> SubnetConfig | None:
        """A network that somebody began and nobody has scored or is at; None where there is none.

        A claim that came too late is on a network that somebody else has scored or is at.
        """
        self._failed = {each: None for each in self._failed if each not in self._known}
        return next((each for each in self._failed if each not in self.pending), None)

    def score(
        self,
        config: SubnetConfig,
        evaluate: Callable[[SubnetConfig], float],
        *,
        most: int,
    ) -> bool:
        """Claim a network and score it, unless another worker was faster.

        Args:
            config: The network.
            evaluate: Scores it.
            most: Networks that the study is to have.

        Returns:
            Whether the claim held.
        """
        trial = self._claimed(config, most=most)
        if trial is None:
            return False
        try:
            self._tell(trial, Observation(config, evaluate(config)))
        except BaseException:
            self._fail(trial)
            raise
        return True

    def _claimed(self, config: SubnetConfig, *, most: int) -> FrozenTrial | None:
        """A claim of this worker on a network; None where earlier ones hold it, or are enough."""
        attributes = {"key": config.key, "worker": self._liveness.name}
        self._study.add_trial(create_trial(state=TrialState.RUNNING, user_attrs=attributes))
        live = self._live()
        first = next((t for t in live[:most] if t.user_attrs.get("key") == config.key), None)
        if first is not None and _worker(first) == self._liveness.name:
            return first
        for trial in live:
            if trial.state == TrialState.RUNNING and _worker(trial) == self._liveness.name:
                self._fail(trial)
        return None

    def _tell(self, trial: FrozenTrial, seen: Observation) -> None:
        """Complete a trial; one that was given back in the meantime is left to others."""
        problem = self._problem
        values = [
            QUANTITIES[name].signed(value)
            for name, value in zip(problem.objectives, problem.signed(seen), strict=True)
        ]
        with suppress(UpdateFinishedTrialError):
            live = Trial(self._study, trial._trial_id)
            for quantity, violation in problem.violations(seen).items():
                live.set_constraint(quantity, violation)
            self._study.tell(live, values, skip_if_finished=True)

    def _fail(self, trial: FrozenTrial) -> None:
        with suppress(UpdateFinishedTrialError):
            self._study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)

    def _live(self) -> list[FrozenTrial]:
        """The trials that hold a network, in the order in which they were begun."""
        states = (TrialState.RUNNING, TrialState.COMPLETE)
        return self._study.get_trials(deepcopy=False, states=states)


def _config(trial: FrozenTrial) -> SubnetConfig:
    """The network of a trial."""
    return SubnetConfig.from_key(trial.user_attrs["key"])


def _worker(trial: FrozenTrial) -> str:
    """The worker that began a trial."""
    return str(trial.user_attrs.get("worker", NOBODY))
