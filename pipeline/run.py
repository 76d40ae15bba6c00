"""A run: one checkpoint, one task, and the steps from training to an exported network.

Each step looks at what the run folder holds, does what is missing and keeps it there. `Run` is
their common face; what a step does is said in `pipeline/steps`, one file each. Heavy libraries are
imported by the steps that need them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack

from ..dynabert.options import Settings, TrainingOptions
from ..errors import InputError
from ..profiling.protocol import LatencyProtocol
from ..profiling.table import CostTable
from ..search.budget_words import Limits
from ..search.explanation import Explanation
from ..search.options import SearchOptions
from ..search.result import QueryResult
from ..storage import refuse_destination
from ..tasks.loading import TaskRequest
from ..training.method import MethodOptions
from ..training.pace import StudentPace
from .context import Context
from .costs import Where
from .folder import RunFolder, claim
from .following import Line, followed
from .results import Results

if TYPE_CHECKING:
    from ..profiling.measuring import MeasuringProgress
    from ..profiling.predictor import PredictedLatency, Predictor
    from ..profiling.selftest import SelfTest
    from ..search.halving import Halving
    from ..training.loop import TrainingProgress
    from .observations import SessionRecord
    from .steps.add import Added
    from .steps.compare import Comparison
    from .steps.export import Exported
    from .steps.finish import FinishedMember
    from .steps.plan import TrainingPlan
    from .steps.search import SearchResult

Counting = Callable[[int, int], None]
"""Is called with the number of what is done and of all."""


class NothingFits(Exception):
    """No network meets the budget; the message says which is nearest and what it misses."""


class Run(Results):
    """A run folder with what was asked of it, and the steps from training to a network.

    Attributes:
        context: What the steps share: folder, request, ledger, workshop.
    """

    @classmethod
    def create(
        cls,
        folder: Path | str,
        *,
        model: str | Path,
        task: str | TaskRequest,
        training: TrainingOptions | Mapping[str, Any] | None = None,
        settings: Settings = "auto",
        protocol: LatencyProtocol | Mapping[str, Any] | None = None,
        search: SearchOptions | None = None,
        storage: str | None = None,
        unlabelled: Sequence[str | Path] = (),
    ) -> Self:
        """Start a run, or find the same one that was started before.

        The model and the task are checked before anything is written.

        Args:
            folder: The run folder.
            model: `minilm`, a checkpoint folder, or a hub name.
            task: A task's name, or a request with its options.
            training: How the supernet is trained: a record says it all, a mapping of some of the
                record's fields leaves the others to `settings`, and None all of them.
            settings: Who decides what is left: "auto", by the data and the model
                (`dynabert.settings`), or "paper", the published settings.
            protocol: How latencies are measured: a record, or a mapping of some of its fields,
                which leaves the others to the device's defaults; None for all of them.
            search: How sub-networks are searched; None for the defaults.
            storage: The URL of a database for the ledger and the studies of searches; None for
                files in the run folder.
            unlabelled: Files of texts without labels that distillation and closed-form repair
                learn from beside the training texts.

        Raises:
            InputError: When the model, the task or a file is refused, or the folder holds another
                run.
        """
        from .prepare import prepare

        place = RunFolder(refuse_destination(folder))
        prepared = prepare(
            place,
            model=model,
            task=task,
            training=training,
            settings=settings,
            protocol=protocol,
            search=search,
            storage=storage,
            unlabelled=unlabelled,
        )
        claim(place, prepared.request.to_dict(), task=prepared.task.summary())
        context = Context(place, prepared.request)
        context.task = prepared.task
        context.unlabelled = prepared.unlabelled
        return cls(context)

    @classmethod
    def planned(
        cls,
        folder: Path | str,
        *,
        model: str | Path,
        task: str | TaskRequest,
        training: TrainingOptions | Mapping[str, Any] | None = None,
        settings: Settings = "auto",
        protocol: LatencyProtocol | Mapping[str, Any] | None = None,
        unlabelled: Sequence[str | Path] = (),
    ) -> "TrainingPlan":
        """What the training of such a run would be, and take here; arguments as for `create`.

        A few steps of each stage are trained in a temporary folder; nothing stays.
        """
        from .prepare import prepare
        from .steps.plan import plan_training

        return plan_training(
            prepare(
                RunFolder(Path(folder)),
                model=model,
                task=task,
                training=training,
                settings=settings,
                protocol=protocol,
                unlabelled=unlabelled,
            )
        )

    def plan(self) -> "TrainingPlan":
        """What this run's training is, and takes here, whether it was done or not."""
        from ..encoders.checkpoints import find_checkpoint
        from .prepare import Prepared
        from .steps.plan import plan_training

        request = self.request
        checkpoint = find_checkpoint(request.model)
        return plan_training(Prepared(request, checkpoint, self.task, self.context.unlabelled))

    def train(
        self,
        *,
        progress: "Callable[[TrainingProgress], None] | None" = None,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        """Train the supernet, or go on where training was interrupted: `steps.train`."""
        from .steps.train import train

        with self._followed() as line:
            train(self.context, progress=progress or line.training, tell=tell)

    def profiled(self, protocol: LatencyProtocol | None = None) -> bool:
        """Whether costs are measured here, as far as the protocol's time budget allows."""
        from .steps.profile import profiled

        return profiled(self.context, protocol or self.request.protocol) is not None

    def profile(
        self,
        protocol: LatencyProtocol | None = None,
        *,
        anew: bool = False,
        deploying: Counting | None = None,
        progress: "Callable[[MeasuringProgress], None] | None" = None,
        scoring: Counting | None = None,
    ) -> CostTable:
        """Measure what networks cost: `steps.profile`; None measures as the run was asked to."""
        from .steps.profile import profile

        with self._followed() as line:
            return profile(
                self.context,
                protocol or self.request.protocol,
                anew=anew,
                deploying=deploying or line.deploying,
                progress=progress or line.latency,
                scoring=scoring or line.scoring,
            )

    def with_task_lengths(self, protocol: LatencyProtocol) -> LatencyProtocol:
        """The same protocol for sequences as long as the task's own."""
        from .steps.profile import task_lengths

        return task_lengths(self.context, protocol)

    def self_test(
        self,
        protocol: LatencyProtocol | None = None,
        *,
        progress: "Callable[[MeasuringProgress], None] | None" = None,
    ) -> "SelfTest":
        """Measure what is known: `steps.selftest`."""
        from .steps.selftest import self_test_run

        return self_test_run(self.context, protocol or self.request.protocol, progress=progress)

    def build_predictor(
        self,
        protocol: LatencyProtocol | None = None,
        *,
        deploying: Counting | None = None,
        progress: "Callable[[MeasuringProgress], None] | None" = None,
    ) -> "Predictor":
        """Learn to predict any sub-network's latency: `steps.predictor`."""
        from .steps.predictor import build_predictor

        return build_predictor(
            self.context,
            protocol or self.request.protocol,
            deploying=deploying,
            progress=progress,
        )

    def predict_latency(
        self, subnet: str, protocol: LatencyProtocol | None = None
    ) -> "PredictedLatency":
        """Predict the latency of the sub-network of a key: `steps.predictor`."""
        from .steps.predictor import predict

        return predict(self.context, subnet, protocol or self.request.protocol)

    def search(
        self,
        options: SearchOptions | None = None,
        *,
        workers: int = 1,
        progress: Counting | None = None,
        timing: "Callable[[MeasuringProgress], None] | None" = None,
    ) -> "SearchResult":
        """Score networks on the search split, with so many processes: `steps.search`."""
        from .steps.search import search

        with self._followed() as line:
            return search(
                self.context,
                options or self.request.search,
                workers=workers,
                progress=progress or line.scoring,
                timing=timing or line.latency,
            )

    def add(
        self,
        method: str,
        options: MethodOptions,
        *,
        progress: "Callable[[TrainingProgress], None] | None" = None,
        timing: "Callable[[MeasuringProgress], None] | None" = None,
    ) -> "Added":
        """Add a network that a method of `baselines.methods` makes: `steps.add`."""
        from .steps.add import add

        with self._followed() as line:
            return add(
                self.context,
                method,
                options,
                progress=progress or line.training,
                timing=timing or line.latency,
            )

    def finish(
        self,
        pace: StudentPace | None = None,
        *,
        members: int = 3,
        progress: "Callable[[TrainingProgress], None] | None" = None,
        timing: "Callable[[MeasuringProgress], None] | None" = None,
    ) -> "tuple[FinishedMember, ...]":
        """Train members of the front on, each by itself: `steps.finish`; None for the defaults."""
        from .steps.finish import finish

        with self._followed() as line:
            return finish(
                self.context,
                pace or StudentPace(),
                members=members,
                progress=progress or line.training,
                timing=timing or line.latency,
            )

    def halve(
        self,
        paces: Sequence[StudentPace],
        *,
        eta: int = 3,
        progress: Callable[[str, int, int], None] | None = None,
        training: "Callable[[TrainingProgress], None] | None" = None,
    ) -> "Halving":
        """Distil the best of what is scored, fewer and longer from pace to pace: `steps.halve`."""
        from .steps.halve import halve

        with self._followed() as line:
            return halve(
                self.context,
                self.request.search,
                paces,
                eta=eta,
                progress=progress,
                training=training or line.training,
            )

    def report(self, *, progress: Counting | None = None) -> Path:
        """Write the page with its figures and tables: `steps.report`."""
        from .steps.report import report

        costs = self.table()
        warnings = self.warnings(costs)
        with self._followed() as line:
            return report(self.context, warnings=warnings, progress=progress or line.scoring)

    def query(
        self,
        *,
        cheapest: str | None = None,
        where: Where | None = None,
        progress: "Callable[[MeasuringProgress], None] | None" = None,
        **limits: Unpack[Limits],
    ) -> QueryResult:
        """Find the best network under a budget: `steps.query`.

        Args:
            cheapest: What is to be best, as the command line calls it; None for the score.
            where: As for `table`; runtime and precision may be "any".
            progress: Is called after every visit to a network that is measured again.
            limits: At most this latency ("5ms"), at least this throughput (200), and so on.

        Raises:
            InputError: When a limit cannot be read or the run is not searched yet.
        """
        from .steps.query import query

        with self._followed() as line:
            return query(
                self.context,
                limits,
                where=where or Where(),
                cheapest=cheapest,
                progress=progress or line.latency,
            )

    def explain(self, result: QueryResult, *, where: Where | None = None) -> Explanation:
        """Why a query's answer is what it is: `search.explanation`; `where` as it was asked."""
        from .steps.query import explain_query

        return explain_query(self.context, result, where=where or Where())

    def compare(
        self,
        a: str,
        b: str,
        *,
        where: Where | None = None,
        split: str = "report",
        progress: "Callable[[MeasuringProgress], None] | None" = None,
    ) -> "Comparison":
        """Two networks side by side: `steps.compare`."""
        from .steps.compare import compare_networks

        with self._followed() as line:
            return compare_networks(
                self.context,
                a,
                b,
                where=where or Where(),
                split=split,
                progress=progress or line.latency,
            )

    def export(
        self,
        *,
        to: Path | str,
        network: str | None = None,
        cheapest: str | None = None,
        where: Where | None = None,
        progress: "Callable[[MeasuringProgress], None] | None" = None,
        **limits: Unpack[Limits],
    ) -> "Exported":
        """Export a network as it was measured, chosen by name or by a budget: `steps.export`.

        Args:
            to: The destination: a new or empty folder.
            network: Its id, label, key, or "full"; excludes a budget.
            cheapest: See `query`.
            where: Which deployment; runtime and precision may be "any" with a budget.
            progress: See `query`.
            limits: See `query`.

        Raises:
            NothingFits: When no network meets the budget.
            InputError: When the network is unknown or `to` is occupied.
            ExportError: When the files do not compute what was measured.
        """
        from .steps.export import export

        place = where or Where()
        if (network is None) == (not limits and cheapest is None):
            raise InputError(
                "Give either the name of a network (--network) or a budget, such as --params 15M."
            )
        if network is None:
            result = self.query(cheapest=cheapest, where=place, progress=progress, **limits)
            if result.answer is None:
                raise NothingFits(" ".join(result.sentences()))
            network = result.answer.network.id
            place = place.on(result.answer.deployment)
        with self._followed() as line:
            return export(
                self.context,
                network,
                where=place,
                to=Path(to),
                progress=progress or line.latency,
            )

    def import_measurements(self, path: Path | str) -> "tuple[SessionRecord, ...]":
        """Add what another machine measured: `steps.carry`."""
        from .steps.carry import import_measurements

        return import_measurements(self.context, Path(path))

    @contextmanager
    def _followed(self) -> Iterator[Line]:
        """A line while a step runs, on which repairs report too where nobody else shows them."""
        shown = self.context.collecting
        with followed() as line:
            self.context.collecting = shown or line.collecting
            try:
                yield line
            finally:
                self.context.collecting = shown
