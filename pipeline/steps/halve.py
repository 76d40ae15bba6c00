"""Training on what a search found, a little at first and only the best of it to the end.

The networks that a search scored with inherited weights are the first rung of successive halving
(`search.halving`); each pace of distillation is a further one. What is trained is a network of the
run like any that `finish` trains, kept with its weights, and is scored once.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from ...baselines.finished import FINISHED, FinishedOptions
from ...deploy.deployment import Deployment
from ...networks.subnet import SubnetConfig
from ...search.options import SearchOptions
from ...training.pace import StudentPace
from ..context import Context
from ..costs import Where, chosen, cost_table
from ..scores import search_value
from .add import make
from .search import problem_of

if TYPE_CHECKING:
    from ...search.halving import Fidelity, Halving
    from ...training.loop import TrainingProgress


def halve(
    context: Context,
    options: SearchOptions,
    paces: Sequence[StudentPace],
    *,
    eta: int,
    progress: Callable[[str, int, int], None] | None = None,
    training: "Callable[[TrainingProgress], None] | None" = None,
) -> "Halving":
    """Distil the best of what is scored, fewer and longer from pace to pace.

    Args:
        context: The run.
        options: Its objectives and limits say what is best.
        paces: How each rung after the first learns, the shortest first.
        eta: Of so many networks one is let through.
        progress: Is called with a fidelity's name, the number of networks that it has scored and
            of all that it is to score.
        training: Is called after every training step.

    Raises:
        InputError: When the run is not trained, profiled and searched yet.
    """
    from ...search.halving import successive_halving

    context.require_supernet()
    record = chosen(context, Where())[0]
    costs = cost_table(context, record)
    problem = problem_of(context, options, costs, record)
    deployment = costs.protocol.deployment
    cut = [network.config for network in context.searched().values() if network.is_cut]
    configs = [config for config in cut if config is not None and problem.affordable(config)]
    fidelities = [
        inherited(context, deployment),
        *(distilled(context, pace, deployment, training) for pace in paces),
    ]
    with context.timed("halve"):
        return successive_halving(problem, configs, fidelities, eta=eta, on_progress=progress)


def inherited(context: Context, deployment: Deployment) -> "Fidelity":
    """Networks with the weights of the supernet, or repaired where it is not trained."""
    from ...search.halving import Fidelity

    def score(config: SubnetConfig) -> float:
        return search_value(context, context.cut(config), deployment=deployment)

    return Fidelity(start_of(context), score)


def start_of(context: Context) -> str:
    """What the weights are called that the run gives its networks."""
    return "closed form" if context.request.training.recipe == "closed-form" else "inherited"


def length_of(steps: int | None, epochs: float) -> str:
    """What so much distillation is called."""
    return f"{epochs} epochs" if steps is None else f"{steps} steps"


def distilled(
    context: Context,
    pace: StudentPace,
    deployment: Deployment,
    training: "Callable[[TrainingProgress], None] | None" = None,
) -> "Fidelity":
    """Networks that were trained on at a pace, from the weights of the supernet."""
    from ...search.halving import Fidelity

    def score(config: SubnetConfig) -> float:
        options = FinishedOptions(**asdict(pace), network=config.key)
        network = make(context, FINISHED, options, progress=training)
        return search_value(context, network, deployment=deployment)

    return Fidelity(length_of(pace.steps, pace.epochs), score)
