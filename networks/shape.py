"""The sizes of a BERT-family sequence classifier, as integers (no torch).

Everything that counts, slices or searches works from this record, so that none of it needs the
model itself.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class EncoderShape:
    """Sizes of one full model: an encoder with a sequence-classification head.

    Attributes:
        family: transformers' `model_type`, e.g. "bert".
        num_layers: Transformer layers, L.
        num_heads: Attention heads of every layer, A.
        head_size: Width of one head, D.
        hidden_size: Width of the hidden states, E.
        ffn_size: Neurons of every feed-forward network, F.
        embedding_size: Width of the embedding tables (differs from E in small ELECTRAs).
        vocab_size: Rows of the word-embedding table.
        num_positions: Rows of the position-embedding table.
        num_token_types: Rows of the token-type table; 0 where the family has none.
        num_labels: Outputs of the head; 1 for a score.
    """

    family: str
    num_layers: int
    num_heads: int
    head_size: int
    hidden_size: int
    ffn_size: int
    embedding_size: int
    vocab_size: int
    num_positions: int
    num_token_types: int
    num_labels: int

    def __post_init__(self) -> None:
        """Check that every size is positive (token types may be absent)."""
        for field in fields(self):
            value = getattr(self, field.name)
            smallest = 0 if field.name == "num_token_types" else 1
            if field.name != "family" and (type(value) is not int or value < smallest):
                raise ValueError(f"{field.name} must be an integer >= {smallest}, not {value!r}")

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        return cls(**record)
