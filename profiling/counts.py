"""Parameters and multiply-adds of a sub-network in closed form (no torch).

Convention: one multiply-add (MAC) is one multiplication with its addition, and FLOPs = 2 x MACs.
Counted are the matrix products of one example of T tokens: the linear layers, the two products of
attention (queries with keys, weights with values), the embedding projection where there is one,
the pooler and the classifier, which see one token. Left out, as in DynaBERT's efficiency figures:
biases, softmax, activations, LayerNorm, residual sums and embedding look-ups. Where word-vectors
are eliminated, so are the scores and their sorting.

The six supported families differ in names, not in arithmetic: each has embeddings with a
LayerNorm, the same encoder layer, and a head of one E x E layer and one E x labels layer. What
differs is in the shape: DistilBERT has no token types, small ELECTRAs have embeddings narrower
than the encoder and a projection between the two.

Letters: T tokens, H heads of a layer, D head size, E hidden size, F neurons of a layer.
"""

from ..networks.shape import EncoderShape
from ..networks.subnet import SubnetConfig


def count_parameters(shape: EncoderShape, config: SubnetConfig) -> int:
    """Parameters of the sequence-classification model: embeddings, encoder and head."""
    return (
        _embedding_parameters(shape)
        + count_encoder_parameters(shape, config)
        + _linear(shape.hidden_size, shape.hidden_size)
        + _linear(shape.hidden_size, shape.num_labels)
    )


def count_encoder_parameters(shape: EncoderShape, config: SubnetConfig) -> int:
    """Parameters of the kept encoder layers alone, without embeddings and head."""
    return sum(
        _layer_parameters(shape, heads, neurons)
        for heads, neurons in zip(config.heads, config.neurons, strict=True)
    )


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
    layers = sum(
        _layer_macs(shape, heads, neurons, attending=attending, fed=fed)
        for heads, neurons, attending, fed in zip(
            config.heads, config.neurons, given, left, strict=True
        )
    )
    projection = seq_len * shape.embedding_size * hidden if _has_projection(shape) else 0
    head = hidden * hidden + hidden * shape.num_labels
    return projection + layers + head


def _layer_parameters(shape: EncoderShape, heads: int, neurons: int) -> int:
    hidden, attended = shape.hidden_size, heads * shape.head_size
    attention = 3 * _linear(hidden, attended) + _linear(attended, hidden)
    feed_forward = _linear(hidden, neurons) + _linear(neurons, hidden)
    return attention + feed_forward + 2 * _layer_norm(hidden)


def _layer_macs(shape: EncoderShape, heads: int, neurons: int, *, attending: int, fed: int) -> int:
    """PoWER-BERT's 4 H^2 l_{j-1} + 2 H l_{j-1}^2 + 2 H I l_j, for any heads and neurons.

    Args:
        shape: The full model's sizes.
        heads: Heads of the layer.
        neurons: Its neurons, I.
        attending: Tokens that its attention sees, l_{j-1}.
        fed: Tokens that its feed-forward network sees, l_j.
    """
    hidden, attended = shape.hidden_size, heads * shape.head_size
    projections = 4 * attending * hidden * attended
    attention = 2 * attending * attending * attended
    feed_forward = 2 * fed * hidden * neurons
    return projections + attention + feed_forward


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
