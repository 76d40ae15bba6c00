"""What an answer is told apart by: a second timing, beside its rivals, in fresh processes.

The fastest of many timings is a lucky one. So whatever a search returns or a query answers is
timed again, and every network whose number stands beside it is timed with it, in one session:
numbers of two sessions are never set side by side. The sessions are kept, and a session belongs to
the machine that it was measured on: the same answer is given at once the next time, on the same
machine.
"""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from ..profiling.protocol import LatencyProtocol
from ..profiling.table import LatencySummary
from ..search.candidate import Candidate
from ..search.delivery import Timing
from .context import Context
from .observations import SessionRecord, Subject
from .sessions import conditions_here, measure_session

if TYPE_CHECKING:
    from ..profiling.measuring import MeasuringProgress

logger = logging.getLogger(__name__)

Decided = Callable[[Mapping[str, LatencySummary]], bool]


def time_again(
    context: Context,
    candidates: Sequence[Candidate],
    protocol: LatencyProtocol,
    *,
    decided: Decided = lambda latencies: True,
    progress: "Callable[[MeasuringProgress], None] | None" = None,
) -> Timing:
    """Time networks again beside the full model: the latest session that decides, or a new one.

    Args:
        context: The run.
        candidates: What to time, each as it is deployed.
        protocol: How to measure.
        decided: Whether latencies, by the candidates' keys, decide what they are for.
        progress: Is told after every visit how far measuring has come.

    Raises:
        InputError: When the device, the runtime or a package is absent.
    """
    subjects = {entry.key: Subject(entry.network.id, entry.deployment) for entry in candidates}

    def by_key(latencies: Mapping[Subject, LatencySummary]) -> dict[str, LatencySummary]:
        return {key: latencies[subject] for key, subject in subjects.items()}

    conditions_id = conditions_here(protocol).id
    for record in context.ledger.sessions(purpose="delivery", conditions_id=conditions_id):
        if serves(record, subjects.values(), protocol) and (
            record.spent or decided(by_key(record.latencies))
        ):
            return Timing(by_key(record.latencies), record.disturbances)

    record = measure_session(
        context,
        [(entry.network, entry.deployment) for entry in candidates],
        protocol,
        purpose="delivery",
        anew=True,
        weigh=False,
        undecided=lambda latencies: not decided(by_key(latencies)),
        progress=progress,
    )
    return Timing(by_key(record.latencies), record.disturbances)


def serves(
    record: SessionRecord, subjects: Collection[Subject], protocol: LatencyProtocol
) -> bool:
    """Whether a session has all of some networks, measured as long as a protocol asks for."""
    return record.suffices(protocol.time_budget_s) and set(subjects) <= set(record.latencies)
