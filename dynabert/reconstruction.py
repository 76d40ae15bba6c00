"""Closed-form repair: a sub-network that computes what the full model does, without training.

A sub-network is run layer by layer beside the full model. The linear layers that write into its
hidden states, attention's output and the feed-forward network's, are solved anew by ridge
regression (`ridge`), so that its state before the normalisation becomes the full model's at that
place: what is fitted is what must be added to the sub-network's own state, so that each layer
also corrects what the layers before it have lost. The weights are fitted to the activations of
the repaired sub-network as it runs. Nothing else is changed.

A kept layer stands for itself and for the dropped ones behind it: its feed-forward network is
fitted to the full model's state after the last of these, whose normalisation it gets. Dropped
layers before the first kept one are made up for by that one's own two fits.

Texts need no labels. Padding does not count. Held-out texts choose every ridge, among them none
at all. The steps follow layer-wise reconstruction as in ThiNet (Luo et al. 2017) and channel
pruning (He et al. 2017), asymmetric: inputs of the small network, targets of the large one.

Legend: B batch, T tokens, E hidden size, N sampled tokens, I inputs of a linear layer.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from ..encoders.extraction import extract
from ..encoders.families import family_of
from ..encoders.family import Family
from ..encoders.plan import Axis
from ..encoders.slicing import linears
from ..errors import InputError
from ..networks.subnet import SubnetConfig
from ..tasks.batches import Batch, EncodedTexts, evaluation_batches, padded
from .ridge import RIDGES, ridge_correction

Half = Literal["attention", "feed-forward"]
"""The halves of a layer, each of which ends with a projection, a residual and a normalisation."""

_UNITS: dict[Half, Axis] = {"attention": "heads", "feed-forward": "neurons"}

BATCH_SIZE = 32


@dataclass(frozen=True, slots=True)
class Reference:
    """What the full model computes for some texts.

    Attributes:
        batches: The texts, padded, without labels.
        rows: For each batch, which of its B x T tokens are sampled; never padding.
        held_out: Which of the sampled tokens are of held-out texts, [N].
        sums: For each layer and half the hidden states before the normalisation, [N, E].
    """

    batches: tuple[Batch, ...]
    rows: tuple[Tensor, ...]
    held_out: Tensor
    sums: tuple[dict[Half, Tensor], ...]


@dataclass(frozen=True, slots=True)
class Projection:
    """How one projection was repaired.

    Errors are on held-out texts: the squared distance of the hidden states before the
    normalisation to the full model's, over the variance of the latter.

    Attributes:
        layer: Its layer in the full model.
        half: Its half of that layer.
        inputs: Its inputs, I.
        ridge: The penalty that was chosen; None where the inherited weights were kept.
        error_before: With the inherited weights.
        error_after: With those that the network has; never more.
        condition: Of the system that was solved, at least; infinite where none was.
    """

    layer: int
    half: Half
    inputs: int
    ridge: float | None
    error_before: float
    error_after: float
    condition: float


@dataclass(frozen=True, slots=True)
class Repaired:
    """A repaired sub-network.

    Attributes:
        model: Dense, in evaluation mode.
        projections: What was solved, in the order of the layers.
    """

    model: PreTrainedModel
    projections: tuple[Projection, ...]


@torch.no_grad()
def collect(
    model: PreTrainedModel,
    encoded: EncodedTexts,
    *,
    num_texts: int = 1024,
    max_tokens: int = 32_768,
    held_out: float = 0.2,
    seed: int = 0,
) -> Reference:
    """Run the full model on texts drawn at random and keep its states.

    Args:
        model: The full classification model, of a supported family, in evaluation mode.
        encoded: Tokenised texts; labels are not used.
        num_texts: How many are drawn; all where there are fewer.
        max_tokens: Tokens whose states are kept, drawn from those of the texts; each takes
            8 x layers x E bytes.
        held_out: Share of the texts that judge.
        seed: Of the draws.

    Raises:
        InputError: When there are fewer than two texts, or the share leaves none to fit.
    """
    generator = Random(seed)
    drawn = generator.sample(range(len(encoded)), min(num_texts, len(encoded)))
    judging = drawn[: max(1, round(held_out * len(drawn)))]
    if len(judging) >= len(drawn):
        raise InputError(
            f"{len(drawn)} texts of which {len(judging)} judge leave none to repair with: "
            "give more."
        )
    texts = encoded.at(sorted(drawn))
    is_judging = [index in set(judging) for index in sorted(drawn)]
    family = family_of(model)
    tokens = torch.Generator().manual_seed(seed)
    share = min(1.0, max_tokens / sum(texts.lengths))
    batches, rows, judges = [], [], []
    sums: list[dict[Half, list[Tensor]]] = [
        {half: [] for half in _UNITS} for _ in family.layer_list(model)
    ]
    for indices in evaluation_batches(texts, batch_size=BATCH_SIZE):
        batch = padded(texts, indices, device=model.device)
        sampled = (torch.rand(batch["input_ids"].shape, generator=tokens) < share).to(model.device)
        chosen = (sampled & batch["attention_mask"].bool()).flatten().nonzero().squeeze(1)
        batches.append(batch)
        rows.append(chosen)
        owners = torch.tensor([is_judging[i] for i in indices], device=model.device)
        judges.append(owners[chosen // batch["input_ids"].shape[1]])
        hidden = family.embed(model, batch)
        mask = family.mask(model, hidden, batch)
        for layer, kept in zip(family.layer_list(model), sums, strict=True):
            for half in _UNITS:
                with _recorded(_projection(layer, family, half)) as seen:
                    after = _run(layer, family, half)(hidden, mask)
                kept[half].append((hidden + seen.output).flatten(0, 1)[chosen])
                hidden = after
    return Reference(
        batches=tuple(batches),
        rows=tuple(rows),
        held_out=torch.cat(judges),
        sums=tuple({half: torch.cat(parts) for half, parts in kept.items()} for kept in sums),
    )


@torch.no_grad()
def repair(
    model: PreTrainedModel,
    config: SubnetConfig,
    reference: Reference,
    *,
    ridges: Sequence[float] = RIDGES,
) -> Repaired:
    """Extract a sub-network and repair it.

    Where word-vectors are eliminated, the network is repaired as if none were.

    Args:
        model: The full model that `reference` was collected from; it stays as it is.
        config: Which layers, heads and neurons to keep.
        reference: The full model's states.
        ridges: The penalties to try.

    Raises:
        InputError: When `config` is larger than the model.
    """
    family = family_of(model)
    dense = extract(model, replace(config, tokens=None))
    layers, full_layers = family.layer_list(dense), family.layer_list(model)
    states = [family.embed(dense, batch) for batch in reference.batches]
    masks = [
        family.mask(dense, state, batch)
        for state, batch in zip(states, reference.batches, strict=True)
    ]
    projections = []
    following = (*config.layers[1:], len(full_layers))
    for layer, index, next_index in zip(layers, config.layers, following, strict=True):
        last = next_index - 1
        if last > index:
            _take_normalisation(layer, full_layers[last], family)
        targets: dict[Half, int] = {"attention": index, "feed-forward": last}
        for half, target in targets.items():
            run = _run(layer, family, half)
            found = _repair_projection(
                _projection(layer, family, half),
                [partial(run, state, mask) for state, mask in zip(states, masks, strict=True)],
                states,
                reference,
                reference.sums[target][half],
                ridges=ridges,
            )
            projections.append(Projection(layer=index, half=half, **found))
            states = [run(state, mask) for state, mask in zip(states, masks, strict=True)]
    if config.tokens is not None:
        eliminating = extract(model, config)
        eliminating.load_state_dict(dense.state_dict())
        dense = eliminating
    return Repaired(dense, tuple(projections))


def _repair_projection(
    linear: nn.Linear,
    runs: Sequence[Callable[[], object]],
    states: Sequence[Tensor],
    reference: Reference,
    targets: Tensor,
    *,
    ridges: Sequence[float],
) -> dict[str, Any]:
    """Solve a projection anew, in place.

    Args:
        linear: The projection.
        runs: What runs its half of the layer on each batch.
        states: What goes past the half on the residual, for each batch [B, T, E].
        reference: Says which tokens count.
        targets: The full model's hidden states before the normalisation, [N, E].
        ridges: The penalties to try.

    Returns:
        The fields of `Projection` beside its place.
    """
    inputs, sums = [], []
    for run, state, rows in zip(runs, states, reference.rows, strict=True):
        with _recorded(linear) as seen:
            run()
        inputs.append(seen.input.flatten(0, -2)[rows])
        sums.append((state + seen.output).flatten(0, 1)[rows])
    correction = ridge_correction(
        torch.cat(inputs),
        targets - torch.cat(sums),
        reference.held_out,
        ridges=ridges,
        intercept=linear.bias is not None,
    )
    linear.weight += correction.weight
    if linear.bias is not None:
        linear.bias += correction.bias
    spread = targets[reference.held_out].var(0, correction=0).sum().item()
    scale = max(spread, torch.finfo(targets.dtype).tiny)
    return {
        "inputs": linear.in_features,
        "ridge": correction.ridge,
        "error_before": correction.error_before / scale,
        "error_after": correction.error_after / scale,
        "condition": correction.condition,
    }


def _projection(layer: nn.Module, family: Family, half: Half) -> nn.Linear:
    """The linear layer that ends a half of a layer."""
    units = _UNITS[half]
    return next(linear for linear, axes in linears(layer, family.plan) if axes.columns == units)


def _run(
    layer: nn.Module, family: Family, half: Half
) -> Callable[[Tensor, Tensor | None], Tensor]:
    """A half of a layer, from hidden states [B, T, E] and the mask to hidden states [B, T, E]."""
    if half == "attention":
        return lambda hidden, mask: family.attend(layer, hidden, mask)[0]
    return lambda hidden, mask: family.feed_forward(layer, hidden)


def _take_normalisation(layer: nn.Module, source: nn.Module, family: Family) -> None:
    """Let a layer's output leave through the normalisation of another layer."""
    norm = layer.get_submodule(family.last_norm)
    norm.load_state_dict(source.get_submodule(family.last_norm).state_dict())


class _Seen:
    """The last input and output of a linear layer."""

    input: Tensor
    output: Tensor


@contextmanager
def _recorded(linear: nn.Linear) -> Iterator[_Seen]:
    """Note what a linear layer reads and writes inside the block."""
    seen = _Seen()

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen.input, seen.output = inputs[0], output

    handle = linear.register_forward_hook(note)
    try:
        yield seen
    finally:
        handle.remove()
