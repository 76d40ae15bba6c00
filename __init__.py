"""From a BERT checkpoint to its best sub-network under a budget.

    run = paretobert.Run.create("runs/docs", model="minilm", task="stdlib-docs")
    run.train()
    run.profile()
    run.search()
    run.report()
    answer = run.query(latency="5ms", params="15M")

Nothing heavy is loaded before it is used: a name below imports its module when it is touched.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from .dynabert.options import TrainingOptions as TrainingOptions
    from .dynabert.supernet import Supernet as Supernet
    from .encoders.extraction import extract as extract
    from .errors import InputError as InputError
    from .networks.shape import EncoderShape as EncoderShape
    from .networks.subnet import SubnetConfig as SubnetConfig
    from .pipeline.run import Run as Run
    from .profiling.protocol import LatencyProtocol as LatencyProtocol
    from .profiling.table import CostTable as CostTable
    from .search.candidate import Candidate as Candidate
    from .search.front import ParetoFront as ParetoFront
    from .tasks.loading import TaskRequest as TaskRequest
    from .tasks.loading import load_task as load_task
    from .tasks.scores import Evaluation as Evaluation

_HOMES = {
    "Candidate": "search.candidate",
    "CostTable": "profiling.table",
    "EncoderShape": "networks.shape",
    "Evaluation": "tasks.scores",
    "InputError": "errors",
    "LatencyProtocol": "profiling.protocol",
    "ParetoFront": "search.front",
    "Run": "pipeline.run",
    "SubnetConfig": "networks.subnet",
    "Supernet": "dynabert.supernet",
    "TaskRequest": "tasks.loading",
    "TrainingOptions": "dynabert.options",
    "extract": "encoders.extraction",
    "load_task": "tasks.loading",
}

__all__ = sorted([*_HOMES, "__version__"])


def __getattr__(name: str) -> Any:
    """Import a public name's module when the name is first used (PEP 562)."""
    if name == "__version__":
        from importlib.metadata import version

        return version("paretobert")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return __all__
