"""A run: one checkpoint, one task, and the steps from training to an exported network.

Each step looks at what the run folder holds, does what is missing and keeps it there. `Run` is
their common face; what a step does is said in `pipeline/steps`, one file each. Heavy libraries are
imported by the steps that need them.
"""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypedDict, Unpack, cast

from ..dynabert.options import Settings, TrainingOptions
from ..encoders.checkpoints import find_checkpoint
from ..errors import InputError
from ..profiling.protocol import LatencyProtocol
from ..profiling.table import CostTable
from ..search.budget_words import BudgetWord
from ..search.candidate import Candidate
from ..search.explanation import Explanation
from ..search.front import ParetoFront
from ..search.options import SearchOptions
from ..search.quantities import QUANTITIES, quantity_worded
from ..search.result import QueryResult
from ..storage import refuse_destination
from ..tasks.comparison import PairedComparison
from ..tasks.loading import TaskRequest
from ..tasks.task import Task
from ..training.method import MethodOptions
from ..training.pace import StudentPace
from .context import Context
from .costs import Where, candidates, chosen, competing, numbers, table
from .folder import RunFolder, claim
from .following import followed
from .losses import deployment_loss
from .prepare import Prepared, prepare
from .request import RunRequest
from .warnings import table_warnings

if TYPE_CHECKING:
    import pandas as pd

    from ..profiling.measuring import MeasuringProgress
    from ..profiling.predictor import PredictedLatency, Predictor
    from ..profiling.selftest import SelfTest
    from ..reports.figures.front import FrontFigure
    from ..search.halving import Halving
    from ..training.loop import TrainingProgress
    from .observations import SessionRecord
    from .steps.add import Added
    from .steps.compare import Comparison
    from .steps.export import Exported
    from .steps.finish import FinishedMember
    from .steps.plan import TrainingPlan
    from .steps.search import SearchResult
    from .steps.show import Shown

Counting = Callable[[int, int], None]
"""Is called with the number of what is done and of all."""


class Limits(TypedDict, total=False):
    """What a query limits, as the command line writes it or, where no unit is lost, as numbers."""

    latency: str | float
    p99: str | float
    throughput: str | float
    speedup: str | float
    memory: str | float
    disk: str | float
    params: str | float
    flops: str | float
    energy: str | float
    score: str | float
    max_loss: str | float


class NothingFits(Exception):
    """No network meets the budget; the message says which is nearest and what it misses."""


