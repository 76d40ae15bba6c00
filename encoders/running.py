"""An encoder run piece by piece, so that the states of its layers can be learnt from.

It serves a supernet's active sub-network and a dense network alike, with and without elimination
of word-vectors.

Shape letters: B batch, T tokens, K tokens kept, E hidden size, C labels.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from ..networks.retention import Retention
from .elimination import Kept, chooser, run_layers
from .family import Family


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
