"""Scores of a run's networks: computed once, kept in the ledger."""

from collections.abc import Callable, Sequence

from ..deploy.deployment import Deployment
from ..networks.network import Network
from ..search.candidate import Candidate
from ..tasks.scores import Evaluation
from .context import Context


def score_missing(
    context: Context,
    networks: Sequence[Network],
    *,
    split: str,
    deployment: Deployment,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Evaluation]:
    """The scores of networks on a split, as deployed; those that are missing are computed.

    Args:
        context: The run.
        networks: What is to be scored.
        split: The split's name.
        deployment: Runtime and precision.
        progress: Is called with the number of scored networks and of all that were missing.

    Returns:
        The evaluations by the network's id.
    """
    known = context.ledger.evaluations(split=split, deployment=deployment)
    missing = [network for network in networks if network.id not in known]
    new: dict[str, Evaluation] = {}
    for number, network in enumerate(missing, start=1):
        new[network.id] = _scored(context, network, split=split, deployment=deployment)
        if progress is not None:
            progress(number, len(missing))
    return {
        network.id: new[network.id] if network.id in new else known[network.id]
        for network in networks
    }


def search_value(context: Context, network: Network, *, deployment: Deployment) -> float:
    """A network's score on the search split, as deployed; computed unless it is known."""
    known = context.ledger.evaluations(
        split="search", deployment=deployment, network=network.id
    ).get(network.id)
    found = known or _scored(context, network, split="search", deployment=deployment)
    return found.value


def _scored(
    context: Context, network: Network, *, split: str, deployment: Deployment
) -> Evaluation:
    """Score a network and keep the score."""
    context.ledger.add_network(network)
    found = context.workshop.score(network, split=split, deployment=deployment)
    context.ledger.add_evaluation(network.id, found, deployment=deployment)
    return found


def report_splits(context: Context) -> list[str]:
    """The names of the run's report splits, the main one first; MNLI has two."""
    names = [name for name in context.manifest["task"]["sizes"] if name.startswith("report")]
    return sorted(names, key=lambda name: name != "report")


def score_reported(
    context: Context,
    networks: Sequence[Network],
    *,
    deployment: Deployment,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, dict[str, Evaluation]]:
    """Scores on every report split, by the split's name and the network's id."""
    return {
        split: score_missing(
            context, networks, split=split, deployment=deployment, progress=progress
        )
        for split in report_splits(context)
    }


def known_reports(
    context: Context, candidates: Sequence[Candidate]
) -> dict[str, dict[str, Evaluation]]:
    """Scores on every report split that are known, by the split's name and the candidate's key."""
    found: dict[str, dict[str, Evaluation]] = {}
    for split in report_splits(context):
        known = {
            deployment: context.ledger.evaluations(split=split, deployment=deployment)
            for deployment in {entry.deployment for entry in candidates}
        }
        found[split] = {
            entry.key: known[entry.deployment][entry.network.id]
            for entry in candidates
            if entry.network.id in known[entry.deployment]
        }
    return found
