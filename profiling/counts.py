"""Parameters and multiply-adds of a sub-network in closed form (no torch).

Convention: one multiply-add (MAC) is one multiplication with its addition, and FLOPs = 2 x MACs.
Counted are the matrix products of one example of T tokens: the linear layers, the two products of
attention (queries with keys, weights with values), the embedding projection where there is one,
the head's layers at the tokens that it reads. Left out, as in DynaBERT's efficiency figures:
biases, softmax, activations, LayerNorm, residual sums and embedding look-ups. Where word-vectors
are eliminated, so are the scores and their sorting.

What an encoder layer costs follows from its family's plan (`encoders.plan`). The rest is alike in
all of them: embeddings with a LayerNorm, and the task's head (`tasks.heads`).
What differs is in the shape: DistilBERT has no token types, small ELECTRAs have embeddings
narrower than the encoder and a projection between the two.

Letters: T tokens, E hidden size.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..encoders.plan import PLANS, LayerSizes
from ..networks.shape import EncoderShape
from ..networks.subnet import SubnetConfig
from ..tasks.heads import head_with

FLOPS_PER_MAC = 2

Counts = NDArray[np.int64]
"""A count of each of many sub-networks: (K,)."""

Totals = NDArray[np.int64]
"""Layers that each of many sub-networks keeps, their heads and their neurons, summed: (K, 3)."""


def count_parameters(shape: EncoderShape, config: SubnetConfig) -> int:
    """Parameters of the sequence-classification model: embeddings, encoder and head."""
    return _other_parameters(shape) + count_encoder_parameters(shape, config)


def count_parameters_of(shape: EncoderShape, totals: Totals) -> Counts:
    """The same of many sub-networks of one model."""
    return _other_parameters(shape) + _parameter_rates(shape).totals(totals)


def count_encoder_parameters(shape: EncoderShape, config: SubnetConfig) -> int:
    """Parameters of the kept encoder layers alone, without embeddings and head."""
    return _parameter_rates(shape).total(config)


def count_macs(shape: EncoderShape, config: SubnetConfig, *, seq_len: int) -> int:
    """Multiply-adds of one forward pass over one example.

    Args:
        shape: The full model's sizes.
        config: The sub-network.
        seq_len: Tokens of the example, T, special tokens included.
    """
    last = seq_len if config.tokens is None else config.tokens.kept(seq_len)[-1]
    encoder = count_encoder_macs(shape, config, seq_len=seq_len)
    return _other_macs(shape, seq_len=seq_len, last=last) + encoder


def count_macs_of(shape: EncoderShape, totals: Totals, *, seq_len: int) -> Counts:
    """The same of many sub-networks of one model that keep every word-vector."""
    others = _other_macs(shape, seq_len=seq_len, last=seq_len)
    return others + mac_rates(shape, seq_len).totals(totals)


def count_encoder_macs(shape: EncoderShape, config: SubnetConfig, *, seq_len: int) -> int:
    """Multiply-adds of the kept encoder layers alone; see `count_macs`."""
    if config.tokens is None:
        return mac_rates(shape, seq_len).total(config)
    plan, left = PLANS[shape.family], config.tokens.kept(seq_len)
    return sum(
        plan.num_macs(_sizes(shape, heads, neurons), attending=attending, fed=fed)
        for heads, neurons, attending, fed in zip(
            config.heads, config.neurons, (seq_len, *left[:-1]), left, strict=True
        )
    )


@dataclass(frozen=True, slots=True)
class Rates:
    """What a layer, a head and a neuron cost: all counts of a plan are linear in these.

    Attributes:
        per_layer: Of a layer without heads and neurons.
        per_head: Of a head.
        per_neuron: Of a neuron.
    """

    per_layer: int
    per_head: int
    per_neuron: int

    @classmethod
    def of(cls, count: Callable[[int, int], int]) -> Self:
        """The rates of a count by heads and neurons."""
        least = count(1, 1)
        per_head, per_neuron = count(2, 1) - least, count(1, 2) - least
        return cls(least - per_head - per_neuron, per_head, per_neuron)

    def total(self, config: SubnetConfig) -> int:
        """The count of all kept layers."""
        return (
            self.per_layer * len(config.layers)
            + self.per_head * sum(config.heads)
            + self.per_neuron * sum(config.neurons)
        )

    def totals(self, totals: Totals) -> Counts:
        """The same of many sub-networks."""
        rates = np.array([self.per_layer, self.per_head, self.per_neuron])
        return np.asarray(totals @ rates)


@lru_cache(maxsize=64)
def _parameter_rates(shape: EncoderShape) -> Rates:
    plan = PLANS[shape.family]
    return Rates.of(lambda heads, neurons: plan.num_parameters(_sizes(shape, heads, neurons)))


@lru_cache(maxsize=64)
def mac_rates(shape: EncoderShape, seq_len: int) -> Rates:
    """The multiply-adds of encoder layers that keep every one of so many tokens."""
    plan = PLANS[shape.family]
    return Rates.of(
        lambda heads, neurons: plan.num_macs(
            _sizes(shape, heads, neurons), attending=seq_len, fed=seq_len
        )
    )


def _sizes(shape: EncoderShape, heads: int, neurons: int) -> LayerSizes:
    return LayerSizes(shape.hidden_size, shape.head_size, heads, neurons)


def _embedding_parameters(shape: EncoderShape) -> int:
    rows = shape.vocab_size + shape.num_positions + shape.num_token_types
    tables = rows * shape.embedding_size + _layer_norm(shape.embedding_size)
    projection = _linear(shape.embedding_size, shape.hidden_size) if _has_projection(shape) else 0
    return tables + projection


def _other_parameters(shape: EncoderShape) -> int:
    """Parameters beside the encoder layers."""
    head = head_with(shape.num_labels)
    return _embedding_parameters(shape) + head.num_params(
        hidden_size=shape.hidden_size, num_outputs=shape.num_labels
    )


def _other_macs(shape: EncoderShape, *, seq_len: int, last: int) -> int:
    """Multiply-adds beside the encoder layers, the last of which so many tokens leave."""
    hidden = shape.hidden_size
    projection = seq_len * shape.embedding_size * hidden if _has_projection(shape) else 0
    return projection + head_with(shape.num_labels).num_macs(
        hidden_size=hidden, num_outputs=shape.num_labels, num_tokens=last
    )


def _has_projection(shape: EncoderShape) -> bool:
    return shape.embedding_size != shape.hidden_size


def _linear(size_in: int, size_out: int) -> int:
    return size_in * size_out + size_out


def _layer_norm(size: int) -> int:
    return 2 * size
