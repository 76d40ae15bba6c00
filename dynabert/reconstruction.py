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

Texts need no labels. Padding does not count, and a token counts by how much the full model's
logits depend on its state at that place: by the squared norm of the gradient, of which a part is
spread evenly. Held-out texts choose every ridge, among them none at all. Fitting layer after layer
is that of channel pruning (He et al. 2017): inputs from the small network, targets from the large.

Legend: B batch, T tokens, E hidden size, N sampled tokens, I inputs of a linear layer.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from ..encoders.extraction import extract
from ..encoders.families import family_of
from ..encoders.family import Family
from ..errors import InputError
from ..networks.subnet import SubnetConfig
from ..tasks.batches import Batch, EncodedTexts, evaluation_batches, padded
from .halves import HALVES, Half, normalisation, projection, read_by, recorded, run_half
from .ridge import RIDGES, Correction, mean, ridge_correction

BATCH_SIZE = 32

EVEN_SHARE = 0.1
"""The part of the tokens' counts that is the same for all."""


Counting = Callable[[int, int], None]
"""Is called with the number of what is done and of all."""


def uncounted(done: int, total: int) -> None:
    """Count nothing."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What the full model computes for some texts.

    Attributes:
        batches: The texts, padded, without labels.
        rows: For each batch, which of its B x T tokens are sampled; never padding.
        held_out: Which of the sampled tokens are of held-out texts, [N].
        sums: For each layer and half the hidden states before the normalisation, [N, E].
        counts: For each layer and half how much each token counts, [N]; 1 on average.
        slopes: For each layer and half the mean square of the logits' gradient at a token.
    """

    batches: tuple[Batch, ...]
    rows: tuple[Tensor, ...]
    held_out: Tensor
    sums: tuple[dict[Half, Tensor], ...]
    counts: tuple[dict[Half, Tensor], ...]
    slopes: tuple[dict[Half, float], ...]

    def sampled(self, parts: Sequence[Tensor]) -> Tensor:
        """The sampled tokens of what there is by batch: [N, ...] from each [B, T, ...]."""
        pairs = zip(parts, self.rows, strict=True)
        return torch.cat([part.flatten(0, 1)[rows] for part, rows in pairs])


@dataclass(frozen=True, slots=True)
class Projection:
    """How one projection was repaired.

    Errors are on held-out texts: the squared distance of the hidden states before the
    normalisation to the full model's, over the variance of the latter, as the tokens count.

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
        projections: What was solved, in the order of the layers: all from the first half on that
            lacks units, or has dropped layers behind it.
    """

    model: PreTrainedModel
    projections: tuple[Projection, ...]


