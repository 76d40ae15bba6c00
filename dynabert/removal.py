"""What a layer loses without heads and neurons when the rest is fitted again, and in which order.

Without a unit, the weights that read the others can make up for a part of it. The squared error
that remains is the optimal brain surgeon's (Hassibi & Stork 1993), over all inputs S of the unit
and all outputs: trace(W_S^T (H^-1_SS)^-1 W_S), with W the weights and H = X^T X of the inputs.
The units with the least are taken away, the others fitted, and so on to the last one (as ZipLM
does, Kurtic et al. 2023). The first k units are then a good choice for every k.

An error e of the states at a token is counted as that of the logits, to first order: by
(g^T e)^2, with g the logits' gradient there. The mean over tokens of what this makes of the
squared error is taken for a product, as K-FAC does (Martens & Grosse 2015): a token counts by the
squared norm of g, a direction of e by the mean g g^T, and a part of both is the same for all.
(ZipLM's errors are relative to each layer's output, and alike in all directions.)

What a whole layer adds is no small error, and every layer after the first ones reads what they
found. So how much a half counts, and a gap between layers, is seen at the logits themselves: the
full model runs on from the states that are left where a half keeps a quarter of its units, or a
linear map stands for the dropped layers, both fitted as in `reconstruction`. A half's errors at
other sizes are in proportion. What later layers would make up for is not counted.

Legend: N sampled tokens, E hidden size, I inputs, O outputs, U units of D inputs each.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from transformers import PreTrainedModel

from ..encoders.families import family_of, shape_of
from ..encoders.family import Family
from ..tasks.batches import Batch
from .halves import HALVES, Half, normalisation, passed, run_half
from .importance import Importance
from .losses import LayerLosses, Losses, RepairLosses
from .reconstruction import (
    Counting,
    Reference,
    Walk,
    centred,
    centred_logits,
    read_by_full,
    uncounted,
)
from .ridge import loaded, normal_equations, ridge_correction

RIDGE = 1e-2
"""Penalty of the fits, relative to the mean diagonal of H."""

PROBED_SHARE = 1 / 4
"""The share of a half's units, the most necessary ones, that is left where its logits are seen."""

EVEN_SHARE = 0.1
"""The part of the tokens' and of the directions' counts that is the same for all."""

STEP_SHARE = 1 / 32
"""The share of the units that are left which goes in one step, at least one unit."""


@dataclass(frozen=True, slots=True)
class Removal:
    """In which order the units of a half are taken away, and the error at some sizes.

    Attributes:
        order: Indices of the units, the first one to go first, [U].
        sizes: Numbers of units that are left, from all of them to none.
        errors: The squared error at each of them, never less than at the one before.
    """

    order: Tensor
    sizes: tuple[int, ...]
    errors: tuple[float, ...]

    def scaled(self, size: int, error: float) -> Self:
        """The same with errors in proportion, so that one of them is known."""
        known = float(np.interp(-size, [-left for left in self.sizes], self.errors))
        factor = error / known if known else 0.0
        return replace(self, errors=tuple(factor * each for each in self.errors))


@dataclass(frozen=True, slots=True)
class Removals:
    """What a model loses without units, and without layers.

    Attributes:
        halves: For each layer and half its removal, with errors of the logits.
        gaps: See `losses.RepairLosses`.
    """

    halves: tuple[dict[Half, Removal], ...]
    gaps: tuple[tuple[float, ...], ...]

    @property
    def importance(self) -> Importance:
        """Scores of the units by necessity: how long a layer cannot do without them."""
        heads, neurons = (
            tuple(found[half].order.argsort().float() for found in self.halves) for half in HALVES
        )
        return Importance(heads, neurons)

    @property
    def losses(self) -> RepairLosses:
        """What the logits lose by the number of units that are left, and by the gaps."""

        def curve(removal: Removal) -> Losses:
            return tuple(zip(reversed(removal.sizes), reversed(removal.errors), strict=True))

        layers = (
            LayerLosses(curve(found["attention"]), curve(found["feed-forward"]))
            for found in self.halves
        )
        return RepairLosses(tuple(layers), self.gaps)


