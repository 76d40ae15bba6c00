"""In which order a layer can do without its heads and neurons, when the rest is fitted again.

Without a unit, the weights that read the others can make up for a part of it. The squared error
that remains is the optimal brain surgeon's (Hassibi & Stork 1993), over all inputs S of the unit
and all outputs: trace(W_S^T (H^-1_SS)^-1 W_S), with W the weights and H = X^T X of the inputs.
The units with the least are taken away, the others fitted, and so on to the last one (as ZipLM
does, Kurtic et al. 2023). The first k units are then a good choice for every k.

Legend: N sampled tokens, I inputs, O outputs, U units of D inputs each.
"""

import torch
from torch import Tensor
from transformers import PreTrainedModel

from ..encoders.families import family_of, shape_of
from .halves import HALVES, projection, recorded, run_half
from .importance import Importance
from .reconstruction import Reference, embedded
from .ridge import loaded, mean, normal_equations

RIDGE = 1e-2
"""Penalty of the fits, relative to the mean diagonal of H."""

STEP_SHARE = 1 / 32
"""The share of the units that are left which goes in one step, at least one unit."""


@torch.no_grad()
def necessity(model: PreTrainedModel, reference: Reference) -> Importance:
    """Score the units of a fine-tuned model by how long a layer cannot do without them.

    Args:
        model: The full model that `reference` was collected from.
        reference: Its texts, and how much tokens count.
    """
    family, head_size = family_of(model), shape_of(model.config).head_size
    states, masks = embedded(model, family, reference)
    scores: dict[str, list[Tensor]] = {half: [] for half in HALVES}
    for layer, counts in zip(family.layer_list(model), reference.counts, strict=True):
        for half in HALVES:
            linear, run, inputs = (
                projection(layer, family, half),
                run_half(layer, family, half),
                [],
            )
            for place, rows in enumerate(reference.rows):
                with recorded(linear) as seen:
                    states[place] = run(states[place], masks[place])
                inputs.append(seen.input.flatten(0, -2)[rows])
            read = torch.cat(inputs)
            read = read - mean(read, counts[half])
            gram, _ = normal_equations(read, read[:, :1], counts=counts[half])
            order = removal_order(
                loaded(gram, RIDGE),
                linear.weight.T.double(),
                unit_size=head_size if half == "attention" else 1,
            )
            scores[half].append(order.argsort().float())
    return Importance(tuple(scores["attention"]), tuple(scores["feed-forward"]))


def removal_order(gram: Tensor, weight: Tensor, *, unit_size: int = 1) -> Tensor:
    """Order units by when they are taken away, the first one first.

    Args:
        gram: H, positive definite, [I, I].
        weight: What reads the inputs, [I, O].
        unit_size: Inputs of one unit, D.

    Returns:
        Indices of the units, [U].
    """
    left = torch.arange(len(gram) // unit_size, device=gram.device)
    inverse, removed = torch.linalg.inv(gram), []
    while len(left):
        places = torch.arange(len(left) * unit_size, device=gram.device).view(-1, unit_size)
        costs = _costs(inverse, weight, places)
        leaving = costs.argsort(stable=True)[: max(1, int(len(left) * STEP_SHARE))]
        staying = torch.ones(len(left), dtype=torch.bool, device=gram.device)
        staying[leaving] = False
        removed.append(left[leaving])
        left = left[staying]
        inverse, weight = _without(
            inverse, weight, gone=places[leaving].flatten(), kept=places[staying].flatten()
        )
    return torch.cat(removed)


def _costs(inverse: Tensor, weight: Tensor, places: Tensor) -> Tensor:
    """What each unit's removal costs by itself; its inputs are a row of `places` [U, D]."""
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
