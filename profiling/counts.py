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

from collections.abc import Iterator

from ..encoders.plan import PLANS, LayerSizes
from ..networks.shape import EncoderShape
from ..networks.subnet import SubnetConfig
from ..tasks.heads import head_with


def count_parameters(shape: EncoderShape, config: SubnetConfig) -> int:
    """Parameters of the sequence-classification model: embeddings, encoder and head."""
    head = head_with(shape.num_labels)
    return (
        _embedding_parameters(shape)
        + count_encoder_parameters(shape, config)
        + head.num_params(hidden_size=shape.hidden_size, num_outputs=shape.num_labels)
    )


def count_encoder_parameters(shape: EncoderShape, config: SubnetConfig) -> int:
    """Parameters of the kept encoder layers alone, without embeddings and head."""
    plan = PLANS[shape.family]
    return sum(plan.num_parameters(sizes) for sizes in _layer_sizes(shape, config))


def count_macs(shape: EncoderShape, config: SubnetConfig, *, seq_len: int) -> int:
    """Multiply-adds of one forward pass over one example.

    Args:
        shape: The full model's sizes.
        config: The sub-network.
        seq_len: Tokens of the example, T, special tokens included.
    """
    hidden = shape.hidden_size
    left = (seq_len,) * config.num_layers if config.tokens is None else config.tokens.kept(seq_len)
    given = (seq_len, *left[:-1])
    plan = PLANS[shape.family]
    layers = sum(
        plan.num_macs(sizes, attending=attending, fed=fed)
        for sizes, attending, fed in zip(_layer_sizes(shape, config), given, left, strict=True)
    )
    projection = seq_len * shape.embedding_size * hidden if _has_projection(shape) else 0
    head = head_with(shape.num_labels).num_macs(
        hidden_size=hidden, num_outputs=shape.num_labels, num_tokens=left[-1]
    )
    return projection + layers + head


def _layer_sizes(shape: EncoderShape, config: SubnetConfig) -> Iterator[LayerSizes]:
    for heads, neurons in zip(config.heads, config.neurons, strict=True):
        yield LayerSizes(shape.hidden_size, shape.head_size, heads, neurons)


def _embedding_parameters(shape: EncoderShape) -> int:
    rows = shape.vocab_size + shape.num_positions + shape.num_token_types
    tables = rows * shape.embedding_size + _layer_norm(shape.embedding_size)
    projection = _linear(shape.embedding_size, shape.hidden_size) if _has_projection(shape) else 0
    return tables + projection


def _has_projection(shape: EncoderShape) -> bool:
    return shape.embedding_size != shape.hidden_size


def _linear(size_in: int, size_out: int) -> int:
    return size_in * size_out + size_out


def _layer_norm(size: int) -> int:
    return 2 * size