@torch.no_grad()
def removals(
    model: PreTrainedModel, reference: Reference, *, progress: Counting = uncounted
) -> Removals:
    """Take the units of a fine-tuned model away, each half of each layer by itself.

    Args:
        model: The full model that `reference` was collected from.
        reference: Its texts and states.
        progress: Is called with the number of layers that are done and of all.
    """
    family, head_size = family_of(model), shape_of(model.config).head_size
    slopes = _slopes(model, reference)
    walk = Walk.of(model, family, reference.batches)
    judge = _Judge.of(model, family, reference.judging)
    num_layers = len(walk.layers)
    found: list[dict[Half, Removal]] = []
    gaps = []
    for index in range(num_layers):
        states = reference.sampled(walk.states)
        behind = (
            judge.without(after, states, reference)
            for after in range(index + 1, num_layers + (index > 0))
        )
        gaps.append((0.0, *behind))
        found.append({})
        for half in HALVES:
            unit_size = head_size if half == "attention" else 1
            read = walk.through(index, half, reference)
            slope = slopes[index][half]
            around = (read - slope.tokens @ read / len(read)) * slope.tokens.sqrt()[:, None]
            gram, _ = normal_equations(around, around[:, :1])
            taken = removal(
                loaded(gram, RIDGE) / len(read),
                walk.projection(index, half).weight.T.double() @ slope.root,
                unit_size=unit_size,
            )
            left = max(1, int(len(taken.order) * PROBED_SHARE))
            units = taken.order[-left:, None] * unit_size
            inputs = (units + torch.arange(unit_size, device=units.device)).flatten()
            judged = judge.walk.read(index, half)
            error = judge.narrowed(index, half, judged, inputs, read, reference)
            found[-1][half] = taken.scaled(left, error)
            judge.walk.go_on(judged, index, half)
        progress(index + 1, num_layers)
    return Removals(tuple(found), (*gaps, (0.0,)))


