"""One closed-form repair for several widths at once: where a supernet starts.

`reconstruction` solves the projections of one sub-network. The sub-networks of a supernet share
theirs: what a narrower one reads are the leading inputs of what a wider one reads, so that a
projection serves all of them if it is fitted to the rows of all, with zeros for the inputs that a
network lacks. Each network runs by itself beside the full model as it was, and what is fitted is
what each of them lacks there. The full model is one of them: it lacks nothing until a projection
that others need changes it.

Legend: B batch, T tokens, E hidden size, N sampled tokens, I inputs of a projection.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from ..encoders.extraction import extract
from ..encoders.families import family_of
from ..encoders.family import Family
from ..networks.subnet import SubnetConfig
from .halves import HALVES, Half, normalisation, projection, recorded, run_half
from .reconstruction import Reference, embedded
from .ridge import RIDGES, ridge_correction


@torch.no_grad()
def repair_together(
    model: PreTrainedModel,
    configs: Sequence[SubnetConfig],
    reference: Reference,
    *,
    ridges: Sequence[float] = RIDGES,
) -> None:
    """Solve the projections of a full model, in place, so that they serve all of its widths.

    Args:
        model: What `reference` was collected from, its units in their final order.
        configs: Sub-networks that keep every layer and every word-vector.
        reference: The full model's states.
        ridges: The penalties to try.

    Raises:
        InputError: When a sub-network is larger than the model.
    """
    family = family_of(model)
    running = [_Running.of(extract(model, config), family, reference) for config in configs]
    held_out = reference.held_out.repeat(len(running))
    for index, layer in enumerate(family.layer_list(model)):
        for half in HALVES:
            shared = projection(layer, family, half)
            targets = reference.sums[index][half]
            read = [network.read(index, half) for network in running]
            rows = [
                network.rows(inputs, index, half, reference)
                for network, inputs in zip(running, read, strict=True)
            ]
            correction = ridge_correction(
                torch.cat([_widened(inputs, shared.in_features) for inputs, _ in rows]),
                torch.cat([targets - written for _, written in rows]),
                held_out,
                counts=reference.counts[index][half].repeat(len(running)),
                ridges=ridges,
                intercept=shared.bias is not None,
            )
            for linear in (shared, *(network.linear(index, half) for network in running)):
                linear.weight.add_(correction.weight[:, : linear.in_features])
                if linear.bias is not None:
                    linear.bias.add_(correction.bias)
            for network, inputs in zip(running, read, strict=True):
                network.go_on(inputs, index, half)


@dataclass(slots=True)
class _Running:
    """A network on its way through the layers.

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
    def of(cls, network: PreTrainedModel, family: Family, reference: Reference) -> "_Running":
        """A network before its first layer."""
        return cls(family.layer_list(network), family, *embedded(network, family, reference))

    def linear(self, index: int, half: Half) -> nn.Linear:
        """The projection at the end of a half."""
        return projection(self.layers[index], self.family, half)

    def read(self, index: int, half: Half) -> list[Tensor]:
        """What that projection reads by batch, [B, T, I]."""
        run, found = run_half(self.layers[index], self.family, half), []
        for state, mask in zip(self.states, self.masks, strict=True):
            with recorded(self.linear(index, half)) as seen:
                run(state, mask)
            found.append(seen.input)
        return found

    def rows(
        self, read: Sequence[Tensor], index: int, half: Half, reference: Reference
    ) -> tuple[Tensor, Tensor]:
        """What it reads at sampled tokens, [N, I], and the states before the normalisation."""
        linear, inputs, sums = self.linear(index, half), [], []
        for each, state, places in zip(read, self.states, reference.rows, strict=True):
            inputs.append(each.flatten(0, -2)[places])
            sums.append(state.flatten(0, 1)[places] + linear(inputs[-1]))
        return torch.cat(inputs), torch.cat(sums)

    def go_on(self, read: Sequence[Tensor], index: int, half: Half) -> None:
        """Run to the end of the half."""
        linear, norm = (
            self.linear(index, half),
            normalisation(self.layers[index], self.family, half),
        )
        self.states = [
            norm(state + linear(each)) for state, each in zip(self.states, read, strict=True)
        ]


def _widened(inputs: Tensor, width: int) -> Tensor:
    """Rows [N, I] with zeros for the inputs that are lacking."""
    return nn.functional.pad(inputs, (0, width - inputs.shape[1]))
