"""What figures, tables and sentences share: readers' words, networks' numbers (no torch)."""

from collections.abc import Sequence

from ..deploy.deployment import Deployment
from ..networks.network import Printed, Stored
from ..profiling.environment import Environment
from ..profiling.protocol import LatencyProtocol
from ..search.candidate import Candidate

COSTS = {"latency_ms": "latency", "num_params": "parameters", "num_flops": "FLOPs"}
"""The quantities that scores are set against, the most telling first, as readers know them."""

METRICS = {
    "accuracy": "accuracy",
    "f1": "F1",
    "macro_f1": "macro F1",
    "matthews": "Matthews correlation",
    "pearson": "Pearson correlation",
    "spearman": "Spearman correlation",
}
"""Metrics as readers know them."""


ON_EVERY_DEPLOYMENT = ("num_params", "num_flops")
"""Costs that a network has however it is deployed."""


def networks(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those of the candidates that can be run, in order: all but published numbers."""
    return [candidate for candidate in candidates if candidate.origin != "published"]


def deployments(candidates: Sequence[Candidate]) -> list[Deployment]:
    """Those that run the networks, in order of their first."""
    return list(dict.fromkeys(candidate.deployment for candidate in networks(candidates)))


def several(candidates: Sequence[Candidate]) -> bool:
    """Whether a network's deployment must be named."""
    return len(deployments(candidates)) > 1


def rivals(candidates: Sequence[Candidate], cost: str) -> list[Candidate]:
    """The networks that a front of score and cost is made of: those whose cost is known.

    Networks as deployed compete by what their deployment changes. A cost that it does not change
    sets the networks of the first deployment against each other, or each would stand there twice.
    """
    own = networks(candidates)
    if cost in ON_EVERY_DEPLOYMENT:
        own = [candidate for candidate in own if candidate.deployment == own[0].deployment]
    return [candidate for candidate in own if candidate.value(cost) is not None]


def latency_conditions(
    protocol: LatencyProtocol | None, environment: Environment | None, *, several: bool
) -> str:
    """What latencies hold under, for an axis; the deployment only where it is the only one."""
    lines = [] if protocol is None else [protocol.setting if several else protocol.title]
    return "\n".join(lines if environment is None else [*lines, environment.title])


def source(candidate: Candidate) -> str:
    """Where a published number comes from, or what made a network beside the supernet."""
    recipe = candidate.network.recipe
    if isinstance(recipe, Printed):
        return recipe.source
    return recipe.method if isinstance(recipe, Stored) else ""