def removal(gram: Tensor, weight: Tensor, *, unit_size: int = 1) -> Removal:
    """Take units away, those that are made up for best first.

    Args:
        gram: H, positive definite, [I, I].
        weight: What reads the inputs, [I, O].
        unit_size: Inputs of one unit, D.
    """
    left = torch.arange(len(gram) // unit_size, device=gram.device)
    inverse, removed = torch.linalg.inv(gram), []
    sizes, errors = [len(left)], [0.0]
    while len(left):
        places = torch.arange(len(left) * unit_size, device=gram.device).view(-1, unit_size)
        costs = _costs(inverse, weight, places)
        leaving = costs.argsort(stable=True)[: max(1, int(len(left) * STEP_SHARE))]
        staying = torch.ones(len(left), dtype=torch.bool, device=gram.device)
        staying[leaving] = False
        removed.append(left[leaving])
        left = left[staying]
        gone = places[leaving].flatten()
        sizes.append(len(left))
        errors.append(errors[-1] + max(0.0, _costs(inverse, weight, gone[None]).item()))
        inverse, weight = _without(inverse, weight, gone=gone, kept=places[staying].flatten())
    return Removal(torch.cat(removed), tuple(sizes), tuple(errors))


@dataclass(frozen=True, slots=True)
class _Slope:
    """How much the logits depend on the states that a half writes.

    Attributes:
        tokens: How much each sampled token counts, 1 on average, [N].
        root: The symmetric root R of how much directions count, [E, E]: an error e by |R e|^2.
    """

    tokens: Tensor
    root: Tensor

    @classmethod
    def of(cls, squares: Tensor, outer: Tensor) -> "_Slope":
        """Read the gradients g.

        Args:
            squares: |g|^2 at sampled tokens, [N].
            outer: The mean of g g^T over them, [E, E].
        """
        size, even = outer.trace(), torch.eye(len(outer), dtype=outer.dtype, device=outer.device)
        if not 0 < size < math.inf:
            return cls(torch.ones_like(squares), even)
        values, vectors = torch.linalg.eigh(
            EVEN_SHARE * size * even + (1 - EVEN_SHARE) * len(outer) * outer
        )
        return cls(
            EVEN_SHARE + (1 - EVEN_SHARE) * squares / squares.mean(),
            (vectors * values.clamp(min=0).sqrt()) @ vectors.T,
        )


Slopes = Sequence[Mapping[Half, _Slope]]
"""Of each layer and half."""


@dataclass(slots=True)
class _Judge:
    """The full model on held-out texts, and what becomes of its logits where states change.

    Attributes:
        model: The full model.
        walk: It, before the half that is next.
        wanted: Its logits, centred, [N, C].
    """

    model: PreTrainedModel
    walk: Walk
    wanted: Tensor

    @classmethod
    def of(cls, model: PreTrainedModel, family: Family, batches: Sequence[Batch]) -> "_Judge":
        """Before its first half, on these texts."""
        return cls(model, Walk.of(model, family, batches), centred_logits(model, batches))

    def without(self, after: int, states: Tensor, reference: Reference) -> float:
        """What the logits lose when a linear map stands for the layers from the next to another.

        Args:
            after: The layer after them; L for none.
            states: What the first of them reads at sampled tokens, [N, E].
            reference: The full model's states.
        """
        family = self.walk.family
        wanted = read_by_full(self.walk.layers, after, "attention", family, reference)
        found = ridge_correction(states, wanted - states, reference.held_out)
        moved = [each + linear(each, found.weight, found.bias) for each in self.walk.states]
        return self._lost(moved, after * len(HALVES))

    def narrowed(
        self,
        index: int,
        half: Half,
        judged: Sequence[Tensor],
        inputs: Tensor,
        read: Tensor,
        reference: Reference,
    ) -> float:
        """What the logits lose when the projection of a half, which is next, reads few inputs.

        Args:
            index: The layer.
            half: The half.
            judged: What its projection reads of the held-out texts, by batch, [B, T, I].
            inputs: Those of I that are left.
            read: What it reads at sampled tokens, [N, I].
            reference: The full model's states.
        """
        whole = self.walk.projection(index, half)
        kept = whole.weight[:, inputs]
        lacking = linear(read, whole.weight) - linear(read[:, inputs], kept)
        found = ridge_correction(read[:, inputs], lacking, reference.held_out)
        norm = normalisation(self.walk.layers[index], self.walk.family, half)
        moved = [
            norm(state + linear(each[..., inputs], kept + found.weight, whole.bias) + found.bias)
            for state, each in zip(self.walk.states, judged, strict=True)
        ]
        return self._lost(moved, index * len(HALVES) + HALVES.index(half) + 1)

    def _lost(self, states: Sequence[Tensor], place: int) -> float:
        """The mean squared distance of the logits where the halves from a place on read these."""
        family, layers = self.walk.family, self.walk.layers
        halves = [run_half(layer, family, half) for layer in layers for half in HALVES][place:]
        logits = []
        for hidden, mask in zip(states, self.walk.masks, strict=True):
            for run in halves:
                hidden = run(hidden, mask)
            logits.append(family.classify(self.model, hidden))
        return (centred(torch.cat(logits)) - self.wanted).square().sum(1).mean().item()


def _slopes(model: PreTrainedModel, reference: Reference) -> Slopes:
    """How much the logits depend on what each half of each layer writes.

    By the gradient of a random combination of the logits, of unit length for each text, to which
    what all logits have in common does not add: the same one in every call.
    """
    family, directions = family_of(model), torch.Generator().manual_seed(0)
    num_halves, hidden_size = len(HALVES) * len(reference.sums), shape_of(model.config).hidden_size
    squares: list[list[Tensor]] = [[] for _ in range(num_halves)]
    outer = torch.zeros(
        num_halves, hidden_size, hidden_size, dtype=torch.float64, device=model.device
    )
    for batch, rows in zip(reference.batches, reference.rows, strict=True):
        with _frozen(model), torch.enable_grad():
            hidden = family.embed(model, batch).detach().requires_grad_()
            mask = family.mask(model, hidden, batch)
            halves = list(passed(family.layer_list(model), family, hidden, mask))
            logits = family.classify(model, halves[-1].left)
            drawn = torch.randn(logits.shape, generator=directions).to(logits)
            combination = nn.functional.normalize(centred(drawn), dim=1)
            gradients = torch.autograd.grad(
                (logits * combination).sum(), [at.written for at in halves]
            )
        for place, gradient in enumerate(gradients):
            slope = gradient.flatten(0, 1)[rows]
            squares[place].append(slope.square().sum(1))
            outer[place] += slope.T @ slope
    outer /= len(reference.held_out)
    found = (_Slope.of(torch.cat(norms), mean) for norms, mean in zip(squares, outer, strict=True))
    return [{half: next(found) for half in HALVES} for _ in family.layer_list(model)]


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


def _costs(inverse: Tensor, weight: Tensor, places: Tensor) -> Tensor:
    """What the removal of each set of inputs costs by itself, [U]; the sets are rows [U, D]."""
    own = inverse[places[:, :, None], places[:, None, :]]
    read = weight[places]
    costs: Tensor = (read * torch.linalg.solve(own, read)).sum((1, 2))
    return costs


def _without(
    inverse: Tensor, weight: Tensor, *, gone: Tensor, kept: Tensor
) -> tuple[Tensor, Tensor]:
    """H^-1 of the kept inputs alone, and their weights fitted again."""
    across = inverse[kept][:, gone]
    right = torch.cat((inverse[gone][:, kept], weight[gone]), dim=1)
    change = across @ torch.linalg.solve(inverse[gone][:, gone], right)
    return (
        inverse[kept][:, kept] - change[:, : len(kept)],
        weight[kept] - change[:, len(kept) :],
    )
