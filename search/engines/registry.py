"""The engines by name; each is loaded when it is asked for."""

from importlib import import_module

from ..options import EngineName
from ..problem import Problem
from .engine import Engine

_CLASSES: dict[EngineName, str] = {
    "grid": "Grid",
    "random": "Random",
    "nsga2": "NSGA2",
    "nsga3": "NSGA3",
    "tpe": "TPE",
    "gp": "GP",
    "model": "Model",
    "exact": "Exact",
    "ose": "OSE",
}


def engine_named(name: EngineName, problem: Problem) -> Engine:
    """An engine for a problem.

    Raises:
        InputError: When the engine cannot work on the problem's space.
    """
    module = import_module(f".{name}", __package__)
    engine: Engine = getattr(module, _CLASSES[name])(problem)
    return engine
