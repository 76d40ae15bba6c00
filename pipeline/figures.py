"""The figures of what a run measured and searched, gathered from its ledger (no torch)."""

from collections.abc import Sequence

from ..baselines.finished import finished_key
from ..deploy.deployment import Deployment
from ..networks.network import Stored
from ..networks.subnet import SubnetConfig
from ..profiling.protocol import LatencyProtocol
from ..profiling.statistics import Round
from ..profiling.table import CostTable
from ..reports.figures.deployments import deployment_figure
from ..reports.figures.drawing import Picture
from ..reports.figures.fidelities import fidelities_figure
from ..reports.figures.layers import layers_figure
from ..reports.figures.predicted import prediction_figure
from ..reports.figures.progress import progress_figure
from ..reports.figures.retention import retention_figure
from ..reports.figures.speedups import heat_map_figure
from ..reports.figures.times import distribution_figure
from ..reports.headlines import main_cost
from ..search.candidate import Candidate
from ..search.front import ParetoFront
from ..search.halving import FEWEST_RANKED
from ..search.quantities import QUANTITIES
from .context import Context
from .costs import measured, numbers
from .losses import deployment_loss
from .steps.halve import length_of, start_of
from .steps.predictor import known_predictor


def run_figures(
    context: Context, deployments: Sequence[CostTable], scored: Sequence[Candidate]
) -> list[Picture]:
    """The figures of what a run measured; what was not measured has none.

    Args:
        context: The run.
        deployments: The tables of all deployments, the run's own first.
        scored: The scored networks of the run's own deployment.
    """
    shape, costs = context.shape, deployments[0]
    conditions = f"{costs.protocol.title}; {costs.environment.title}"
    figures: list[Picture] = []
    configs = context.space.landmarks
    if any(entry.network.is_cut and entry.network.config not in configs for entry in scored):
        figures.extend(_searched(context, scored, costs.protocol))
    elif len(configs) > 1:
        figures.append(heat_map_figure(costs, configs, num_layers=shape.num_layers))
    figures.extend(_fidelities(context, costs.protocol.deployment))
    rounds, sentinel = _rounds(context, costs)
    if rounds:
        slug = costs.protocol.deployment.slug
        visited = {visit.network for visit in rounds[0].visits}
        labels = {f"{entry.network.id}/{slug}": entry.label for entry in scored}
        figures.append(
            distribution_figure(
                rounds,
                sentinel=sentinel,
                labels={key: label for key, label in labels.items() if key in visited},
                drift_tolerance=costs.protocol.drift_tolerance,
                conditions=conditions,
            )
        )
    predictor = known_predictor(context, costs.conditions.id)
    if predictor is not None:
        figures.append(
            prediction_figure(
                predictor.validation, num_fitted=len(predictor.fitted), conditions=conditions
            )
        )
    if len(deployments) > 1:
        losses = [deployment_loss(context, each.protocol.deployment) for each in deployments]
        figures.append(deployment_figure(list(zip(deployments, losses, strict=True))))
    figures.extend(_retentions(context, costs.protocol))
    return figures


def _rounds(context: Context, costs: CostTable) -> tuple[tuple[Round, ...], str]:
    """The rounds behind a table and the name of their sentinel."""
    for record in measured(context):
        if record.conditions.id == costs.conditions.id:
            processes = context.ledger.processes(record.id)
            found = tuple(entry for process in processes for entry in process.rounds)
            return found, record.sentinel.key
    return (), ""


def _retentions(context: Context, protocol: LatencyProtocol) -> list[Picture]:
    """How many word-vectors each stored network keeps, where it eliminates some."""
    figures: list[Picture] = []
    for network in context.stored().values():
        config = network.config
        if config is not None and config.tokens is not None:
            figures.append(
                retention_figure(
                    config.tokens,
                    label=network.label,
                    lengths=context.workshop.lengths(network, protocol),
                    name=f"retention-{len(figures) + 1}",
                )
            )
    return figures


def _searched(
    context: Context, scored: Sequence[Candidate], protocol: LatencyProtocol
) -> list[Picture]:
    """What the front keeps of each layer, and how the search came to it."""
    known = {entry.network.id: entry for entry in scored if entry.network.is_cut}
    cost = main_cost(scored)
    front = ParetoFront.of(list(known.values()), ("score", cost)).members
    configs = [entry.network.config for entry in front]
    eliminating = any(config is not None and config.tokens for config in configs)
    number, metric = numbers(context), scored[0].evaluation.metric
    quantity = QUANTITIES[cost]
    found: list[Picture] = [
        layers_figure(
            [
                (
                    f"{number[entry.network.id]}: {metric} {entry.evaluation.value:.3f}, "
                    f"{quantity.text(entry.known_value(cost))}",
                    entry.network,
                )
                for entry in front
            ],
            shape=context.shape,
            lengths=context.workshop.lengths(context.full, protocol) if eliminating else (),
            of=f"score and {quantity.word}, among the networks that are cut",
        )
    ]
    order = context.ledger.evaluations(split="search", deployment=protocol.deployment)
    ordered = [known[each] for each in order if each in known]
    if len({entry.evaluation.value for entry in ordered}) > 1:
        landmarks = {network.id for network in context.subnets().values()}
        found.append(progress_figure(ordered, landmarks=landmarks))
    return found


def _fidelities(context: Context, deployment: Deployment) -> list[Picture]:
    """The scores of networks that were distilled on their own, beside those before."""
    start = start_of(context)
    scores = context.ledger.evaluations(split="search", deployment=deployment)
    found: dict[str, dict[str, float]] = {}
    paces: dict[str, tuple[bool, float]] = {}
    for network in context.stored().values():
        cut_key, recipe = finished_key(network), network.recipe
        if cut_key is None or not isinstance(recipe, Stored):
            continue
        before = scores.get(context.cut(SubnetConfig.from_key(cut_key)).id)
        after = scores.get(network.id)
        if before is None or after is None:
            continue
        steps = recipe.asked.get("steps")
        length = recipe.asked["epochs"] if steps is None else steps
        name = length_of(steps, length)
        paces[name] = (steps is None, length)
        found.setdefault(cut_key, {start: before.value})[name] = after.value
    if len(found) < FEWEST_RANKED:
        return []
    ordered = sorted(paces, key=lambda name: paces[name])
    metric = context.manifest["task"]["metric"]
    return [fidelities_figure(found, fidelities=(start, *ordered), metric=metric)]