class Run:
    """A run folder with what was asked of it.

    Attributes:
        context: What the steps share: folder, request, ledger, workshop.
    """

    def __init__(self, context: Context) -> None:
        """Use `Run.create` or `Run.open`."""
        self.context = context

    def __repr__(self) -> str:
        """The run on one line."""
        request = self.request
        state = "trained" if self.trained else "not trained yet"
        return f"<Run {self.folder.root}: {request.model} on {request.task.name}, {state}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: the run, and its front once there is one."""
        line = f"<p>{escape(repr(self))}</p>"
        try:
            return line + self.front()._repr_html_()
        except InputError:
            return line

    @classmethod
    def create(
        cls,
        folder: Path | str,
        *,
        model: str | Path,
        task: str | TaskRequest,
        training: TrainingOptions | Mapping[str, Any] | None = None,
        settings: Settings = "auto",
        protocol: LatencyProtocol | None = None,
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
            protocol: How latencies are measured; None for the defaults.
            search: How sub-networks are searched; None for the defaults.
            storage: The URL of a database for the ledger and the studies of searches; None for
                files in the run folder.
            unlabelled: Files of texts without labels that distillation and closed-form repair
                learn from beside the training texts.

        Raises:
            InputError: When the model, the task or a file is refused, or the folder holds another
                run.
        """
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
        protocol: LatencyProtocol | None = None,
        unlabelled: Sequence[str | Path] = (),
    ) -> "TrainingPlan":
        """What the training of such a run would be, and take here; arguments as for `create`.

        A few steps of each stage are trained in a temporary folder; nothing stays.
        """
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
        from .steps.plan import plan_training

        request = self.request
        checkpoint = find_checkpoint(request.model)
        return plan_training(Prepared(request, checkpoint, self.task, self.context.unlabelled))

    @classmethod
    def open(cls, folder: Path | str) -> Self:
        """Open a run that was started before.

        Raises:
            InputError: When the folder is no run folder or its manifest is damaged.
        """
        return cls(Context.open(RunFolder(Path(folder))))

    @property
    def folder(self) -> RunFolder:
        """The paths inside the run folder."""
        return self.context.folder

    @property
    def request(self) -> RunRequest:
        """What was asked."""
        return self.context.request

    @property
    def task(self) -> Task:
        """The task, loaded again.

        Raises:
            InputError: When its data is not what the run was started with.
        """
        return self.context.task

    @property
    def trained(self) -> bool:
        """Whether the supernet is there."""
        return self.context.trained

    @property
    def fine_tuning_rate(self) -> float:
        """The learning rate that the full model was fine-tuned with."""
        return self.context.fine_tuning_rate

    def train(
        self,
        *,
        progress: "Callable[[TrainingProgress], None] | None" = None,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        """Train the supernet, or go on where training was interrupted: `steps.train`."""
        from .steps.train import train

        with followed() as line:
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

        with followed() as line:
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

        with followed() as line:
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

        with followed() as line:
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

        with followed() as line:
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

        return halve(
            self.context,
            self.request.search,
            paces,
            eta=eta,
            progress=progress,
            training=training,
        )

    def table(self, where: Where | None = None) -> CostTable:
        """The cost table that counts; `where` None for the run's own.

        Raises:
            InputError: When nothing was measured so.
        """
        return table(self.context, where)

    def candidates(self, where: Where | None = None) -> list[Candidate]:
        """All scored networks as deployed, with their costs; `where` as for `table`.

        Raises:
            InputError: When the run is not searched yet.
        """
        return list(candidates(self.context, chosen(self.context, where or Where())))

    @property
    def numbers(self) -> dict[str, int]:
        """Each network's number by its id, the same in the terminal, the figures and the page."""
        return numbers(self.context)

    def front(
        self, where: Where | None = None, *, by: str | Sequence[str] | None = None
    ) -> ParetoFront:
        """The Pareto front of the scored networks; see `costs.competing` on finished ones.

        Args:
            where: As for `table`.
            by: The cost, or costs, that scores are traded against, as the command line calls
                them, such as "latency" or "memory"; None for the run's own objectives.
        """
        objectives = self.request.search.objectives
        if by is not None:
            words = [by] if isinstance(by, str) else by
            objectives = ("score", *(quantity_worded(word).name for word in words))
        return ParetoFront.of(self._competing(where), objectives)

    def to_frame(self, where: Where | None = None) -> "pd.DataFrame":
        """The networks of `front` and those it dominates, one row each, with costs and scores."""
        from ..reports.tables import results_frame
        from .scores import known_reports

        scored = self._competing(where)
        reported = known_reports(self.context, scored)
        further = {split: found for split, found in reported.items() if split != "report"}
        return results_frame(scored, reported["report"], further, numbers=self.numbers)

    def plot(self, cost: str = "latency", where: Where | None = None) -> "FrontFigure":
        """Scores on the search split against a cost, with the front; a notebook shows it.

        Args:
            cost: As the command line calls it, such as "memory", or its name, "latency_ms".
            where: As for `table`.

        Raises:
            InputError: When there is no such cost, or no network has it.
        """
        from ..reports.figures.front import front_figure
        from ..reports.shared import latency_conditions, several

        scored = self._competing(where)
        costs = self.table(where)
        quantity = QUANTITIES[cost] if cost in QUANTITIES else quantity_worded(cost)
        record = front_figure(
            scored,
            quantity.name,
            judged=scored,
            numbers=self.numbers,
            conditions=latency_conditions(
                costs.protocol, costs.environment, several=several(scored)
            ),
        )
        if record is None:
            raise InputError(f"No network has a known {cost}: measure it first.")
        return record

    def deployment_loss(self, costs: CostTable) -> PairedComparison | None:
        """What a table's deployment costs in score: `losses.deployment_loss`."""
        return deployment_loss(self.context, costs.protocol.deployment)

    def warnings(self, costs: CostTable) -> tuple[str, ...]:
        """What forbids to take a table's latencies at their word, and what to do about it."""
        return table_warnings(self.context, costs)

    def report(self, *, progress: Counting | None = None) -> Path:
        """Write the page with its figures and tables: `steps.report`."""
        from .steps.report import report

        costs = self.table()
        warnings = self.warnings(costs)
        with followed() as line:
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

        with followed() as line:
            return query(
                self.context,
                cast(Mapping[BudgetWord, str | float], limits),
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

        with followed() as line:
            return compare_networks(
                self.context,
                a,
                b,
                where=where or Where(),
                split=split,
                progress=progress or line.latency,
            )

    def show(self, network: str) -> "Shown":
        """Everything that is known of one network: `steps.show`."""
        from .steps.show import show_network

        return show_network(self.context, network)

    def export(
        self,
        *,
        to: Path | str,
        network: str | None = None,
        cheapest: str | None = None,
        where: Where | None = None,
        **limits: Unpack[Limits],
    ) -> "Exported":
        """Export a network as it was measured, chosen by name or by a budget: `steps.export`.

        Args:
            to: The destination: a new or empty folder.
            network: Its id, label, key, or "full"; excludes a budget.
            cheapest: See `query`.
            where: Which deployment; runtime and precision may be "any" with a budget.
            limits: See `query`.

        Raises:
            NothingFits: When no network meets the budget.
            InputError: When the network is unknown or `to` is occupied.
            ExportError: When the files do not compute what was measured.
        """
        from .steps.export import export

        place = where or Where()
        if (network is None) == (not limits and cheapest is None):
            raise InputError("Give either the name of a network or a budget.")
        if network is None:
            result = self.query(cheapest=cheapest, where=place, **limits)
            if result.answer is None:
                raise NothingFits(" ".join(result.sentences()))
            network = result.answer.network.id
            place = place.on(result.answer.deployment)
        return export(self.context, network, where=place, to=Path(to))

    def _competing(self, where: Where | None) -> list[Candidate]:
        return list(competing(self.context, chosen(self.context, where or Where())))

    def import_measurements(self, path: Path | str) -> "tuple[SessionRecord, ...]":
        """Add what another machine measured: `steps.carry`."""
        from .steps.carry import import_measurements

        return import_measurements(self.context, Path(path))
