"""Closed-form repair: a sub-network that computes what the full model does, without training.

A sub-network is run half of a layer after half beside the full model, and two things are fitted
by ridge regression (`ridge`) to its own activations as it runs:

- what a half reads. The affine map from the sub-network's states there to the full model's is
  multiplied into the linear layers that read them: queries, keys and values, or the first layer
  of the feed-forward network. So they see what they were trained on as far as it can be told from
  what is there; the residual connection passes the states on as they are.
- what a half writes, its projection, so that the state before the normalisation becomes the full
  model's at that place: what is fitted is what must be added to the sub-network's own state, so
  that each layer also corrects what the layers before it have lost.

Nothing else is changed, and nothing before the first half that lacks something.

A kept layer stands for itself and for the dropped ones behind it: its feed-forward network is
fitted to the full model's state after the last of these, whose normalisation it gets. Dropped
layers before the first kept one are made up for by what that one reads and writes.

Texts need no labels. Padding does not count, other tokens count alike. Held-out texts choose every
ridge, among them none at all. Fitting layer after layer is that of channel pruning (He et al.
2017): inputs from the small network, targets from the large.

Legend: B batch, T tokens, E hidden size, N sampled tokens, I inputs of a linear layer.
"""

from collections.abc import Callable, Sequence
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
from ..errors import InputError
from ..networks.subnet import SubnetConfig
from ..tasks.batches import Batch, EncodedTexts, evaluation_batches, padded
from .halves import HALVES, Half, normalisation, passed, projection, read_by, readers, run_half
from .ridge import RIDGES, Correction, ridge_correction

BATCH_SIZE = 32

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
    """

    batches: tuple[Batch, ...]
    rows: tuple[Tensor, ...]
    held_out: Tensor
    sums: tuple[dict[Half, Tensor], ...]

    @property
    def judging(self) -> tuple[Batch, ...]:
        """The held-out texts alone, padded as in their batches."""
        found, start = [], 0
        for batch, rows in zip(self.batches, self.rows, strict=True):
            of_rows = self.held_out[start : start + len(rows)]
            start += len(rows)
            texts = of_rows[rows % batch["input_ids"].shape[1] == 0]
            if texts.any():
                found.append({name: tensor[texts] for name, tensor in batch.items()})
        return tuple(found)

    def sampled(self, parts: Sequence[Tensor]) -> Tensor:
        """The sampled tokens of what there is by batch: [N, ...] from each [B, T, ...]."""
        pairs = zip(parts, self.rows, strict=True)
        return torch.cat([part.flatten(0, 1)[rows] for part, rows in pairs])


@dataclass(frozen=True, slots=True)
class Fit:
    """How what a half reads, or what it writes, was repaired.

    Errors are on held-out texts: the squared distance of the hidden states to the full model's,
    over the variance of the latter. Those that are read are in front of the half, those that are
    written before its normalisation.

    Attributes:
        layer: The layer in the full model.
        half: The half of that layer.
        part: Which of the two.
        inputs: Inputs of the linear map that was fitted, I.
        ridge: The penalty that was chosen; None where the inherited weights were kept.
        error_before: With the inherited weights.
        error_after: With those that the network has; never more.
        condition: Of the system that was solved, at least; infinite where none was.
    """

    layer: int
    half: Half
    part: Literal["reads", "writes"]
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
        fits: What was solved, in the order in which a text passes it: all from the first half on
            that lacks units, or has dropped layers in front of it or behind it.
    """

    model: PreTrainedModel
    fits: tuple[Fit, ...]


