"""The soft-extract layer of the configuration search (PoWER-BERT, section 3).

Every layer j has a vector r_j in [0, 1]^N, indexed by the *rank* of a word-vector's significance,
not by its position. The input of the feed-forward network, and with it the residual, is multiplied
by r_j at the word-vector's rank; no gradient goes through the ranking. Two forms:

- "tokens", the paper's: N is the longest length, and the word-vector of rank k, counted from 0, is
  multiplied by r_j[k].
- "percent", ours: N is 100, and the same word-vector of a text of n tokens stands for the ranks
  from k / n to (k + 1) / n of the text, so that it is multiplied by the mean of r_j over that
  part. Texts of every length train all entries. Were an entry picked instead, those between the
  ranks of short texts would fall without any text to hold them.

The first real word-vector, which the head reads and hard extraction always keeps, has the first
rank and is not scaled; in the published code it is ranked and scaled like the rest. Padding ranks
last and takes no part.

**What counts as kept.** An entry that stands for the first word-vector is kept whatever r is: the
task gives it no gradient, so that the penalty alone would bring it to 0, and with it the mass of a
layer that still keeps that word-vector. In the "tokens" form it is entry 0. In the "percent" form
it is the first N / n entries of a text of n tokens: a quarter of a layer for texts of four tokens,
2 percent for texts of fifty. So of each entry the share `first` counts as kept, the rest by r:

    mass_j = sum_k first[k] + (1 - first[k]) r_j[k]

where first[k] is the share of the task's word-vectors at entry k that are the first of their
text. Texts weigh by their length, for two reasons. mass_j / N is then the share of the task's
word-vectors that the layer keeps, whatever their lengths: the sum of all factors over that of all
tokens. And the task's gradient of an entry weighs them so too, because the factors of a text of n
tokens change with an entry by n / N. Adam, which divides a gradient by its size, thus sees the
penalty and the task's gradient of an entry shrink by the same share.

Shape letters: B batch, T tokens, E hidden size, L layers, N entries.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from ..encoders.elimination import additive, by_score, right_padded
from ..encoders.families import family_of
from ..networks.retention import Unit

PERCENT_ENTRIES = 100


class SoftRetention(nn.Module):
    """The vectors r_1 ... r_L.

    Attributes:
        vectors: [L, N], initially 1.
        first: [N], the share of each entry that is the first word-vectors', which are kept.
    """

    vectors: nn.Parameter
    first: Tensor

    def __init__(self, num_layers: int, lengths: Sequence[int], *, unit: Unit) -> None:
        """Begin with everything kept.

        Args:
            num_layers: Layers of the model.
            lengths: Tokens of each of the task's texts.
            unit: What entries stand for.
        """
        super().__init__()
        first = _first_in_percent(lengths) if unit == "percent" else _first_in_tokens(lengths)
        self.register_buffer("first", first, persistent=False)
        self.vectors = nn.Parameter(torch.ones(num_layers, len(first)))
        self._unit = unit

    def factors(self, place: int, score: Tensor, mask: Tensor) -> Tensor:
        """What each word-vector of a layer is multiplied by, [B, T].

        Args:
            place: The layer's place.
            score: Significance [B, T].
            mask: [B, T], 1 at tokens and 0 at padding.
        """
        vector, num_tokens = self.vectors[place], mask.shape[1]
        if self._unit == "percent":
            by_rank = _means(vector, mask.sum(dim=1), num_tokens)
        else:
            ranks = torch.arange(num_tokens, device=vector.device).clamp(max=len(vector) - 1)
            by_rank = vector[ranks].expand(mask.shape)
        unscaled = torch.ones_like(by_rank[:, :1])
        by_rank = torch.cat([unscaled, by_rank[:, 1:]], dim=1)
        return by_rank.gather(1, by_score(score, mask).argsort(dim=1))

    def masses(self) -> Tensor:
        """How much each layer keeps, of N: sum_k first[k] + (1 - first[k]) r_j[k], [L].

        Computed as N minus what is eliminated, which is exact where nothing is.
        """
        eliminated = (1 - self.first) * (1 - self.vectors)
        return len(self.first) - eliminated.sum(dim=1)

    def resistance(self) -> float:
        """The mean size of the task's gradient of an entry, before the penalty is added.

        Entries count as far as they are not the first word-vectors'.
        """
        assert self.vectors.grad is not None
        free = (1 - self.first).sum() * len(self.vectors)
        return float(self.vectors.grad.abs().sum() / free)

    @torch.no_grad()
    def clip(self) -> None:
        """Bring every entry back into [0, 1]."""
        self.vectors.clamp_(0, 1)


def _first_in_tokens(lengths: Sequence[int]) -> Tensor:
    """Entry 0 alone is a first word-vector's, [longest]."""
    first = torch.zeros(max(lengths))
    first[0] = 1
    return first


def _first_in_percent(lengths: Sequence[int]) -> Tensor:
    """The share of each percent that is first word-vectors', texts weighing by length, [100].

    In a text of n tokens the first one stands for the percents below 100 / n.
    """
    different, texts = torch.tensor(lengths, dtype=torch.float64).unique(return_counts=True)
    entries = torch.arange(PERCENT_ENTRIES, dtype=torch.float64)
    covered = (PERCENT_ENTRIES / different[:, None] - entries).clamp(0, 1)
    tokens = different * texts
    share: Tensor = tokens @ covered / tokens.sum()
    return share.float()


def _means(vector: Tensor, lengths: Tensor, num_tokens: int) -> Tensor:
    """The mean of a vector [N] over the part that each rank of a text stands for, [B, T].

    Ranks beyond the length of a text, [B], get 0.
    """
    num_entries = len(vector)
    entries = torch.arange(num_tokens + 1, dtype=torch.float64, device=vector.device)
    edges = (entries * num_entries / lengths[:, None]).clamp(max=num_entries)
    below = edges.long().clamp(max=num_entries - 1)
    sums = vector.double().cumsum(dim=0) - vector
    integral = sums[below] + (edges - below) * vector[below]
    return (integral.diff(dim=1) * lengths[:, None] / num_entries).to(vector.dtype)


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
    batch = right_padded(batch)
    mask = batch["attention_mask"]
    hidden = family.embed(model, batch)
    absent = additive(mask, hidden.dtype)
    for place, layer in enumerate(family.layer_list(model)):
        attended, score = family.attend(layer, hidden, absent)
        factors = retention.factors(place, score, mask).unsqueeze(-1)
        hidden = family.feed_forward(layer, attended * factors.to(attended.dtype))
    return family.classify(model, hidden)


def retention_loss(retention: SoftRetention, penalty: float) -> Tensor:
    """Lambda * sum_j j * mass_j, layers counted from 1: later layers are dearer.

    What is kept anyway has no gradient: an entry's is lambda * j * (1 - first[k]).
    """
    depths = torch.arange(1, len(retention.vectors) + 1, device=retention.vectors.device)
    return penalty * (depths * retention.masses()).sum()
