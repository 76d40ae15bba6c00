"""The architectural parameters that Bort was found by, and what a BERT of them costs (no torch).

Optimal Subarchitecture Extraction (OSE, de Wynter 2020, arXiv 2010.08512; for BERT de Wynter and
Perry 2020, arXiv 2010.10499) chooses D layers, A heads, a hidden size of H and an intermediate
size of I. Its surrogates of size and of speed are polynomials in these: parameters, and
operations of one text, here multiply-adds as everywhere in this package. Heads are in neither:
they share H among them.

Both polynomials are exact. They are held against transformers' own models, the general counts of
`profiling.counts` and the table of all published candidates in the tests.

Letters: V rows of the word embeddings, P positions, S token types, N tokens of a text.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from ..errors import InputError, shortened
from ..networks.shape import EncoderShape

FAMILY = "bert"

POSITIONS = 512
"""Rows of the candidates' position embeddings, as published."""

LARGEST = {"layers": 1_000, "heads": 1_024, "hidden_size": 65_536, "ffn_size": 1_000_000}
"""The largest value of each parameter: those that a checkpoint's config may have."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """One candidate: a BERT all of whose layers are alike.

    Attributes:
        layers: Transformer layers, D.
        heads: Attention heads of each layer, A.
        hidden_size: Width of the hidden states, H.
        ffn_size: Neurons of each feed-forward network, I.
    """

    layers: int
    heads: int
    hidden_size: int
    ffn_size: int

    def __post_init__(self) -> None:
        """Check that BERT can be built of them.

        Raises:
            InputError: When a parameter is no whole number in its range, or the hidden size
                cannot be shared among the heads.
        """
        for name, largest in LARGEST.items():
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= largest:
                raise InputError(
                    f"{name} must be a whole number from 1 to {largest:,}, not {shortened(value)}."
                )
        if self.hidden_size % self.heads:
            raise InputError(
                f"BERT cannot share a hidden size of {self.hidden_size} among {self.heads} heads: "
                "give a multiple."
            )

    @property
    def key(self) -> str:
        """The candidate as one word.

        >>> Architecture(4, 8, 1024, 768).key
        'D4-A8-H1024-I768'
        """
        return f"D{self.layers}-A{self.heads}-H{self.hidden_size}-I{self.ffn_size}"

    @classmethod
    def from_key(cls, key: str) -> Self:
        """Read back a key.

        Raises:
            InputError: When `key` is not the key of an architecture.
        """
        match = re.fullmatch(r"D(\d{1,9})-A(\d{1,9})-H(\d{1,9})-I(\d{1,9})", key.strip())
        if match is None:
            raise InputError(f"{shortened(key)} is no architecture: write it as D4-A8-H1024-I768.")
        return cls(*map(int, match.groups()))

    def shape(self, tables: "Tables", *, num_labels: int) -> EncoderShape:
        """The sizes of a BERT of this architecture with a classification head."""
        return EncoderShape(
            family=FAMILY,
            num_layers=self.layers,
            num_heads=self.heads,
            head_size=self.hidden_size // self.heads,
            hidden_size=self.hidden_size,
            ffn_size=self.ffn_size,
            embedding_size=self.hidden_size,
            vocab_size=tables.vocab_size,
            num_positions=tables.num_positions,
            num_token_types=tables.num_token_types,
            num_labels=num_labels,
        )

    def to_dict(self) -> dict[str, int]:
        """Return the fields as JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        return cls(**record)


@dataclass(frozen=True, slots=True)
class Tables:
    """The embedding tables, which all candidates have.

    Attributes:
        vocab_size: Rows of the word embeddings, V.
        num_positions: Rows of the position embeddings, P.
        num_token_types: Rows of the token-type embeddings, S; 0 for none.
    """

    vocab_size: int
    num_positions: int = POSITIONS
    num_token_types: int = 0

    def to_dict(self) -> dict[str, int]:
        """Return the fields as JSON types."""
        return asdict(self)


def encoder_parameters(architecture: Architecture) -> int:
    """D (4 H^2 + 2 H I + 9 H + I): weights, biases and LayerNorms of the layers."""
    hidden, ffn = architecture.hidden_size, architecture.ffn_size
    layer = 4 * hidden**2 + 2 * hidden * ffn + 9 * hidden + ffn
    return architecture.layers * layer


def embedding_parameters(architecture: Architecture, tables: Tables) -> int:
    """(V + P + S + 2) H: the tables and their LayerNorm."""
    rows = tables.vocab_size + tables.num_positions + tables.num_token_types
    return (rows + 2) * architecture.hidden_size


def parameters(architecture: Architecture, tables: Tables) -> int:
    """The surrogate p^: embeddings and layers, without what a task or pre-training adds."""
    return embedding_parameters(architecture, tables) + encoder_parameters(architecture)


def multiply_adds(architecture: Architecture, *, seq_len: int) -> int:
    """The surrogate i^: D (4 N H^2 + 2 N^2 H + 2 N H I), of the layers and one text.

    Args:
        architecture: The candidate.
        seq_len: Tokens of the text, N.
    """
    hidden, ffn = architecture.hidden_size, architecture.ffn_size
    layer = 4 * seq_len * hidden**2 + 2 * seq_len**2 * hidden + 2 * seq_len * hidden * ffn
    return architecture.layers * layer


def pooler_parameters(architecture: Architecture) -> int:
    """H^2 + H: the dense layer at the first token."""
    return architecture.hidden_size**2 + architecture.hidden_size


def language_model_parameters(architecture: Architecture, tables: Tables) -> int:
    """H^2 + 3 H + V: dense layer, LayerNorm and a bias for each word; the words' own are tied."""
    return architecture.hidden_size**2 + 3 * architecture.hidden_size + tables.vocab_size
