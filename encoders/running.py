"""An encoder run piece by piece, so that the states of its layers can be learnt from.

It serves a supernet's active sub-network and a dense network alike, with and without elimination
of word-vectors.

Shape letters: B batch, T tokens, K tokens kept, E hidden size, C labels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from ..networks.retention import Retention
from ..networks.subnet import SubnetConfig
from .elimination import Kept, additive, chooser, run_layers
from .family import Family
from .fused import run_layer
from .plan import LayerSizes


@dataclass(frozen=True, slots=True)
class EncoderOutput:
    """What a network computed.

    Attributes:
        embeddings: What the first layer read, [B, T, E].
        logits: [B, C].
        hidden: The output of each kept layer by the layer's index in the full model: [B, T, E],
            or [B, K, E] where K word-vectors are kept.
        kept: Which these are, by the layer's index; empty where none is eliminated.
    """

    embeddings: Tensor
    logits: Tensor
    hidden: dict[int, Tensor]
    kept: dict[int, Kept]


def run_encoder(
    model: PreTrainedModel,
    family: Family,
    embeddings: Tensor,
    batch: Mapping[str, Tensor],
    *,
    layers: Mapping[int, nn.Module],
    tokens: Retention | None,
) -> EncoderOutput:
    """Run layers of a model from the embeddings on, and its head.

    Args:
        model: A classification model; with `tokens`, one whose attention gives scores.
        family: Its family.
        embeddings: What the first of the layers reads, [B, T, E].
        batch: Its `attention_mask` [B, T] is used.
        layers: The layers to run, in order, by their index in the full model.
        tokens: What leaves each of them; None where nothing is eliminated.
    """
    hidden, kept = {}, {}
    state = embeddings
    if tokens is None:
        mask = family.mask(model, embeddings, batch)
        for index, layer in layers.items():
            state = layer(state, mask)
            hidden[index] = state
    else:
        present = batch.get("attention_mask")
        if present is None:
            present = embeddings.new_ones(embeddings.shape[:2], dtype=torch.long)
        choose = chooser(list(tokens.amounts), tokens.unit, present)
        steps = run_layers(family, layers.values(), embeddings, present, choose)
        for index, (state, chosen) in zip(layers, steps, strict=True):
            hidden[index], kept[index] = state, chosen
    return EncoderOutput(embeddings, family.classify(model, state), hidden, kept)


def run_together(
    model: PreTrainedModel,
    family: Family,
    embeddings: Tensor,
    batch: Mapping[str, Tensor],
    configs: Sequence[SubnetConfig],
    *,
    head_size: int,
) -> list[EncoderOutput]:
    """Run several sub-networks of a full model from the same embeddings on.

    Sub-networks that begin alike, with the same layers of the same sizes, are run once as far as
    they do, and share what dropout draws there. Where they are equally wide in a layer, this layer
    reads all of their states in one batch.

    Args:
        model: The full model.
        family: Its family.
        embeddings: What the first layer reads, [B, T, E] float32.
        batch: Its `attention_mask` [B, T] is used.
        configs: The sub-networks, with every word-vector in every layer.
        head_size: Of the model.

    Returns:
        What each of them computed; states that several share are one tensor.
    """
    paths = [
        tuple(zip(config.layers, config.heads, config.neurons, strict=True)) for config in configs
    ]
    present = batch.get("attention_mask")
    if present is None:
        present = embeddings.new_ones(embeddings.shape[:2], dtype=torch.long)
    mask = additive(present, torch.float32)
    states: dict[tuple[tuple[int, int, int], ...], Tensor] = {(): embeddings}
    for index, layer in enumerate(family.layer_list(model)):
        ends = [
            path[: place + 1]
            for path in paths
            for place, (kept, *_) in enumerate(path)
            if kept == index
        ]
        for _, heads, neurons in dict.fromkeys(end[-1] for end in ends):
            equal = list(dict.fromkeys(end for end in ends if end[-1] == (index, heads, neurons)))
            read = [states[end[:-1]] for end in equal]
            written = run_layer(
                family,
                layer,
                torch.cat(read) if len(read) > 1 else read[0],
                mask.repeat(len(read), 1, 1, 1),
                LayerSizes(embeddings.shape[-1], head_size, heads, neurons),
            )
            states.update(zip(equal, written.chunk(len(read)), strict=True))
    last = torch.cat([states[path] for path in paths])
    return [
        EncoderOutput(
            embeddings,
            logits,
            {path[place][0]: states[path[: place + 1]] for place in range(len(path))},
            {},
        )
        for path, logits in zip(paths, family.classify(model, last).chunk(len(paths)), strict=True)
    ]
