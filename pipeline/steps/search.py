"""Searching the space of a run: networks scored on the search split, the front timed again."""

import hashlib
import json
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from ...errors import InputError
from ...networks.network import Network
from ...search.options import SearchOptions
from ...tasks.metrics import Evaluation
from ..context import Context
from ..costs import Where, candidates, chosen, cost_table, measured
from ..delivery import time_again
from ..scores import score_missing

if TYPE_CHECKING:
    from ...profiling.measuring import MeasuringProgress
    from ...search.study import StudyResult

logger = logging.getLogger(__name__)

TIMED_TOGETHER = 16
"""Networks that a search times again in one session, the front first."""


def search(
    context: Context,
    options: SearchOptions,
    *,
    progress: Callable[[int, int], None] | None = None,
    timing: "Callable[[MeasuringProgress], None] | None" = None,
) -> "StudyResult":
    """Score networks on the search split; what was scored before is not scored again.

    Searches with different options are different studies in the same journal. The front, and what
    scores next to it, is measured again in fresh processes.

    Args:
        context: The run.
        options: What to search.
        progress: Is called with the number of finished trials and of all.
        timing: Is called after every visit to a network that is measured again.

    Raises:
        InputError: When the run is not trained and profiled yet, or its study is damaged.
    """
    context.require_supernet()
    record = chosen(context, Where())[0]
    costs = cost_table(context, record)
    from ...search.study import run_study

    deployment = costs.protocol.deployment

    def evaluate(network: Network) -> Evaluation:
        scored = score_missing(context, [network], split="search", deployment=deployment)
        return scored[network.id]

    with context.timed("search"):
        result = run_study(
            context.space,
            context.subnets(),
            costs,
            options=options,
            evaluate=evaluate,
            storage=context.folder.study,
            name=study_name(options),
            on_progress=progress,
        )
        beside = list(context.beside().values())
        score_missing(context, beside, split="search", deployment=deployment)
        for other in measured(context):
            score_missing(
                context,
                [*(entry.network for entry in result.candidates), *beside],
                split="search",
                deployment=other.conditions.protocol.deployment,
            )
        front = [member.key for member in result.front.members]
        pool = {entry.key: entry for entry in candidates(context, [record])}
        others = sorted(pool.values(), key=lambda entry: -entry.evaluation.value)
        wanted = dict.fromkeys([*front, *(entry.key for entry in others)])
        together = list(wanted)[: max(len(front), TIMED_TOGETHER)]
        try:
            time_again(context, [pool[key] for key in together], costs.protocol, progress=timing)
        except InputError as error:
            logger.warning("The front was not measured again: %s", error)
    return result


def study_name(options: SearchOptions) -> str:
    """A name for what decides a study's trials; their number may grow."""
    record = options.to_dict()
    del record["num_trials"]
    return hashlib.sha256(json.dumps(record).encode()).hexdigest()[:12]
