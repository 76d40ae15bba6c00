"""The steps of a run, each with its progress and its closing line."""

from ..pipeline.run import Run
from ..profiling.protocol import LatencyProtocol
from ..profiling.table import LookupTable
from ..search.options import SearchOptions
from .display import meter, say, show
from .tables import cost_table, front_table


def train(run: Run) -> None:
    """Train the supernet, or say that it is trained."""
    if run.trained:
        say(f"train: {run.folder.supernet} is trained already")
        return
    with meter() as progress:
        run.train(progress=progress.training)
    say(f"train: the supernet lies in {run.folder.supernet}")


def profile(run: Run, protocol: LatencyProtocol | None = None) -> LookupTable:
    """Measure the costs, or say that they are measured."""
    known = run.profiled(protocol)
    with meter() as progress:
        table = run.profile(protocol, progress=progress.latency)
    if known:
        say(f"profile: {table.protocol.title} is measured already")
    return table


def search(run: Run, options: SearchOptions | None = None) -> None:
    """Search the front."""
    with meter() as progress:
        run.search(options, progress=progress.evaluation)


def report(run: Run) -> None:
    """Write the report and say where it lies."""
    path = run.report()
    say(f"report: {path}")


def show_costs(table: LookupTable) -> None:
    """Print a cost table."""
    show(cost_table(table))


def show_front(run: Run) -> None:
    """Print the Pareto front."""
    show(front_table(run.front()))