def collect(
    model: PreTrainedModel,
    texts: EncodedTexts,
    *,
    max_tokens: int = 16_384,
    held_out: float = 0.2,
    seed: int = 0,
    progress: Counting = uncounted,
) -> Reference:
    """Run the full model on texts and keep its states.

    Args:
        model: The full classification model, of a supported family, in evaluation mode.
        texts: Tokenised; labels are not used.
        max_tokens: Tokens whose states are kept, drawn from those of the texts; each takes
            8 x layers x E bytes. The first one of each text, which the head reads, always is.
        held_out: Share of the texts that judge.
        seed: Of what is drawn: held-out texts, tokens, combinations of logits.
        progress: Is called with the number of texts that are done and of all.

    Raises:
        InputError: When there are fewer than two texts, or the share leaves none to fit.
    """
    num_judging = max(1, round(held_out * len(texts)))
    if num_judging >= len(texts):
        raise InputError(
            f"{len(texts)} texts of which {num_judging} judge leave none to repair with: "
            "give more."
        )
    judging = set(Random(seed).sample(range(len(texts)), num_judging))
    family = family_of(model)
    tokens = torch.Generator().manual_seed(seed)
    share = min(1.0, max_tokens / sum(texts.lengths))
    directions = torch.Generator().manual_seed(seed)
    batches, rows, judges = [], [], []
    sums, squares = _empty(family, model), _empty(family, model)
    done = 0
    for indices in evaluation_batches(texts, batch_size=BATCH_SIZE):
        batch = padded(texts, indices, device=model.device)
        sampled = (torch.rand(batch["input_ids"].shape, generator=tokens) < share).to(model.device)
        sampled[:, 0] = True
        chosen = (sampled & batch["attention_mask"].bool()).flatten().nonzero().squeeze(1)
        batches.append(batch)
        rows.append(chosen)
        owners = torch.tensor([i in judging for i in indices], device=model.device)
        judges.append(owners[chosen // batch["input_ids"].shape[1]])
        found = _states_and_gradients(model, family, batch, directions)
        for layer, (states, gradients) in enumerate(found):
            for half in HALVES:
                sums[layer][half].append(states[half].flatten(0, 1)[chosen])
                of_tokens = gradients[half].square().sum(-1)
                squares[layer][half].append(of_tokens.flatten()[chosen])
        done += len(indices)
        progress(done, len(texts))
    gathered = [{half: torch.cat(parts) for half, parts in kept.items()} for kept in squares]
    return Reference(
        batches=tuple(batches),
        rows=tuple(rows),
        held_out=torch.cat(judges),
        sums=tuple({half: torch.cat(parts) for half, parts in kept.items()} for kept in sums),
        counts=tuple(
            {half: _partly_even(kept) for half, kept in of_layer.items()} for of_layer in gathered
        ),
        slopes=tuple(
            {half: kept.mean().item() for half, kept in of_layer.items()} for of_layer in gathered
        ),
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
    full_layers = family.layer_list(model)
    walk = Walk.of(dense, family, reference)
    projections, lacking = [], False
    following = (*config.layers[1:], len(full_layers))
    for place, (index, next_index) in enumerate(zip(config.layers, following, strict=True)):
        last = next_index - 1
        if last > index:
            _take_normalisation(walk.layers[place], full_layers[last], family)
        targets: dict[Half, int] = {"attention": index, "feed-forward": last}
        for half, target in targets.items():
            read, linear = walk.read(place, half), walk.projection(place, half)
            whole = projection(full_layers[index], family, half).in_features
            lacking = lacking or target > index or linear.in_features < whole
            if lacking:
                found = _repair_projection(
                    linear,
                    *walk.rows(read, place, half, reference),
                    reference,
                    reference.sums[target][half],
                    reference.counts[target][half],
                    ridges=ridges,
                )
                projections.append(Projection(layer=index, half=half, **found))
            walk.go_on(read, place, half)
    if config.tokens is not None:
        eliminating = extract(model, config)
        eliminating.load_state_dict(dense.state_dict())
        dense = eliminating
    return Repaired(dense, tuple(projections))


@torch.no_grad()
def divergence(model: PreTrainedModel, dense: PreTrainedModel, reference: Reference) -> float:
    """How far a network's logits are from the full model's on the held-out texts.

    As a fidelity of search, a network is repaired with few texts and judged by this: seconds, and
    no labels.

    Args:
        model: The full model that `reference` was collected from.
        dense: The network, repaired with it.
        reference: The texts.

    Returns:
        The squared distance over the variance of the full model's logits; what all logits of a
        text have in common does not count.
    """
    ours: list[Tensor] = []
    theirs: list[Tensor] = []
    start = 0
    for batch, rows in zip(reference.batches, reference.rows, strict=True):
        of_rows = reference.held_out[start : start + len(rows)]
        judging = of_rows[rows % batch["input_ids"].shape[1] == 0]
        start += len(rows)
        for network, logits in ((dense, ours), (model, theirs)):
            found = network(**batch).logits[judging]
            logits.append(found - found.mean(1, keepdim=True) if found.shape[1] > 1 else found)
    wanted = torch.cat(theirs)
    wrong = (torch.cat(ours) - wanted).square().sum()
    spread = (wanted - wanted.mean(0)).square().sum()
    return (wrong / spread.clamp(min=torch.finfo(wanted.dtype).tiny)).item()


@dataclass(slots=True)
class Walk:
    """A network on its way through the halves of its layers, on a reference's texts.

    Attributes:
        layers: Its layers.
        family: Its family.
        states: Its hidden states by batch, [B, T, E].
        masks: What its layers take.
    """

    layers: nn.ModuleList
    family: Family
    states: list[Tensor]
    masks: list[Tensor | None]

    @classmethod
    def of(cls, network: PreTrainedModel, family: Family, reference: Reference) -> "Walk":
        """Before the first layer of a dense network of a family."""
        states = [family.embed(network, batch) for batch in reference.batches]
        pairs = zip(states, reference.batches, strict=True)
        masks = [family.mask(network, state, batch) for state, batch in pairs]
        return cls(family.layer_list(network), family, states, masks)

    def projection(self, place: int, half: Half) -> nn.Linear:
        """The linear layer that ends a half of a layer."""
        return projection(self.layers[place], self.family, half)

    def read(self, place: int, half: Half) -> list[Tensor]:
        """What the projection reads by batch, [B, T, I]."""
        run, linear = run_half(self.layers[place], self.family, half), self.projection(place, half)
        return [
            read_by(linear, partial(run, state, mask))
            for state, mask in zip(self.states, self.masks, strict=True)
        ]

    def rows(
        self, read: Sequence[Tensor], place: int, half: Half, reference: Reference
    ) -> tuple[Tensor, Tensor]:
        """The same at sampled tokens, [N, I], and the states before the normalisation, [N, E]."""
        inputs, states = reference.sampled(read), reference.sampled(self.states)
        return inputs, states + self.projection(place, half)(inputs)

    def through(self, place: int, half: Half, reference: Reference) -> Tensor:
        """Go to the end of the half as it is.

        Returns:
            What its projection read at sampled tokens, [N, I].
        """
        read = self.read(place, half)
        self.go_on(read, place, half)
        return reference.sampled(read)

    def go_on(self, read: Sequence[Tensor], place: int, half: Half) -> None:
        """Go to the end of the half, with the projection as it is now."""
        linear = self.projection(place, half)
        norm = normalisation(self.layers[place], self.family, half)
        self.states = [
            norm(state + linear(each)) for state, each in zip(self.states, read, strict=True)
        ]


def add_correction(linear: nn.Linear, correction: Correction) -> None:
    """Add a correction to a projection, in place; of its inputs the leading ones that it has."""
    linear.weight.add_(correction.weight[:, : linear.in_features])
    if linear.bias is not None:
        linear.bias.add_(correction.bias)


def _repair_projection(
    linear: nn.Linear,
    inputs: Tensor,
    sums: Tensor,
    reference: Reference,
    targets: Tensor,
    counts: Tensor,
    *,
    ridges: Sequence[float],
) -> dict[str, Any]:
    """Solve a projection anew, in place.

    Args:
        linear: The projection.
        inputs: What it reads, [N, I].
        sums: The hidden states before the normalisation, [N, E].
        reference: Says which tokens judge.
        targets: The full model's hidden states there, [N, E].
        counts: How much each token counts, [N].
        ridges: The penalties to try.

    Returns:
        The fields of `Projection` beside its place.
    """
    correction = ridge_correction(
        inputs,
        targets - sums,
        reference.held_out,
        counts=counts,
        ridges=ridges,
        intercept=linear.bias is not None,
    )
    add_correction(linear, correction)
    judged, share = targets[reference.held_out], counts[reference.held_out]
    spread = mean((judged - mean(judged, share)).square(), share).sum().item()
    scale = max(spread, torch.finfo(targets.dtype).tiny)
    return {
        "inputs": linear.in_features,
        "ridge": correction.ridge,
        "error_before": correction.error_before / scale,
        "error_after": correction.error_after / scale,
        "condition": correction.condition,
    }


def _states_and_gradients(
    model: PreTrainedModel, family: Family, batch: Batch, directions: torch.Generator
) -> list[tuple[dict[Half, Tensor], dict[Half, Tensor]]]:
    """Each layer's hidden states before its normalisations, and the logits' gradients there.

    Of each half both are [B, T, E]. The gradients are those of a random combination of the logits,
    of unit length for each text, to which what all logits have in common does not add.
    """
    with _frozen(model), torch.enable_grad():
        hidden = family.embed(model, batch).detach().requires_grad_()
        mask = family.mask(model, hidden, batch)
        added, sums = [], []
        for layer in family.layer_list(model):
            for half in HALVES:
                with recorded(projection(layer, family, half)) as written:
                    after = run_half(layer, family, half)(hidden, mask)
                added.append(written.output)
                sums.append((hidden + written.output).detach())
                hidden = after
        logits = family.classify(model, hidden)
        combination = torch.randn(logits.shape, generator=directions).to(logits)
        if logits.shape[1] > 1:
            combination -= combination.mean(1, keepdim=True)
        combination = nn.functional.normalize(combination, dim=1)
        gradients = torch.autograd.grad((logits * combination).sum(), added)
    return [
        (
            dict(zip(HALVES, sums[start : start + len(HALVES)], strict=True)),
            dict(zip(HALVES, gradients[start : start + len(HALVES)], strict=True)),
        )
        for start in range(0, len(sums), len(HALVES))
    ]


def _partly_even(squares: Tensor) -> Tensor:
    """Counts [N] that are 1 on average, a part of them the same for all tokens."""
    average = squares.mean()
    if not 0 < average < math.inf:
        return torch.ones_like(squares)
    return EVEN_SHARE + (1 - EVEN_SHARE) * squares / average


def _empty(family: Family, model: PreTrainedModel) -> list[dict[Half, list[Tensor]]]:
    return [{half: [] for half in HALVES} for _ in family.layer_list(model)]


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """No parameter takes a gradient inside the block."""
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_()


def _take_normalisation(layer: nn.Module, source: nn.Module, family: Family) -> None:
    """Let a layer's output leave through the normalisation of another layer."""
    theirs = normalisation(source, family, "feed-forward")
    normalisation(layer, family, "feed-forward").load_state_dict(theirs.state_dict())
