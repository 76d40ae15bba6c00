"""What a run holds: its networks, and everything learnt about one of them (no torch)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...deploy.deployment import Deployment
from ...errors import InputError
from ...networks.network import Network, Stored
from ...profiling.table import Profile
from ...search.candidate import score_record
from ...tasks.scores import Evaluation
from ..context import Context
from ..costs import cost_table, measured
from ..scores import report_splits


@dataclass(frozen=True, slots=True)
class Holding:
    """What a run knows of one network on one deployment and machine.

    Attributes:
        profile: Its costs.
        deployment: Runtime and precision.
        protocol: How it was measured, as one line.
        machine: Where.
        scores: Its evaluations by split, as deployed.
    """

    profile: Profile
    deployment: Deployment
    protocol: str
    machine: str
    scores: Mapping[str, Evaluation]

    def to_dict(self) -> dict[str, Any]:
        """The holding as JSON types, without every example's outcome."""
        return {
            **self.profile.to_dict(),
            "deployment": self.deployment.to_dict(),
            "protocol": self.protocol,
            "machine": self.machine,
            "scores": {
                split: {"metric": entry.metric, **score_record(entry)}
                for split, entry in self.scores.items()
            },
        }


@dataclass(frozen=True, slots=True)
class Shown:
    """A network of a run with all that is known of it.

    Attributes:
        network: The network.
        holdings: One for each deployment, protocol and machine that it was measured on.
    """

    network: Network
    holdings: tuple[Holding, ...]

    def to_dict(self) -> dict[str, Any]:
        """The network and its holdings as JSON types."""
        return {
            "id": self.network.id,
            "name": self.network.name,
            **self.network.to_dict(),
            "measured": [entry.to_dict() for entry in self.holdings],
        }

    def sentences(self) -> list[str]:
        """The network for a reader."""
        network, recipe = self.network, self.network.recipe
        made = (
            f"made by {recipe.method}" if isinstance(recipe, Stored) else "cut from the supernet"
        )
        lines = [f"{network.label} ({network.id}): {network.name}, {made}."]
        config = network.config
        if config is not None:
            lines.append(
                f"Layers {', '.join(map(str, config.layers))}; heads "
                f"{', '.join(map(str, config.heads))}; neurons "
                f"{', '.join(map(str, config.neurons))}."
            )
            if config.tokens is not None:
                lines.append(f"Word-vectors that leave each layer: {config.tokens.key}.")
        if not self.holdings:
            lines.append("It was not measured yet.")
        for entry in self.holdings:
            latency = entry.profile.latency
            if latency is not None:
                lines.append(
                    f"{entry.protocol} on {entry.machine}: "
                    f"{latency.time_ms.text('.3g', unit=' ms')}, "
                    f"{latency.speedup:.3g} times the full model's speed."
                )
            lines.extend(
                f"{score.metric} on {split}, {entry.deployment.title}: "
                f"{score.interval.text('.4f')}, {score.n} examples."
                for split, score in entry.scores.items()
            )
        return lines


def show_network(context: Context, name: str) -> Shown:
    """Everything that a run knows of one of its networks.

    Args:
        context: The run.
        name: See `Context.named`.

    Raises:
        InputError: When there is no such network, or the run is not trained yet.
    """
    if not context.ledger.networks():
        raise InputError(
            f"{context.folder.root} has no networks yet: {context.command('profile')}."
        )
    network = context.named(name)
    holdings = []
    for record in measured(context):
        costs = cost_table(context, record)
        deployment = costs.protocol.deployment
        if network.id not in costs:
            continue
        scores = {}
        for split in ("search", *report_splits(context)):
            found = context.ledger.evaluations(split=split, deployment=deployment)
            if network.id in found:
                scores[split] = found[network.id]
        holdings.append(
            Holding(
                profile=costs[network.id],
                deployment=deployment,
                protocol=costs.protocol.title,
                machine=costs.environment.machine,
                scores=scores,
            )
        )
    return Shown(network, tuple(holdings))
