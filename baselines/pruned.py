"""The fine-tuned model without its least important heads and neurons: nothing is trained.

Michel et al. 2019 mask the heads whose removal changes the loss least to first order, ranked over
all layers at once. Here neurons are ranked likewise, by the scores that supernets are sorted by
(`dynabert.importance`), and as many of both go as a target share of the multiply-adds asks for:
among all numbers of heads that it allows, each with the neurons that are then affordable, the one
that takes away the least importance (the mask search of Kwon et al. 2022, whose scores are of
second order). Every layer keeps its best head and neuron. What is left differs from layer to layer
and is dense: nothing is masked when it runs.

Each score is its share of the sum over its layer's heads, or neurons, so that layers and both
kinds compare. Michel et al. divide by the layer's Euclidean norm; by that, or by no scale at all,
nearly every head goes before the neurons do.

*Pruned* has the teacher's weights as they are. *Repaired*, the projections that read heads and
neurons are fitted in closed form to what the teacher computes (`dynabert.reconstruction`, in place
of Kwon et al.'s scaled masks), and its heads and neurons, or whole layers, are those that such
fits make up for best (`dynabert.removal`, `search.proposals`): of a few numbers of layers, the one
whose logits are nearest to the teacher's on texts that chose nothing but penalties. Left out:
pruning in several steps, and scores by the size of each example's gradient, as Michel et al. have
them.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..networks.subnet import SubnetConfig
from ..profiling.workload import Workload
from ..search.proposals import propose
from ..training.method import Making, Method
from ..training.pace import refuse_below, refuse_no_speedup

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

BATCH_SIZE = 32
"""Examples whose gradients are taken at once."""

REPAIRED_DEPTHS = 4
"""Numbers of layers that are repaired, of which the best is kept."""

Scores = Sequence[Sequence[float]]
"""For each layer, how important each of its units is."""


@dataclass(frozen=True, slots=True)
class PrunedOptions:
    """How much is left.

    Attributes:
        target_speedup: How many times fewer multiply-adds the encoder is to have over the training
            texts.
    """

    target_speedup: float = 2.0

    def __post_init__(self) -> None:
        """Check the target.

        Raises:
            InputError: When it is none.
        """
        refuse_no_speedup(self.target_speedup)

    @property
    def label(self) -> str:
        """What people call the network."""
        return f"pruned ({self.target_speedup:g}x)"

    def to_dict(self) -> dict[str, Any]:
        """What decides the network, as JSON types."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class RepairedOptions(PrunedOptions):
    """How much is left, and how it is repaired.

    Attributes:
        num_texts: Texts that are drawn from the training split and unlabelled texts; all where
            there are fewer.
        seed: Of what is drawn.
    """

    num_texts: int = 2048
    seed: int = 0

    def __post_init__(self) -> None:
        """Check every setting.

        Raises:
            InputError: When one is out of its range.
        """
        PrunedOptions.__post_init__(self)
        refuse_below(self, 2, "num_texts")
        refuse_below(self, 0, "seed")

    @property
    def label(self) -> str:
        """What people call the network."""
        return f"repaired ({self.target_speedup:g}x)"


