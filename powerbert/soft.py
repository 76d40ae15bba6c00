"""The soft-extract layer of the configuration search (PoWER-BERT, section 3).

Every layer has a vector r_j in [0, 1]^N, indexed by the *rank* of a word-vector's significance,
not by its position. The input of the feed-forward network, and with it the residual, is multiplied
by r_j at the word-vector's rank; no gradient goes through the ranking. The first word-vector,
which the head reads and hard extraction always keeps, has the first rank, whose entry stays 1.

In the paper's form N is the padded length and ranks count word-vectors. In the percent form N is
100 and a rank is a hundredth of the input's own length, so that inputs of any length train the
same entries.

Shape letters: B batch, T tokens, E hidden size, L layers, N entries.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from ..dynabert.elimination import additive, by_score
from ..dynabert.families import family_of
from ..dynabert.retention import Unit


class SoftRetention(nn.Module):
    """The vectors r_1 ... r_L.

    Attributes:
        vectors: [L, N], initially 1.
    """

    vectors: nn.Parameter

    def __init__(self, num_layers: int, num_entries: int, *, unit: Unit) -> None:
        """Begin with everything kept."""
        super().__init__()
        self.vectors = nn.Parameter(torch.ones(num_layers, num_entries))
        self._unit = unit

    def factors(self, place: int, score: Tensor, mask: Tensor) -> Tensor:
        """What each word-vector of a layer is multiplied by, [B, T].

        Args:
            place: The layer's place.
            score: Significance [B, T].
            mask: [B, T], 1 at tokens and 0 at padding.
        """
        ranks = by_score(score, mask).argsort(dim=1)
        if self._unit == "percent":
            ranks = ranks * self.vectors.shape[1] // mask.sum(dim=1, keepdim=True)
        return self.vectors[place][ranks.clamp(max=self.vectors.shape[1] - 1)]

    def masses(self) -> Tensor:
        """sum_k r_j[k] for each layer, [L]."""
        return self.vectors.sum(dim=1)

    @torch.no_grad()
    def clip(self) -> None:
        """Bring every entry back into [0, 1], and the first to 1."""
        self.vectors.clamp_(0, 1)
        self.vectors[:, 0] = 1


def soft_logits(
    model: PreTrainedModel, retention: SoftRetention, batch: Mapping[str, Tensor]
) -> Tensor:
    """Run a full model whose attention gives scores, with soft extraction in every layer.

    Args:
        model: A classification model of a supported family, inside `elimination.significance_in`.
        retention: The soft-extract layers.
        batch: Inputs, `attention_mask` [B, T] among them.

    Returns:
        The logits [B, C].
    """
    family = family_of(model)
    mask = batch["attention_mask"]
    hidden = family.embed(model, batch)
    absent = additive(mask, hidden.dtype)
    for place, layer in enumerate(family.layer_list(model)):
        attended, score = family.attend(layer, hidden, absent)
        factors = retention.factors(place, score, mask).unsqueeze(-1)
        hidden = family.feed_forward(layer, attended * factors.to(attended.dtype))
    return family.classify(model, hidden)


def retention_loss(retention: SoftRetention, penalty: float) -> Tensor:
    """Lambda * sum_j j * mass_j, layers counted from 1: later layers are dearer."""
    depths = torch.arange(1, len(retention.vectors) + 1, device=retention.vectors.device)
    return penalty * (depths * retention.masses()).sum()
