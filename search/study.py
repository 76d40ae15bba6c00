"""The search: an Optuna study over a space of sub-networks (Optuna, no torch).

A trial suggests multipliers; its costs are looked up before anything runs. A sub-network
over a cost limit is never scored: its trial is *pruned*, with its violations recorded, because
Optuna would need invented objective values to call it complete. Every other one is scored once on
the search split, and its trial is complete with the objectives' values; one below a limit on the
score is complete and infeasible. Violations are recorded as shares of their limits, since Optuna's
samplers add them up.

A study resumes: finished trials stay, failed and interrupted ones are tried again, and outcomes
come from the file of evaluations where they are known. Several processes may work on one storage
when they share that file.

Left out: Optuna's pruning of half-finished evaluations; one evaluation takes seconds.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.study import Study
from optuna.trial import TrialState

from ..deploy.deployment import Deployment
from ..errors import InputError
from ..networks.subnet import ElasticSpace, SubnetConfig
from ..profiling.table import LookupTable, Profile
from ..tasks.metrics import Evaluation
from .candidate import Candidate
from .constraints import judged_values, total_violation
from .evaluations import SPLIT, append_evaluation, read_candidates, read_evaluations
from .front import ParetoFront
from .journal import open_study, quiet_optuna
from .options import SearchOptions
from .quantities import QUANTITIES
from .sampling import FINISHED, Choices, sampler_for

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StudyResult:
    """What a study found.

    Attributes:
        candidates: The scored sub-networks, in the order of the space.
        skipped: The costs of the sub-networks that were over a cost limit and not scored.
        front: The front of the candidates that keep every limit.
    """

    candidates: tuple[Candidate, ...]
    skipped: tuple[Profile, ...]
    front: ParetoFront


def run_study(
    space: ElasticSpace,
    table: LookupTable,
    *,
    options: SearchOptions,
    evaluate: Callable[[SubnetConfig], Evaluation],
    storage: Path | str,
    evaluations: Path,
    name: str = "paretobert",
    on_progress: Callable[[int, int], None] | None = None,
) -> StudyResult:
    """Search a space, or go on where an earlier call stopped.

    Args:
        space: The sub-networks to choose from.
        table: The costs of every sub-network of the space.
        options: What the search is asked.
        evaluate: Scores a sub-network on the search split.
        storage: A journal file or the URL of a database that Optuna can use, made when missing.
        evaluations: The file of outcomes, made when missing.
        name: The study's name in the storage.
        on_progress: Called with the numbers of trials finished and wanted.

    Raises:
        InputError: When the storage or the file is damaged or holds another search, or the table
            lacks a sub-network or a latency.
    """
    choices = Choices(space, table.shape)
    _check_costs(table, choices, options)
    scores = _Scores(evaluations, evaluate, table.protocol.deployment)
    with quiet_optuna():
        study = open_study(
            storage,
            name=name,
            asked=_asked(space, table, options),
            directions=[QUANTITIES[objective].direction for objective in options.objectives],
        )
        while True:
            tried = choices.tried(study, *FINISHED)
            num_finished = len(study.get_trials(deepcopy=False, states=FINISHED))
            done, wanted = (
                (len(tried), len(choices.configs))
                if options.sampler == "grid"
                else (num_finished, options.num_trials)
            )
            if on_progress is not None:
                on_progress(done, wanted)
            if done >= wanted:
                break
            study.sampler = sampler_for(options, choices, num_finished=num_finished)
            _run_trial(study, choices, table=table, scores=scores, options=options)
    for config, state in tried.items():
        if state == TrialState.COMPLETE:
            scores(config)
    candidates = [
        candidate
        for candidate in read_candidates(evaluations, table, space)
        if candidate.config in tried and tried[candidate.config] == TrialState.COMPLETE
    ]
    feasible = [
        entry for entry in candidates if not total_violation(options.constraints, entry.judged)
    ]
    return StudyResult(
        candidates=tuple(candidates),
        skipped=tuple(
            table[entry] for entry, state in tried.items() if state != TrialState.COMPLETE
        ),
        front=ParetoFront.of(feasible, options.objectives),
    )


class _Scores:
    """The outcome of each sub-network, from the file where it is known."""

    def __init__(
        self,
        path: Path,
        evaluate: Callable[[SubnetConfig], Evaluation],
        deployment: Deployment,
    ) -> None:
        self._path = path
        self._evaluate = evaluate
        self._deployment = deployment
        self._known = read_evaluations(path, deployment=deployment)

    def __call__(self, config: SubnetConfig) -> Evaluation:
        if config.key not in self._known:
            evaluation = self._evaluate(config)
            if evaluation.split != SPLIT:
                raise ValueError(f"{config.key} was scored on {evaluation.split!r}, not {SPLIT!r}")
            append_evaluation(self._path, config, evaluation, deployment=self._deployment)
            self._known[config.key] = evaluation
        return self._known[config.key]


def _run_trial(
    study: Study, choices: Choices, *, table: LookupTable, scores: _Scores, options: SearchOptions
) -> None:
    trial = study.ask(fixed_distributions=choices.distributions)
    try:
        profile = table[choices.config(trial.params)]
        trial.set_user_attr("key", profile.config.key)
        costs = judged_values(
            num_params=profile.num_params, num_flops=profile.flops, latency=profile.latency
        )
        of_costs = [entry for entry in options.constraints if entry.quantity in costs]
        of_score = [entry for entry in options.constraints if entry.quantity not in costs]
        for entry in of_costs:
            trial.set_constraint(entry.quantity, entry.relative_violation(costs[entry.quantity]))
        if total_violation(of_costs, costs):
            study.tell(trial, state=TrialState.PRUNED)
            logger.info("%s is over a cost limit", profile.config.key)
            return
        candidate = Candidate.from_profile(
            profile, scores(profile.config), label=profile.config.key
        )
        for entry in of_score:
            trial.set_constraint(
                entry.quantity, entry.relative_violation(candidate.judged[entry.quantity])
            )
        study.tell(trial, [candidate.known_value(name) for name in options.objectives])
    except BaseException:
        study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
        raise


def _check_costs(table: LookupTable, choices: Choices, options: SearchOptions) -> None:
    used = {*options.objectives, *(entry.quantity for entry in options.constraints)}
    for config in choices.configs:
        if config not in table:
            raise InputError(
                f"The cost table lacks the sub-network {config.key}: profile the whole space."
            )
        if "latency_ms" in used and table[config].latency is None:
            raise InputError(
                f"The cost table has no latency of {config.key}: measure latencies first, or "
                "search by num_params and num_flops."
            )


def _asked(space: ElasticSpace, table: LookupTable, options: SearchOptions) -> dict[str, Any]:
    """What decides the trials of a study; more trials of the same kind may be asked for later."""
    record = {**table.shape.to_dict(), **space.to_dict(), **options.to_dict()}
    del record["num_trials"]
    return record