def kept_units(
    heads: Scores, neurons: Scores, workload: Workload, *, target_speedup: float
) -> SubnetConfig:
    """How many heads and neurons each layer keeps under a target, the most important ones.

    Args:
        heads: Their importance, not negative.
        neurons: Theirs.
        workload: What units cost.
        target_speedup: How many times fewer multiply-adds are left, at least.

    Raises:
        InputError: When one head and neuron in each layer are too many.
    """
    shape, rates = workload.shape, workload.rates
    layers, ones = tuple(range(shape.num_layers)), (1,) * shape.num_layers
    least = rates.total(SubnetConfig(layers, ones, ones))
    spare = int(workload.full / target_speedup) - least
    if spare < 0:
        raise InputError(
            f"One head and one neuron in each layer have {workload.full / least:.1f} times fewer "
            f"multiply-adds than all of them, and {target_speedup:g} times are asked for: ask for "
            "less."
        )
    head_order, head_gains = _ranked(heads)
    neuron_order, neuron_gains = _ranked(neurons)

    def affordable(num_heads: int) -> int:
        return min(len(neuron_order), (spare - num_heads * rates.per_head) // rates.per_neuron)

    most = min(len(head_order), spare // rates.per_head)
    chosen = max(range(most + 1), key=lambda n: (head_gains[n] + neuron_gains[affordable(n)], n))
    return SubnetConfig(
        layers,
        _counts(head_order[:chosen], shape.num_layers),
        _counts(neuron_order[: affordable(chosen)], shape.num_layers),
    )


def _ranked(scores: Scores) -> tuple[list[int], list[float]]:
    """The units beside the best one of each layer, the most important first.

    Returns:
        The layer of each, and what the first n are worth together, from none to all.
    """
    others = [
        (score / (sum(units) or 1.0), layer)
        for layer, units in enumerate(scores)
        for score in sorted(units, reverse=True)[1:]
    ]
    others.sort(key=lambda unit: (-unit[0], unit[1]))
    return [layer for _, layer in others], list(accumulate((s for s, _ in others), initial=0.0))


def _counts(layers: Sequence[int], num_layers: int) -> tuple[int, ...]:
    """Units of each layer, its best one among them."""
    return tuple(1 + layers.count(layer) for layer in range(num_layers))


def prune(making: Making, options: PrunedOptions) -> None:
    """Take the least important units out of the teacher.

    Raises:
        InputError: When the target is out of reach.
    """
    from ..dynabert.importance import task_importance
    from ..dynabert.rewiring import rewire
    from ..encoders.extraction import extract

    def pruned(
        model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", workload: Workload
    ) -> "PreTrainedModel":
        scores = task_importance(model, tokenizer, making.task, batch_size=BATCH_SIZE)
        config = kept_units(
            [layer.tolist() for layer in scores.heads],
            [layer.tolist() for layer in scores.neurons],
            workload,
            target_speedup=options.target_speedup,
        )
        rewire(model, scores)
        return extract(model, config)

    _make(making, pruned)


def prune_and_repair(making: Making, options: RepairedOptions) -> None:
    """Take away what repair makes up for best, and repair what is left.

    Raises:
        InputError: When the target is out of reach, or there are too few texts.
    """
    from ..dynabert.reconstruction import collect, divergence, repair
    from ..dynabert.removal import removals
    from ..dynabert.repairs import RepairOptions, repair_texts
    from ..dynabert.rewiring import rewire

    def repaired(
        model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", workload: Workload
    ) -> "PreTrainedModel":
        asked = RepairOptions(num_texts=options.num_texts, seed=options.seed)
        texts = repair_texts(making.texts, tokenizer, asked, max_length=making.task.max_length)
        reference = collect(model, texts, seed=options.seed)
        removed = removals(model, reference)
        rewire(model, removed.importance)
        limit = workload.full / options.target_speedup
        found = [
            repair(model, config, reference).model
            for config in propose(removed.losses, workload.rates, limit=limit)[:REPAIRED_DEPTHS]
        ]
        return min(found, key=lambda dense: divergence(model, dense, reference))

    _make(making, repaired)


def _make(
    making: Making,
    cut: "Callable[[PreTrainedModel, PreTrainedTokenizerBase, Workload], PreTrainedModel]",
) -> None:
    """Cut the teacher, and keep what is left."""
    from transformers import AutoTokenizer

    from ..encoders.families import shape_of
    from ..tasks.batches import encode_texts
    from ..training.classifier import load_stored
    from ..training.loop import Result, made

    def smaller() -> Result:
        model = load_stored(making.teacher).eval()
        tokenizer = AutoTokenizer.from_pretrained(making.teacher, local_files_only=True)
        encoded = encode_texts(making.task.train, tokenizer, max_length=making.task.max_length)
        workload = Workload.of(shape_of(model.config), encoded.lengths)
        return cut(model, tokenizer, workload), tokenizer

    made(making.network, smaller)


PRUNED = Method(
    "pruned",
    "The fine-tuned model without its least important heads and neurons; nothing is trained.",
    PrunedOptions,
    prune,
)
REPAIRED = Method(
    "repaired",
    "What is left of the fine-tuned model is fitted in closed form to what all of it computes.",
    RepairedOptions,
    prune_and_repair,
)
