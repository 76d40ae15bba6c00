"""A model whose layers, heads and neurons have gates, and what is read off them.

A gate multiplies what the projection that ends attention or feed-forward network reads of its
head or neuron. A layer's gate g mixes what enters the layer, x, and what leaves it, y: x + g
(y - x), so that at 0 it is skipped and at 1 as it was, its normalisations among it. Hence the
dense network of the open gates computes what the gated model does, wherever the layers' gates are
0 or 1 and no layer has lost all its heads or neurons.

Legend: B batch, T tokens, E hidden size, H heads, F neurons, D head size.
"""

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from ..dynabert.halves import Half, projection
from ..dynabert.importance import Importance
from ..dynabert.rewiring import rewire
from ..encoders.extraction import extract
from ..encoders.families import family_of, shape_of
from ..encoders.family import Family
from ..encoders.running import EncoderOutput, run_encoder
from ..errors import InputError
from ..networks.shape import EncoderShape
from ..networks.subnet import SubnetConfig
from ..profiling.workload import Workload
from ..tasks.batches import Batch
from ..training.gates import drawn, open_probability, settled

START = {"layer": 5.0, "heads": 3.0, "neurons": 2.0}
"""What has gates, and log a of each at first: open, and the larger the later they close."""

UNITS: dict[Half, str] = {"attention": "heads", "feed-forward": "neurons"}
"""Which units the projection of each half reads."""


class GatedLayer(nn.Module):
    """A transformer layer with gates.

    Attributes:
        layer: The layer.
        log_alpha: The gates' locations by kind: [1], [H] and [F].
    """

    def __init__(self, layer: nn.Module, family: Family, shape: EncoderShape) -> None:
        """Gate a layer of a model of that family and shape."""
        super().__init__()
        self.layer = layer
        sizes = {"layer": 1, "heads": shape.num_heads, "neurons": shape.ffn_size}
        self.log_alpha = nn.ParameterDict(
            {
                kind: nn.Parameter(torch.full((sizes[kind],), location))
                for kind, location in START.items()
            }
        )
        self.gates: dict[str, Tensor] = {}
        self.settle()
        for half, kind in UNITS.items():
            width = shape.head_size if kind == "heads" else 1
            projection(layer, family, half).register_forward_pre_hook(self._gate(kind, width))

    def draw(self) -> None:
        """Draw every gate at random, for the forward passes that follow."""
        self.gates = {kind: drawn(self.log_alpha[kind]) for kind in START}

    def settle(self) -> None:
        """Leave nothing to chance in the forward passes that follow."""
        self.gates = {kind: settled(self.log_alpha[kind]) for kind in START}

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """Map hidden states [B, T, E] and the family's mask to hidden states [B, T, E]."""
        changed = self.layer(hidden, mask)
        return cast(Tensor, hidden + self.gates["layer"] * (changed - hidden))

    def _gate(self, kind: str, width: int) -> Callable[[nn.Module, tuple[Tensor, ...]], Tensor]:
        """What multiplies the only input of a projection by the gates of its units."""
        return lambda module, inputs: inputs[0] * self.gates[kind].repeat_interleave(width)


