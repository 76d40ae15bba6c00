"""Finishing members of a run's front: each trained on by itself and compared with what it was.

The members whose search score is farthest below the full model's have most to gain and come
first. Which these are is judged without finished networks, so that a killed run finishes the same
ones. A finished network that is better in pairs on `search` then takes the place of the one that
it was; see `costs.competing`.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from ...baselines.finished import FINISHED, FinishedOptions, finished_key
from ...errors import InputError
from ...search.candidate import Candidate
from ...search.front import ParetoFront
from ...search.pool import outcomes
from ...tasks.comparison import PairedComparison, compare
from ...training.pace import StudentPace
from ..context import Context
from ..costs import candidates, cost_table, find_candidate, session_here
from ..scores import score_missing
from .add import make
from .profile import measure_added

if TYPE_CHECKING:
    from ...profiling.measuring import MeasuringProgress
    from ...training.loop import TrainingProgress


@dataclass(frozen=True, slots=True)
class FinishedMember:
    """A member of the front, and what became of it.

    Attributes:
        inherited: The network as it is cut from the supernet.
        finished: The same, trained on.
        comparison: Finished minus inherited, on the search split.
    """

    inherited: Candidate
    finished: Candidate
    comparison: PairedComparison

    def sentence(self) -> str:
        """What finishing brought."""
        found = self.comparison
        before, after = self.inherited.evaluation.value, self.finished.evaluation.value
        went = f"{self.inherited.label}, {found.metric} {before:.4f} to {after:.4f} on search"
        if found.better:
            return f"{went}: better by {found.interval.text('.4f')}; it takes the other's place."
        if found.tie:
            difference = found.interval.text("+.4f")
            return f"{went}: a tie: finishing brought nothing. {difference}, {found.verdict}."
        return f"{went}: worse by {found.interval.scaled(-1).text('.4f')}; the other stays."

    def to_dict(self) -> dict[str, Any]:
        """Both networks and the difference as JSON types."""
        return {
            "inherited": self.inherited.summary(),
            "finished": self.finished.summary(),
            "difference": {**self.comparison.to_dict(), "better": self.comparison.better},
        }


def finish(
    context: Context,
    pace: StudentPace,
    *,
    members: int,
    progress: "Callable[[TrainingProgress], None] | None" = None,
    timing: "Callable[[MeasuringProgress], None] | None" = None,
) -> tuple[FinishedMember, ...]:
    """Finish members of the front, one after the other, or go on where that was interrupted.

    Args:
        context: The run.
        pace: How each of them learns.
        members: How many; all that are cut where there are fewer.
        progress: Is called after every training step.
        timing: Is called after every visit to a network that is measured.

    Raises:
        InputError: When the run is not profiled here or not searched yet, or its front has nothing
            to finish.
    """
    if members < 1:
        raise InputError(f"At least one member of the front is finished, not {members}.")
    context.require_supernet()
    record = session_here(context)
    costs = cost_table(context, record)
    deployment = costs.protocol.deployment
    found = to_finish(context, list(candidates(context, [record])), members=members)
    networks = [
        make(
            context,
            FINISHED,
            FinishedOptions(**asdict(pace), network=member.network.id),
            progress=_numbered(place, progress),
        )
        for place, member in enumerate(found, start=1)
    ]
    missing = [network for network in networks if network.id not in costs]
    if missing:
        measure_added(context, missing, costs.protocol, progress=timing)
    score_missing(context, networks, split="search", deployment=deployment)
    pairs = []
    for member, network in zip(found, networks, strict=True):
        finished = find_candidate(context, record, network)
        assert finished is not None
        pairs.append(
            FinishedMember(member, finished, compare(outcomes(finished), outcomes(member)))
        )
    return tuple(pairs)


def to_finish(context: Context, scored: list[Candidate], *, members: int) -> tuple[Candidate, ...]:
    """The members of the front to finish, those farthest below the full model first.

    Args:
        context: The run; its objectives make the front.
        scored: Its scored networks; finished ones are passed over.
        members: How many; of equal scores the cheaper ones.

    Raises:
        InputError: When the front has no sub-network but the full model.
    """
    own = [entry for entry in scored if finished_key(entry.network) is None]
    front = ParetoFront.of(own, context.request.search.objectives)
    found = [entry for entry in front.members if entry.network.is_cut and not entry.is_full]
    if not found:
        raise InputError(
            f"The front of {context.folder.root} has no sub-network but the full model: there is "
            "nothing to finish."
        )
    return tuple(sorted(found, key=lambda entry: entry.evaluation.value)[:members])


def _numbered(
    place: int, progress: "Callable[[TrainingProgress], None] | None"
) -> "Callable[[TrainingProgress], None] | None":
    """The same progress, with the member's place in the stage's name."""
    if progress is None:
        return None
    return lambda state: progress(replace(state, stage=f"finish {place}"))
