"""Searching the space of a run: networks scored on the search split, finalists measured.

An engine proposes; what it proposes is scored once and kept. Costs are known beforehand
(`search.cost_model`): a latency that was not measured is predicted, with a margin where it is held
against a limit. What the search ends with, the front and what is near it, is measured in one
session, and only measured latencies are shown, queried and drawn.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ...deploy.deployment import Deployment
from ...dynabert.losses import read_losses
from ...errors import InputError
from ...networks.network import Network
from ...networks.subnet import SubnetConfig
from ...profiling.protocol import LatencyProtocol
from ...profiling.table import CostTable
from ...search.candidate import Candidate
from ...search.constraints import total_violation
from ...search.front import ParetoFront
from ...search.options import SearchOptions
from ...search.pool import Pool
from ..context import Context
from ..costs import Where, candidates, chosen, cost_table, is_here, measured
from ..delivery import time_again
from ..observations import SessionRecord, Subject
from ..scores import score_missing, search_value
from ..workers import helped
from .predictor import known_predictor
from .profile import measure_added

if TYPE_CHECKING:
    from ...profiling.measuring import MeasuringProgress
    from ...search.problem import Observation, Problem

logger = logging.getLogger(__name__)

TIMED_TOGETHER = 16
"""Networks that a search times again in one session, the front first."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found.

    Attributes:
        candidates: The networks that it scored, in order; those that are not measured have counts
            only.
        skipped: The landmarks of the space that are over a limit on costs and were not scored.
        front: The front of the candidates that keep every limit, as far as they are measured.
    """

    candidates: tuple[Candidate, ...]
    skipped: tuple[SubnetConfig, ...]
    front: ParetoFront

    def __repr__(self) -> str:
        """The result on one line."""
        return (
            f"<SearchResult {len(self.candidates)} scored, {len(self.skipped)} skipped, "
            f"{len(self.front.members)} on the front>"
        )


def search(
    context: Context,
    options: SearchOptions,
    *,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    timing: "Callable[[MeasuringProgress], None] | None" = None,
) -> SearchResult:
    """Score networks on the search split; what was scored before is not scored again.

    Searches with different options are different studies in the same storage. Any number of calls
    may score for the same one, on this machine and others that reach the storage. The front, and
    what is next to it, is measured in fresh processes, and a second time.

    Args:
        context: The run.
        options: What to search.
        workers: Processes that score, this one among them.
        progress: Is called with the number of scored networks and of all.
        timing: Is called after every visit to a network that is measured.

    Raises:
        InputError: When the run is not trained and profiled yet, or its study is damaged.
    """
    scoring = Scoring(context, options)
    problem, costs, record = scoring.problem, scoring.costs, scoring.record
    deployment, network_of = scoring.deployment, scoring.network_of
    with context.timed("search"):
        with helped(context, options, workers=workers):
            observed = scoring.run(progress=progress)
        networks = [network_of(seen.config) for seen in observed]
        beside = list(context.stored().values())
        score_missing(context, beside, split="search", deployment=deployment)
        for other in measured(context):
            there = {subject.network for subject in other.latencies}
            score_missing(
                context,
                [*(network for network in networks if network.id in there), *beside],
                split="search",
                deployment=other.conditions.protocol.deployment,
            )
        finalists = [network_of(seen.config) for seen in problem.finalists(observed)]
        missing = [network for network in finalists if network.id not in costs]
        if missing and is_here(record.conditions):
            measure_added(context, missing, costs.protocol, progress=timing)
        elif missing:
            logger.warning(
                "%d networks of the front are not measured: the run was profiled on another "
                "machine, search it there",
                len(missing),
            )
        pool = candidates(context, [record])
        result = _result(pool, networks, problem, deployment)
        _time_again(context, result.front, pool, costs.protocol, timing)
    return result


class Scoring:
    """The part of a search that its workers share: an engine proposes, networks are scored.

    Attributes:
        problem: What is searched.
        record: The session whose costs are known.
        costs: What it measured.
        deployment: As which networks are scored.
    """

    def __init__(self, context: Context, options: SearchOptions) -> None:
        """Find out what is searched.

        Raises:
            InputError: When the run is not trained and profiled yet.
        """
        context.require_supernet()
        self.record = chosen(context, Where())[0]
        self.costs = cost_table(context, self.record)
        self.deployment = self.costs.protocol.deployment
        self.problem = problem_of(context, options, self.costs, self.record)
        self._context, self._options = context, options
        self._landmarks = context.subnets()

    def network_of(self, config: SubnetConfig) -> Network:
        """A network of the space, a landmark by its own label."""
        return self._landmarks.get(config) or self._context.cut(config)

    def run(
        self,
        *,
        progress: Callable[[int, int], None] | None = None,
        goes_on: Callable[[], bool] = lambda: True,
    ) -> "tuple[Observation, ...]":
        """Score until so many networks are scored as were asked for, by whomever.

        Args:
            progress: Is called with the number of scored networks and of all.
            goes_on: Whether to begin another network.

        Raises:
            InputError: When the study is damaged or cannot be reached.
        """
        from ...search.engines.registry import engine_named
        from ...search.study import run_study

        context, options = self._context, self._options
        is_grid = options.engine == "grid"
        return run_study(
            engine_named(options.engine, self.problem),
            num_trials=len(self.problem.landmarks) if is_grid else options.trials,
            evaluate=self._evaluate,
            storage=context.request.storage or context.folder.study,
            name=study_name(context, options),
            asked=_asked(context, options),
            on_progress=progress,
            goes_on=goes_on,
        )

    def _evaluate(self, config: SubnetConfig) -> float:
        return search_value(self._context, self.network_of(config), deployment=self.deployment)


def study_name(context: Context, options: SearchOptions) -> str:
    """A name for what decides the trials of a study, whose number may grow; unique among runs."""
    record = options.to_dict()
    del record["trials"]
    digest = hashlib.sha256(json.dumps(record).encode()).hexdigest()[:12]
    return f"{context.manifest['run']} {digest}"


def problem_of(
    context: Context, options: SearchOptions, costs: CostTable, record: SessionRecord
) -> "Problem":
    """What a search is about; of measured costs only the landmarks', so that it stays the same.

    Args:
        context: The run.
        options: Objectives, limits and the seed.
        costs: What is measured.
        record: The session behind it, whose conditions name the latency predictor.
    """
    from ...search.cost_model import CostModel
    from ...search.problem import Problem

    limited = (entry.quantity for entry in options.constraints)
    model = CostModel(
        context.shape,
        {*options.objectives, *limited} - {"score"},
        seq_len=costs.protocol.seq_len,
        measured=[entry for entry in costs if entry.network.config in context.space.landmarks],
        predictor=known_predictor(context, record.conditions.id),
    )
    return Problem(
        context.space,
        model.of,
        objectives=options.objectives,
        constraints=options.constraints,
        seed=options.seed,
        losses=read_losses(context.folder.supernet),
    )


def _asked(context: Context, options: SearchOptions) -> dict[str, Any]:
    """What decides the trials of a study; more of the same kind may be asked for later."""
    record = {**context.shape.to_dict(), **context.space.to_dict(), **options.to_dict()}
    del record["trials"]
    return record


def _result(
    pool: Pool, networks: Sequence[Network], problem: "Problem", deployment: Deployment
) -> SearchResult:
    """What was scored, and the front of what is measured and keeps every limit."""
    places = {key: place for place, key in enumerate(pool.keys)}
    found = [pool[places[Subject(network.id, deployment).key]] for network in networks]
    limited = {entry.quantity for entry in problem.constraints}
    apart = [entry for entry in found if not limited <= entry.judged.keys()]
    kept = [
        entry
        for entry in found
        if limited <= entry.judged.keys()
        and not total_violation(problem.constraints, entry.judged)
    ]
    front = ParetoFront.of(kept, problem.objectives)
    return SearchResult(
        candidates=tuple(found),
        skipped=tuple(c for c in problem.space.landmarks if not problem.affordable(c)),
        front=replace(front, unmeasured=(*front.unmeasured, *apart)),
    )


def _time_again(
    context: Context,
    front: ParetoFront,
    pool: Pool,
    protocol: LatencyProtocol,
    timing: "Callable[[MeasuringProgress], None] | None",
) -> None:
    """Measure the front a second time, with what scores next to it."""
    known = {entry.key: entry for entry in pool if entry.latency is not None}
    others = sorted(known.values(), key=lambda entry: -entry.evaluation.value)
    members = [entry for entry in front.members if entry.key in known]
    wanted = {entry.key: entry for entry in (*members, *others)}
    together = list(wanted.values())[: max(len(members), TIMED_TOGETHER)]
    try:
        time_again(context, together, protocol, progress=timing)
    except InputError as error:
        logger.warning("The front was not measured again: %s", error)