@torch.no_grad()
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
        seed: Of what is drawn: held-out texts and tokens.
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
    batches, rows, judges = [], [], []
    sums: list[dict[Half, list[Tensor]]] = [
        {half: [] for half in HALVES} for _ in family.layer_list(model)
    ]
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
        hidden = family.embed(model, batch)
        mask = family.mask(model, hidden, batch)
        for at in passed(family.layer_list(model), family, hidden, mask):
            sums[at.layer][at.half].append((at.read + at.written).flatten(0, 1)[chosen])
        done += len(indices)
        progress(done, len(texts))
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
    full_layers = family.layer_list(model)
    walk = Walk.of(dense, family, reference.batches)
    fits: list[Fit] = []
    lacking = config.layers[0] > 0
    following = (*config.layers[1:], len(full_layers))
    for place, (index, next_index) in enumerate(zip(config.layers, following, strict=True)):
        last = next_index - 1
        if last > index:
            _take_normalisation(walk.layers[place], full_layers[last], family)
        targets: dict[Half, int] = {"attention": index, "feed-forward": last}
        for half, target in targets.items():
            fitted = partial(_fit, reference=reference, ridges=ridges, layer=index, half=half)
            if lacking:
                wanted = read_by_full(full_layers, index, half, family, reference)
                states, reading = reference.sampled(walk.states), walk.readers(place, half)
                intercept = all(linear.bias is not None for linear in reading)
                correction, fit = fitted(states, states, wanted, intercept=intercept, part="reads")
                for linear in reading:
                    read_corrected(linear, correction)
                fits.append(fit)
            read, linear = walk.read(place, half), walk.projection(place, half)
            whole = projection(full_layers[index], family, half).in_features
            lacking = lacking or target > index or linear.in_features < whole
            if lacking:
                rows, sums = walk.rows(read, place, half, reference)
                wanted, intercept = reference.sums[target][half], linear.bias is not None
                correction, fit = fitted(rows, sums, wanted, intercept=intercept, part="writes")
                add_correction(linear, correction)
                fits.append(fit)
            walk.go_on(read, place, half)
    if config.tokens is not None:
        eliminating = extract(model, config)
        eliminating.load_state_dict(dense.state_dict())
        dense = eliminating
    return Repaired(dense, tuple(fits))


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
    ours, wanted = (centred_logits(network, reference.judging) for network in (dense, model))
    wrong = (ours - wanted).square().sum()
    spread = (wanted - wanted.mean(0)).square().sum()
    return (wrong / spread.clamp(min=torch.finfo(wanted.dtype).tiny)).item()


def centred_logits(network: PreTrainedModel, batches: Sequence[Batch]) -> Tensor:
    """The logits of all texts, without what a text's have in common where they are several."""
    return centred(torch.cat([network(**batch).logits for batch in batches]))


def centred(logits: Tensor) -> Tensor:
    """Logits [N, C] around their mean; a single one, of a regression, as it is."""
    return logits - logits.mean(1, keepdim=True) if logits.shape[1] > 1 else logits


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
    def of(cls, network: PreTrainedModel, family: Family, batches: Sequence[Batch]) -> "Walk":
        """Before the first layer of a dense network of a family."""
        states = [family.embed(network, batch) for batch in batches]
        pairs = zip(states, batches, strict=True)
        masks = [family.mask(network, state, batch) for state, batch in pairs]
        return cls(family.layer_list(network), family, states, masks)

    def projection(self, place: int, half: Half) -> nn.Linear:
        """The linear layer that ends a half of a layer."""
        return projection(self.layers[place], self.family, half)

    def readers(self, place: int, half: Half) -> list[nn.Linear]:
        """The linear layers of a half that read the hidden states."""
        return readers(self.layers[place], self.family, half)

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


def read_corrected(linear: nn.Linear, correction: Correction) -> None:
    """Let a linear layer read corrected states, in place."""
    if linear.bias is not None:
        linear.bias.add_(linear.weight @ correction.bias)
    linear.weight.add_(linear.weight @ correction.weight)


def read_by_full(
    layers: nn.ModuleList, index: int, half: Half, family: Family, reference: Reference
) -> Tensor:
    """What a half of the full model reads at sampled tokens, but for its first one, [N, E]."""
    before: tuple[int, Half] = (
        (index - 1, "feed-forward") if half == "attention" else (index, "attention")
    )
    at, ended = before
    states: Tensor = normalisation(layers[at], family, ended)(reference.sums[at][ended])
    return states


def _fit(
    inputs: Tensor,
    states: Tensor,
    wanted: Tensor,
    *,
    reference: Reference,
    ridges: Sequence[float],
    intercept: bool,
    **place: Any,
) -> tuple[Correction, Fit]:
    """Fit what some states lack.

    Args:
        inputs: What the linear map reads, [N, I].
        states: The states, [N, E].
        wanted: The full model's, [N, E].
        reference: Says which tokens judge.
        ridges: The penalties to try.
        intercept: Whether there is a bias.
        place: The fields of `Fit` that say what is fitted.
    """
    held_out = reference.held_out
    correction = ridge_correction(
        inputs, wanted - states, held_out, ridges=ridges, intercept=intercept
    )
    judged = wanted[held_out]
    spread = (judged - judged.mean(0)).square().mean(0).sum().item()
    scale = max(spread, torch.finfo(wanted.dtype).tiny)
    return correction, Fit(
        **place,
        inputs=inputs.shape[1],
        ridge=correction.ridge,
        error_before=correction.error_before / scale,
        error_after=correction.error_after / scale,
        condition=correction.condition,
    )


def _take_normalisation(layer: nn.Module, source: nn.Module, family: Family) -> None:
    """Let a layer's output leave through the normalisation of another layer."""
    theirs = normalisation(source, family, "feed-forward")
    normalisation(layer, family, "feed-forward").load_state_dict(theirs.state_dict())
