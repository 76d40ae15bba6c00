"""BERT of any sizes per layer in plain torch, written without transformers or paretobert.

The yardstick for what an extracted network's own code costs: the same arithmetic with nothing
around it. Vaswani et al. 2017 (attention) and Devlin et al. 2019 (embeddings, post-norm blocks,
pooler); in evaluation mode, without dropout.

B batch, T tokens, E hidden size, H heads, D head size, F feed-forward size, C classes.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

NAMES = {
    "bert.embeddings.word_embeddings": "words",
    "bert.embeddings.position_embeddings": "positions",
    "bert.embeddings.token_type_embeddings": "segments",
    "bert.embeddings.LayerNorm": "norm",
    "bert.encoder.layer": "blocks",
    "bert.pooler.dense": "pool",
    "classifier": "classify",
    "attention.self.query": "query",
    "attention.self.key": "key",
    "attention.self.value": "value",
    "attention.output.dense": "mix",
    "attention.output.LayerNorm": "mix_norm",
    "intermediate.dense": "widen",
    "output.dense": "narrow",
    "output.LayerNorm": "narrow_norm",
}
"""Google's names of BERT's parts, longest first where one ends another, and the names here."""


class Block(nn.Module):
    """Self-attention and feed-forward network, each with a residual and a LayerNorm behind it."""

    def __init__(self, size: int, *, heads: int, head_size: int, neurons: int, eps: float) -> None:
        """Make the layers: E = `size`, H = `heads`, D = `head_size`, F = `neurons`."""
        super().__init__()
        self.split = (heads, head_size)
        self.query = nn.Linear(size, heads * head_size)
        self.key = nn.Linear(size, heads * head_size)
        self.value = nn.Linear(size, heads * head_size)
        self.mix = nn.Linear(heads * head_size, size)
        self.mix_norm = nn.LayerNorm(size, eps=eps)
        self.widen = nn.Linear(size, neurons)
        self.narrow = nn.Linear(neurons, size)
        self.narrow_norm = nn.LayerNorm(size, eps=eps)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """Map [B, T, E] to [B, T, E]; `mask` is true where a key may be seen, [B, 1, 1, T]."""
        query, key, value = (
            part(hidden).unflatten(-1, self.split).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        hidden = self.mix_norm(hidden + self.mix(seen.transpose(1, 2).flatten(-2)))
        return self.narrow_norm(hidden + self.narrow(functional.gelu(self.widen(hidden))))


class PlainBert(nn.Module):
    """A BERT for classification whose layers have their own numbers of heads and neurons.

    Args:
        vocab_size: Rows of the word embedding.
        num_positions: Rows of the position embedding.
        num_segments: Rows of the segment embedding.
        size: Hidden size E.
        head_size: D, the same in every layer.
        heads: H of each layer.
        neurons: F of each layer.
        num_classes: C.
        eps: Of every LayerNorm.
    """

    def __init__(
        self,
        *,
        vocab_size: int,
        num_positions: int,
        num_segments: int,
        size: int,
        head_size: int,
        heads: Sequence[int],
        neurons: Sequence[int],
        num_classes: int,
        eps: float,
    ) -> None:
        """Make the layers."""
        super().__init__()
        self.words = nn.Embedding(vocab_size, size)
        self.positions = nn.Embedding(num_positions, size)
        self.segments = nn.Embedding(num_segments, size)
        self.norm = nn.LayerNorm(size, eps=eps)
        self.blocks = nn.ModuleList(
            Block(size, heads=count, head_size=head_size, neurons=width, eps=eps)
            for count, width in zip(heads, neurons, strict=True)
        )
        self.pool = nn.Linear(size, size)
        self.classify = nn.Linear(size, num_classes)

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor], *, head_size: int, eps: float) -> "PlainBert":
        """Build the network of a BERT's weights, in evaluation mode; every size but D is in them.

        Args:
            state: The weights under Google's names, as stock and extracted BERTs save them.
            head_size: D.
            eps: Of every LayerNorm.
        """
        renamed = {_renamed(name): tensor for name, tensor in state.items()}
        layers = range(1 + max(int(n.split(".")[1]) for n in renamed if n.startswith("blocks.")))
        with torch.device("meta"):
            network = cls(
                vocab_size=len(renamed["words.weight"]),
                num_positions=len(renamed["positions.weight"]),
                num_segments=len(renamed["segments.weight"]),
                size=len(renamed["norm.weight"]),
                head_size=head_size,
                heads=[len(renamed[f"blocks.{i}.query.weight"]) // head_size for i in layers],
                neurons=[len(renamed[f"blocks.{i}.widen.weight"]) for i in layers],
                num_classes=len(renamed["classify.weight"]),
                eps=eps,
            )
        network.load_state_dict(
            {name: tensor.detach().clone() for name, tensor in renamed.items()}, assign=True
        )
        return network.eval()

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Map token ids and their mask, both [B, T], to logits [B, C]."""
        length = input_ids.shape[1]
        hidden = self.words(input_ids) + self.positions.weight[:length] + self.segments.weight[0]
        hidden = self.norm(hidden)
        # Without padding there is nothing to mask, and attention without a mask is faster.
        mask = None if bool(attention_mask.all()) else attention_mask[:, None, None, :].bool()
        for block in self.blocks:
            hidden = block(hidden, mask)
        return self.classify(torch.tanh(self.pool(hidden[:, 0])))


def _renamed(name: str) -> str:
    for theirs, ours in NAMES.items():
        name = name.replace(f"{theirs}.", f"{ours}.")
    return name