class GatedModel(nn.Module):
    """A classification model whose encoder has gates.

    Attributes:
        model: The model.
        layers: Its layers with their gates.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        """Gate a model, whose parameters learn with the gates."""
        super().__init__()
        self.model = model
        self.family, self.shape = family_of(model), shape_of(model.config)
        self.layers = nn.ModuleList(
            GatedLayer(layer, self.family, self.shape) for layer in self.family.layer_list(model)
        )

    def draw(self) -> None:
        """Draw every gate at random, for the forward passes that follow."""
        for layer in self._gated:
            layer.draw()

    def run(self, batch: Batch) -> EncoderOutput:
        """Run the model with the gates as they were drawn last."""
        return run_encoder(
            self.model,
            self.family,
            self.family.embed(self.model, batch),
            batch,
            layers=dict(enumerate(self._gated)),
            tokens=None,
        )

    def open_layers(self) -> list[int]:
        """The layers that are not skipped, as the gates were drawn last."""
        return [i for i, layer in enumerate(self._gated) if layer.gates["layer"].item() > 0]

    def log_alphas(self) -> list[nn.Parameter]:
        """The locations of all gates."""
        return [parameter for layer in self._gated for parameter in layer.log_alpha.values()]

    def expected_cost(self, workload: Workload) -> Tensor:
        """The expected multiply-adds over a task's texts, as a share of the full model's."""
        rates, total = workload.rates, torch.zeros((), device=self._gated[0].gates["layer"].device)
        for layer in self._gated:
            odds = {kind: open_probability(layer.log_alpha[kind]).sum() for kind in START}
            units = rates.per_head * odds["heads"] + rates.per_neuron * odds["neurons"]
            total = total + odds["layer"] * (rates.per_layer + units)
        return total / workload.full

    @torch.no_grad()
    def dense(self, workload: Workload, *, macs: int) -> PreTrainedModel:
        """The dense network of the open gates, of a cost that is given at most.

        The gates of heads and neurons that stay are multiplied into the weights that read them.

        Args:
            workload: What units cost.
            macs: Multiply-adds over its texts.

        Raises:
            InputError: When not even one layer of one head and one neuron is affordable.
        """
        locations = {
            kind: [layer.log_alpha[kind].detach().cpu() for layer in self._gated] for kind in START
        }
        config = read_off(
            [location.item() for location in locations["layer"]],
            [location.tolist() for location in locations["heads"]],
            [location.tolist() for location in locations["neurons"]],
            workload,
            macs=macs,
        )
        for layer in self._gated:
            for half, kind in UNITS.items():
                width = self.shape.head_size if kind == "heads" else 1
                linear = projection(layer.layer, self.family, half)
                linear.weight.mul_(settled(layer.log_alpha[kind]).repeat_interleave(width))
        self.model.cpu()
        rewire(self.model, Importance(tuple(locations["heads"]), tuple(locations["neurons"])))
        return extract(self.model, config)

    @property
    def _gated(self) -> list[GatedLayer]:
        return cast(list[GatedLayer], list(self.layers))


def read_off(
    layers: Sequence[float],
    heads: Sequence[Sequence[float]],
    neurons: Sequence[Sequence[float]],
    workload: Workload,
    *,
    macs: int,
) -> SubnetConfig:
    """What is kept: the layers whose gates are open, and their units in the order of log a.

    Where the open layers at their full width cost less than is allowed, others are kept too.

    Units are taken while they are affordable, from the one of the highest log a on, the best head
    and neuron of each layer before all others.

    Args:
        layers: log a of each layer.
        heads: Of each layer's heads.
        neurons: Of each layer's neurons.
        workload: What units cost.
        macs: What all of them may cost.

    Raises:
        InputError: When not even one layer of one head and one neuron is affordable.
    """
    rates = workload.rates
    least = rates.per_layer + rates.per_head + rates.per_neuron
    if least > macs:
        raise InputError(
            f"A layer of one head and one neuron has {workload.full / least:.1f} times fewer "
            "multiply-adds than the full model, and the target is higher: ask for less."
        )
    ranked = sorted(range(len(layers)), key=lambda i: -layers[i])
    number = sum(settled(torch.tensor(location)).item() > 0 for location in layers)
    needed = -(-macs * len(layers) // workload.full)
    kept = sorted(ranked[: min(max(number, needed), macs // least)])
    counts = {"heads": dict.fromkeys(kept, 1), "neurons": dict.fromkeys(kept, 1)}
    spare = macs - least * len(kept)
    others = [
        (location, kind, index, cost)
        for kind, locations, cost in (
            ("heads", heads, rates.per_head),
            ("neurons", neurons, rates.per_neuron),
        )
        for index in kept
        for location in sorted(locations[index], reverse=True)[1:]
    ]
    for _, kind, index, cost in sorted(others, key=lambda unit: -unit[0]):
        if cost <= spare:
            counts[kind][index] += 1
            spare -= cost
    return SubnetConfig(
        tuple(kept), tuple(counts["heads"].values()), tuple(counts["neurons"].values())
    )
