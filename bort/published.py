"""Bort as published, and what its published sizes are sizes of (no torch).

The paper's first version lists H = 768 and I = 1024 for the architecture that it extracted. Its
author says that the two were flipped, and the released model has H = 1024 and I = 768. But the
sizes that the paper states, 56 M parameters, 39 M of them embeddings, an effective size of 5.5 %
of BERT-large's, are those of the pair as printed. Both are here, under their own names; a share
that was published for one is never a share of the other.

Sources: arXiv 2010.10499; the README and the code of alexa/bort; an issue there in which the
author says so.
"""

from dataclasses import dataclass

from .architecture import (
    Architecture,
    Tables,
    embedding_parameters,
    encoder_parameters,
    language_model_parameters,
    pooler_parameters,
)

RELEASED = Architecture(layers=4, heads=8, hidden_size=1024, ffn_size=768)
"""Bort as its weights were released."""

PRINTED = Architecture(layers=4, heads=8, hidden_size=768, ffn_size=1024)
"""Bort as the paper's first version prints it, with H and I the other way round."""

ROBERTA_TABLES = Tables(vocab_size=50_265, num_positions=512)
"""Bort's embedding tables: RoBERTa's words, no token types."""

PUBLISHED_MILLIONS = {"all": 56, "embeddings": 39}
"""Parameters of Bort as published; they are those of `PRINTED`."""

LARGE_EFFECTIVE_PARAMETERS = 340_000_000 - 31_782_912
"""BERT-large without its embeddings: its published 340 M less what its tables hold."""


@dataclass(frozen=True, slots=True)
class PublishedSizes:
    """The parameters of an architecture as the paper counts them.

    Attributes:
        embeddings: Of the embedding tables.
        encoder: Of the layers.
        pooler: Of the pooler.
        language_model: Of the head that predicts masked words.
    """

    embeddings: int
    encoder: int
    pooler: int
    language_model: int

    @property
    def all(self) -> int:
        """Every parameter."""
        return self.embeddings + self.effective

    @property
    def effective(self) -> int:
        """All but the embeddings'."""
        return self.encoder + self.pooler + self.language_model

    @property
    def effective_share(self) -> float:
        """Of BERT-large without embeddings; 5.5 % is published, and is `PRINTED`'s."""
        return self.effective / LARGE_EFFECTIVE_PARAMETERS

    @property
    def beside_embeddings(self) -> float:
        """Share of the parameters that are no embeddings; 30.3 % is published, `PRINTED`'s."""
        return self.effective / self.all


def published_sizes(architecture: Architecture, tables: Tables = ROBERTA_TABLES) -> PublishedSizes:
    """The parameters of an architecture as the paper counts them."""
    return PublishedSizes(
        embeddings=embedding_parameters(architecture, tables),
        encoder=encoder_parameters(architecture),
        pooler=pooler_parameters(architecture),
        language_model=language_model_parameters(architecture, tables),
    )
