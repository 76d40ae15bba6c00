"""What a layer loses without heads and neurons when the rest is fitted again, and in which order.

Without a unit, the weights that read the others can make up for a part of it. The squared error
that remains is the optimal brain surgeon's (Hassibi & Stork 1993), over all inputs S of the unit
and all outputs: trace(W_S^T (H^-1_SS)^-1 W_S), with W the weights and H = X^T X of the inputs.
The units with the least are taken away, the others fitted, and so on to the last one (as ZipLM
does, Kurtic et al. 2023). The first k units are then a good choice for every k.

An error is counted as that of the logits, to first order and up to a factor common to all: a
token's squared error times the mean squared gradient of the logits at that place. So the errors of
all halves of all layers compare and add up. (ZipLM's are relative to each layer's output.)

Legend: N sampled tokens, I inputs, O outputs, U units of D inputs each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from ..encoders.families import family_of, shape_of
from .halves import HALVES, Half, projection, recorded, run_half
from .importance import Importance
from .losses import LayerLosses, Losses
from .reconstruction import Reference, embedded
from .ridge import loaded, mean, normal_equations

RIDGE = 1e-2
"""Penalty of the fits, relative to the mean diagonal of H."""

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


@torch.no_grad()
def removals(model: PreTrainedModel, reference: Reference) -> tuple[dict[Half, Removal], ...]:
    """Take the units of a fine-tuned model away, each half of each layer by itself.

    Args:
        model: The full model that `reference` was collected from.
        reference: Its texts, and how much tokens count.

    Returns:
        For each layer and half what its removal costs the logits, in a unit common to all.
    """
    family, head_size = family_of(model), shape_of(model.config).head_size
    states, masks = embedded(model, family, reference)
    found: list[dict[Half, Removal]] = []
    for layer, counts, slopes in zip(
        family.layer_list(model), reference.counts, reference.slopes, strict=True
    ):
        found.append({})
        for half in HALVES:
            linear, run = projection(layer, family, half), run_half(layer, family, half)
            inputs = []
            for place, rows in enumerate(reference.rows):
                with recorded(linear) as seen:
                    states[place] = run(states[place], masks[place])
                inputs.append(seen.input.flatten(0, -2)[rows])
            read = torch.cat(inputs)
            read = read - mean(read, counts[half])
            gram, _ = normal_equations(read, read[:, :1], counts=counts[half])
            found[-1][half] = removal(
                loaded(gram, RIDGE) * (slopes[half] / counts[half].sum().item()),
                linear.weight.T.double(),
                unit_size=head_size if half == "attention" else 1,
            )
    return tuple(found)


def necessity(found: Sequence[Mapping[Half, Removal]]) -> Importance:
    """Scores of the units by how long a layer cannot do without them."""
    heads, neurons = (
        tuple(halves[half].order.argsort().float() for halves in found) for half in HALVES
    )
    return Importance(heads, neurons)


def layer_losses(found: Sequence[Mapping[Half, Removal]]) -> tuple[LayerLosses, ...]:
    """What proposals are made from: the errors by the number of units that are left."""

    def curve(removal: Removal) -> Losses:
        return tuple(zip(reversed(removal.sizes), reversed(removal.errors), strict=True))

    return tuple(
        LayerLosses(curve(halves["attention"]), curve(halves["feed-forward"])) for halves in found
    )


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
