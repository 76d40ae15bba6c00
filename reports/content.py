"""What a report shows, gathered before anything is drawn (no torch)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

from ..deploy.deployment import Deployment
from ..profiling.environment import Environment
from ..profiling.protocol import LatencyProtocol
from ..profiling.statistics import NoiseReport
from ..profiling.table import LatencySummary
from ..search.candidate import Candidate
from ..search.front import Hypervolume, ParetoFront
from ..search.selection import MIN_EXAMPLES, SelectionReport, corrected_front
from ..tasks.scores import Evaluation
from . import shared
from .figures.drawing import Picture
from .headlines import main_cost


@dataclass(frozen=True, slots=True)
class TimedAgain:
    """A second timing, by which a query judges its answer before it gives it.

    Attributes:
        enough: Whether it was measured as long as the protocol asks for.
        spent: Whether it was measured to the end to decide something.
        latencies: By the candidate's key.
    """

    enough: bool
    spent: bool
    latencies: Mapping[str, LatencySummary]


@dataclass(frozen=True, slots=True)
class Measured:
    """Networks that one deployment runs, measured together.

    Attributes:
        deployment: Runtime and precision.
        protocol: How latencies were measured; None when none were.
        environment: Where; None when none were.
        candidates: Scored networks with this session's costs.
        noise: What the noise guards did; None where nothing was timed.
        warnings: What forbids to take these latencies at their word.
        again: Second timings beside this deployment's full model, the latest first.
    """

    deployment: Deployment
    protocol: LatencyProtocol | None
    environment: Environment | None
    candidates: tuple[Candidate, ...]
    noise: NoiseReport | None = None
    warnings: tuple[str, ...] = ()
    again: tuple[TimedAgain, ...] = ()


@dataclass(frozen=True, slots=True)
class Setting:
    """Deployments whose latencies compare: one machine, one batch, one number of threads.

    Attributes:
        title: What distinguishes it from the others, for a reader.
        options: The options of a query that mean it, where it is not the run's own.
        measured: One for each deployment; the first one's full model is what speed-ups are
            against where several are looked at together.
    """

    title: str
    options: tuple[str, ...]
    measured: tuple[Measured, ...]


@dataclass(frozen=True, slots=True)
class ReportContent:
    """Everything that a report shows.

    Attributes:
        title: The heading.
        model: The full model's name.
        candidates: Networks scored on the search split, in the order of the
            table.
        reported: Scores on the report split by key. When every network has one, figures and
            headlines show the report split, else the search split.
        further: Scores on further report splits by the split's name and key, such as MNLI's
            mismatched half.
        published: Published candidates of the same task and metric; drawn beside the report split
            only, because they are scores of those examples.
        num_examples: The splits' sizes by name.
        seq_len: Tokens of the example that FLOPs are counted for.
        protocol: How latencies were measured; None when none were.
        environment: Where they were measured; None when none were.
        hypervolumes: Of the fronts on the search split, by a name such as "score and latency".
        provenance: Whatever tells how to make this again: command, seeds, versions.
        settings: What was measured, by machine and protocol, the run's own first.
        run: The run folder, as commands name it.
        numbers: The networks' numbers by their ids, the same in the terminal.
        class_names: The task's classes in their order; empty where there are none.
        measurements: Further figures, of what was measured.
        warnings: What forbids to take the latencies at their word, in sentences.
    """

    title: str
    model: str
    candidates: tuple[Candidate, ...]
    reported: Mapping[str, Evaluation]
    further: Mapping[str, Mapping[str, Evaluation]]
    published: tuple[Candidate, ...]
    num_examples: Mapping[str, int]
    seq_len: int
    protocol: LatencyProtocol | None
    environment: Environment | None
    hypervolumes: Mapping[str, Hypervolume]
    provenance: Mapping[str, str]
    settings: tuple[Setting, ...]
    run: str
    numbers: Mapping[str, int]
    class_names: tuple[str, ...] = ()
    measurements: tuple[Picture, ...] = ()
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check that there is something to show and that it is of one task, split and metric."""
        if not shared.networks(self.candidates):
            raise ValueError("a report needs at least one network")
        kinds = {
            (candidate.evaluation.task, candidate.evaluation.split, candidate.evaluation.metric)
            for candidate in self.candidates
        }
        if len(kinds) > 1:
            raise ValueError(f"candidates of different evaluations: {sorted(kinds)}")
        if len({candidate.key for candidate in self.candidates}) < len(self.candidates):
            raise ValueError("two candidates have the same key")

    @property
    def is_reported(self) -> bool:
        """Whether every candidate has a score on the report split."""
        return all(candidate.key in self.reported for candidate in self.candidates)

    @property
    def shown(self) -> tuple[Candidate, ...]:
        """The candidates with the score that figures and headlines show."""
        if not self.is_reported:
            return self.candidates
        return tuple(replace(c, evaluation=self.reported[c.key]) for c in self.candidates)

    @property
    def selection(self) -> SelectionReport | None:
        """The corrected scores of the front that headlines show.

        None where the search split has too few examples to be divided.
        """
        networks = shared.networks(self.candidates)
        if cast(Evaluation, networks[0].evaluation).n < MIN_EXAMPLES:
            return None
        cost = main_cost(networks)
        unmeasured = [entry for entry in networks if entry.value(cost) is None]
        rivals = [*shared.rivals(networks, cost), *unmeasured]
        return corrected_front(ParetoFront.of(rivals, ("score", cost)))

    @property
    def networks(self) -> list[Candidate]:
        """Those of `shown` that were run here."""
        return shared.networks(self.shown)
