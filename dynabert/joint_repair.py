"""One closed-form repair for several widths at once: where a supernet starts.

`reconstruction` fits what the halves of one sub-network read and write. The sub-networks of a
supernet share those weights: what a narrower projection reads are the leading inputs of what a
wider one reads, so that one serves all of them if it is fitted to the rows of all, with zeros for
the inputs that a network lacks. Each network runs by itself beside the full model as it was, and
what is fitted is what each of them lacks there. The full model is one of them: it lacks nothing
until weights that others need change it.

Legend: N sampled tokens, I inputs of a projection.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from ..encoders.extraction import extract
from ..encoders.families import family_of
from ..networks.subnet import SubnetConfig
from .halves import HALVES, projection, readers
from .reconstruction import (
    Counting,
    Reference,
    Walk,
    add_correction,
    read_by_full,
    read_corrected,
    uncounted,
)
from .ridge import RIDGES, ridge_correction


@torch.no_grad()
def repair_together(
    model: PreTrainedModel,
    configs: Sequence[SubnetConfig],
    reference: Reference,
    *,
    ridges: Sequence[float] = RIDGES,
    progress: Counting = uncounted,
) -> None:
    """Fit what a full model's halves read and write, in place, to serve all of its widths.

    Args:
        model: What `reference` was collected from, its units in their final order.
        configs: Sub-networks that keep every layer and every word-vector.
        reference: The full model's states.
        ridges: The penalties to try.
        progress: Is called with the number of layers that are done and of all.

    Raises:
        InputError: When a sub-network is larger than the model.
    """
    family = family_of(model)
    walks = [Walk.of(extract(model, config), family, reference.batches) for config in configs]
    held_out = reference.held_out.repeat(len(walks))
    layers = family.layer_list(model)
    for index, layer in enumerate(layers):
        for half in HALVES:
            if (index, half) != (0, HALVES[0]):
                states = torch.cat([reference.sampled(walk.states) for walk in walks])
                wanted = read_by_full(layers, index, half, family, reference)
                own = readers(layer, family, half)
                correction = ridge_correction(
                    states,
                    wanted.repeat(len(walks), 1) - states,
                    held_out,
                    ridges=ridges,
                    intercept=all(linear.bias is not None for linear in own),
                )
                for linear in (*own, *(each for w in walks for each in w.readers(index, half))):
                    read_corrected(linear, correction)
            shared = projection(layer, family, half)
            read = [walk.read(index, half) for walk in walks]
            rows = [
                walk.rows(inputs, index, half, reference)
                for walk, inputs in zip(walks, read, strict=True)
            ]
            correction = ridge_correction(
                torch.cat([_widened(inputs, shared.in_features) for inputs, _ in rows]),
                torch.cat([reference.sums[index][half] - sums for _, sums in rows]),
                held_out,
                ridges=ridges,
                intercept=shared.bias is not None,
            )
            for linear in (shared, *(walk.projection(index, half) for walk in walks)):
                add_correction(linear, correction)
            for walk, inputs in zip(walks, read, strict=True):
                walk.go_on(inputs, index, half)
        progress(index + 1, len(layers))


def _widened(inputs: Tensor, width: int) -> Tensor:
    """Rows [N, I] with zeros for the inputs that are lacking."""
    return nn.functional.pad(inputs, (0, width - inputs.shape[1]))
