"""Adding a network that a method makes, or that the user brings, to a run."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...baselines.methods import METHODS
from ...networks.network import Network, Stored, identifier, stored_identity
from ...profiling.workload import Workload
from ...search.candidate import Candidate
from ...tasks.scores import Evaluation
from ...training.method import Known, Making, Method, MethodOptions
from ..context import Context
from ..costs import cost_table, find_candidate, session_here
from ..scores import score_missing, score_reported
from .profile import measure_added

if TYPE_CHECKING:
    from ...profiling.measuring import MeasuringProgress
    from ...training.loop import TrainingProgress


@dataclass(frozen=True, slots=True)
class Added:
    """A network that was added.

    Attributes:
        candidate: Its costs and its score on the search split.
        report: Its outcomes on the report split.
        speedup_macs: How many times fewer multiply-adds its encoder has than the full model's,
            over the training texts.
    """

    candidate: Candidate
    report: Evaluation
    speedup_macs: float


def add(
    context: Context,
    method: str,
    options: MethodOptions,
    *,
    progress: "Callable[[TrainingProgress], None] | None" = None,
    timing: "Callable[[MeasuringProgress], None] | None" = None,
) -> Added:
    """Make a network, or find it made, then score and measure it beside the run's others.

    A killed training goes on where it was; the same method with the same options makes the same
    network, once.

    Args:
        context: The run.
        method: A name in `baselines.methods.METHODS`.
        options: The method's own options.
        progress: Is called after every training step.
        timing: Is called after every visit to a network that is measured.

    Raises:
        InputError: When the run is not trained and profiled here yet, or the method refuses what
            it is asked.
    """
    context.require_supernet()
    record = session_here(context)
    costs = cost_table(context, record)
    network = make(context, METHODS[method], options, progress=progress)
    own = costs.protocol.deployment
    if network.id not in costs:
        measure_added(context, [network], costs.protocol, progress=timing)
    score_missing(context, [network], split="search", deployment=own)
    reported = score_reported(context, [network], deployment=own)
    candidate = find_candidate(context, record, network)
    assert candidate is not None
    assert isinstance(network.recipe, Stored)
    workload = Workload.of(context.shape, context.workshop.training_lengths)
    reached = workload.speedup(network.recipe.shape, network.recipe.config)
    return Added(candidate, reported["report"][network.id], reached)


def make(
    context: Context,
    method: Method,
    options: MethodOptions,
    *,
    progress: "Callable[[TrainingProgress], None] | None" = None,
) -> Network:
    """Let a method make its network in a folder of the run, and enter it into the ledger.

    Raises:
        InputError: See `add`.
    """
    options = method.resolve(
        options,
        Known(
            context.space,
            context.searched(),
            lengths=lambda: context.workshop.training_lengths,
        ),
    )
    asked = dict(options.to_dict())
    name = identifier(stored_identity(method.name, asked))
    known = context.stored()
    if name in known:
        return known[name]
    from transformers import AutoConfig

    from ...encoders.extraction import architecture_of

    folder = context.folder.network(name)
    with context.timed(f"add {method.name}"):
        method.make(
            Making(
                teacher=context.folder.teacher,
                cut=lambda config: context.workshop.build(context.cut(config)),
                task=context.task,
                folder=folder,
                progress=progress or (lambda state: None),
                unlabelled=context.unlabelled,
                variants=context.variants,
                checkpoint=lambda: context.checkpoint,
            ),
            options,
        )
    config = AutoConfig.from_pretrained(folder / "network", local_files_only=True)
    label = options.label
    if label in {other.label for other in context.networks().values()}:
        label = f"{label} [{name[:4]}]"
    network = Network(label, Stored(method.name, asked, *architecture_of(config)))
    context.ledger.add_network(network)
    return network
