"""The search: an Optuna study over the landmarks of a space of sub-networks (Optuna, no torch).

A trial suggests multipliers; its costs are looked up before anything runs. A sub-network
over a cost limit is never scored: its trial is *pruned*, with its violations recorded, because
Optuna would need invented objective values to call it complete. Every other one is scored once on
the search split, and its trial is complete with the objectives' values; one below a limit on the
score is complete and infeasible. Violations are recorded as shares of their limits, since Optuna's
samplers add them up.

A study resumes: finished trials stay, failed and interrupted ones are tried again. Outcomes come
from who evaluates, and who does keeps them: nothing is scored twice. Several processes may work on
one storage.

Left out: Optuna's pruning of half-finished evaluations; one evaluation takes seconds.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.study import Study
from optuna.trial import TrialState

from ..errors import InputError
from ..networks.network import Network
from ..networks.space import Space
from ..networks.subnet import SubnetConfig
from ..profiling.table import CostTable, Profile
from ..tasks.metrics import Evaluation
from .candidate import Candidate
from .constraints import total_violation
from .front import ParetoFront
from .journal import open_study, quiet_optuna
from .options import SearchOptions
from .quantities import QUANTITIES
from .sampling import FINISHED, Choices, sampler_for

logger = logging.getLogger(__name__)

SPLIT = "search"
"""The split that networks are chosen on."""


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

    def __repr__(self) -> str:
        """The result on one line."""
        return (
            f"<StudyResult {len(self.candidates)} scored, {len(self.skipped)} skipped, "
            f"{len(self.front.members)} on the front>"
        )


def run_study(
    space: Space,
    networks: Mapping[SubnetConfig, Network],
    table: CostTable,
    *,
    options: SearchOptions,
    evaluate: Callable[[Network], Evaluation],
    storage: Path | str,
    name: str = "paretobert",
    on_progress: Callable[[int, int], None] | None = None,
) -> StudyResult:
    """Search the landmarks of a space, or go on where an earlier call stopped.

    Args:
        space: The sub-networks to choose from.
        networks: The network of each landmark, in the order of the space.
        table: The costs of every one of them.
        options: What the search is asked.
        evaluate: Gives a network's outcomes on the search split as the table deploys it, and
            keeps them.
        storage: A journal file or the URL of a database that Optuna can use, made when missing.
        name: The study's name in the storage.
        on_progress: Called with the numbers of trials finished and wanted.

    Raises:
        InputError: When the storage is damaged or holds another search, or the table lacks a
            sub-network or a cost.
    """
    choices = Choices(space)
    profiles = _profiles(table, networks, options)

    def scored(config: SubnetConfig) -> Candidate:
        evaluation = evaluate(networks[config])
        if evaluation.split != SPLIT:
            raise ValueError(f"{config.key} was scored on {evaluation.split!r}, not {SPLIT!r}")
        return Candidate(profiles[config], table.protocol.deployment, evaluation)

    with quiet_optuna():
        study = open_study(
            storage,
            name=name,
            asked=_asked(space, options),
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
            _run_trial(study, choices, profiles=profiles, scored=scored, options=options)
    candidates = [
        scored(config) for config in networks if tried.get(config) == TrialState.COMPLETE
    ]
    feasible = [
        entry for entry in candidates if not total_violation(options.constraints, entry.judged)
    ]
    return StudyResult(
        candidates=tuple(candidates),
        skipped=tuple(
            profiles[entry] for entry, state in tried.items() if state != TrialState.COMPLETE
        ),
        front=ParetoFront.of(feasible, options.objectives),
    )


def _run_trial(
    study: Study,
    choices: Choices,
    *,
    profiles: Mapping[SubnetConfig, Profile],
    scored: Callable[[SubnetConfig], Candidate],
    options: SearchOptions,
) -> None:
    trial = study.ask(fixed_distributions=choices.distributions)
    try:
        config = choices.config(trial.params)
        costs = profiles[config].judged
        trial.set_user_attr("key", config.key)
        of_costs = [entry for entry in options.constraints if entry.quantity in costs]
        of_score = [entry for entry in options.constraints if entry.quantity not in costs]
        for entry in of_costs:
            trial.set_constraint(entry.quantity, entry.relative_violation(costs[entry.quantity]))
        if total_violation(of_costs, costs):
            study.tell(trial, state=TrialState.PRUNED)
            logger.info("%s is over a cost limit", config.key)
            return
        candidate = scored(config)
        for entry in of_score:
            trial.set_constraint(
                entry.quantity, entry.relative_violation(candidate.judged[entry.quantity])
            )
        study.tell(trial, [candidate.known_value(name) for name in options.objectives])
    except BaseException:
        study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
        raise


def _profiles(
    table: CostTable, networks: Mapping[SubnetConfig, Network], options: SearchOptions
) -> dict[SubnetConfig, Profile]:
    used = {*options.objectives, *(entry.quantity for entry in options.constraints)} - {"score"}
    found = {}
    for config, network in networks.items():
        if network.id not in table:
            raise InputError(
                f"The cost table lacks the sub-network {config.key}: profile the whole space."
            )
        found[config] = table[network.id]
        for name in used:
            if name not in found[config].values:
                raise InputError(
                    f"The cost table has no {QUANTITIES[name].word} of {config.key}: measure it "
                    "first, or search by num_params and num_flops."
                )
    return found


def _asked(space: Space, options: SearchOptions) -> dict[str, Any]:
    """What decides the trials of a study; more trials of the same kind may be asked for later."""
    record = {**space.shape.to_dict(), **space.to_dict(), **options.to_dict()}
    del record["num_trials"]
    return record
