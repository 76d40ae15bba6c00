"""What a run has learnt, as Python reads it: nothing is trained, scored or measured for it."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ..errors import InputError
from ..profiling.table import CostTable
from ..search.candidate import Candidate
from ..search.front import ParetoFront
from ..search.quantities import QUANTITIES, quantity_worded
from ..tasks.comparison import PairedComparison
from ..tasks.task import Task
from .context import Context
from .costs import Where, candidates, chosen, competing, numbers, table
from .folder import RunFolder
from .losses import deployment_loss
from .request import RunRequest
from .warnings import table_warnings

if TYPE_CHECKING:
    import pandas as pd

    from ..reports.figures.front import FrontFigure
    from .steps.show import Shown


class Results:
    """A run folder with what was asked of it and what is known.

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

    def show(self, network: str) -> "Shown":
        """Everything that is known of one network: `steps.show`."""
        from .steps.show import show_network

        return show_network(self.context, network)

    def _competing(self, where: Where | None) -> list[Candidate]:
        return list(competing(self.context, chosen(self.context, where or Where())))
