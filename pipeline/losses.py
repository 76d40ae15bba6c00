"""What a deployment costs in score: the full model in fp32 against the same as deployed."""

from ..deploy.deployment import EAGER_FP32, Deployment
from ..tasks.comparison import PairedComparison, compare
from .context import Context


def deployment_loss(context: Context, deployment: Deployment) -> PairedComparison | None:
    """The full model in fp32 minus the same as deployed, on the search split.

    Args:
        context: The run.
        deployment: Runtime and precision.

    Returns:
        The comparison; None where either is not scored.
    """
    exact = context.ledger.evaluations(split="search", deployment=EAGER_FP32).get(context.full.id)
    deployed = context.ledger.evaluations(split="search", deployment=deployment).get(
        context.full.id
    )
    if exact is None or deployed is None:
        return None
    return compare(exact, deployed)
