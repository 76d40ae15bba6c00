"""Word-vector elimination: the significance score and hard extraction (PoWER-BERT, section 3).

Layer j runs attention, residual and LayerNorm on the word-vectors that it was given; then those
with the highest scores stay and go through its feed-forward network. The score of a word-vector is
the attention that it receives, summed over heads and over the queries that are no padding, from
the probabilities before dropout; padding receives nothing. The first real token, which the head
reads, always stays; so does the order of the rest. An input keeps as many as its own length asks
for, so that a batch computes what its examples compute one by one.

The score comes out of the attention itself: `ATTENTION` is an implementation for transformers'
attention interface whose second result is the score in place of the probabilities, and whose mask
is the padding alone, [B, 1, 1, T]. Tokens given on the left of their padding or on its right are
treated alike, except that positions are the embeddings' affair.

Shape letters: B batch, T tokens given, K tokens kept, H heads, D head size, E hidden size. The
file imports only torch, transformers and `families`, because it is copied into exported folders.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface, PreTrainedModel
from transformers.masking_utils import AttentionMaskInterface
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

from .families import Family

ATTENTION = "paretobert_significance"
ATTENTION_WITH_DIAGONAL = "paretobert_significance_with_diagonal"

Select = Callable[[int, Tensor, Tensor], "Kept"]
"""Chooses among a layer's word-vectors: its place among the kept layers, score and mask [B, T]."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The word-vectors that stay.

    Attributes:
        positions: Where they stand among those given, [B, K]: real tokens in their order first.
        mask: [B, K], 1 at real tokens and 0 at places that this example does not fill.
    """

    positions: Tensor
    mask: Tensor

    def of(self, states: Tensor) -> Tensor:
        """The states [B, K, E] of the kept among states [B, T, E]."""
        index = self.positions.unsqueeze(-1).expand(-1, -1, states.shape[-1])
        return states.gather(1, index)


def attention_name(*, diagonal: bool) -> str:
    """The attention implementation whose score counts the diagonal, or does not."""
    return ATTENTION_WITH_DIAGONAL if diagonal else ATTENTION


def register_attention() -> None:
    """Make both implementations known to transformers; a second call changes nothing."""
    for name, function in (
        (ATTENTION, significance_attention),
        (ATTENTION_WITH_DIAGONAL, significance_attention_with_diagonal),
    ):
        AttentionInterface.register(name, function)
        AttentionMaskInterface.register(name, padding_mask)


def padding_mask(
    batch_size: int, *, kv_length: int, attention_mask: Tensor | None = None, **others: Any
) -> Tensor:
    """The additive mask [B, 1, 1, T] of the padding alone, for transformers' mask interface.

    Args:
        batch_size: B.
        kv_length: T.
        attention_mask: [B, T], true at tokens; None when there is no padding.
        others: What other implementations need; `dtype` and `device` are used.
    """
    dtype, device = others.get("dtype", torch.float32), others.get("device", "cpu")
    if attention_mask is None:
        return torch.zeros(batch_size, 1, 1, kv_length, dtype=dtype, device=device)
    return additive(attention_mask, dtype)


def additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """A mask [B, T] with 1 at tokens as what is added to attention scores, [B, 1, 1, T]."""
    absent = mask[:, None, None, :] == 0
    return absent.to(dtype) * torch.finfo(dtype).min


def significance_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    scaling: float | None = None,
    dropout: float = 0.0,
    **others: Any,
) -> tuple[Tensor, Tensor]:
    """Attention with the score of every key, attention to itself left out.

    Args:
        module: The attention layer.
        query: [B, H, T, D]; `key` and `value` likewise.
        key: See `query`.
        value: See `query`.
        attention_mask: [B, 1, 1, T] of `padding_mask`.
        scaling: Factor of the products; None for the usual 1 / sqrt(D).
        dropout: Of the probabilities.
        others: What other implementations take; not used.

    Returns:
        The output [B, T, H, D] and the score [B, T].
    """
    probabilities = _probabilities(query, key, attention_mask, scaling)
    real = (attention_mask == 0).to(probabilities.dtype)
    diagonal = probabilities.diagonal(dim1=-2, dim2=-1) * real[:, :, 0]
    score = _received(probabilities, real) - diagonal.sum(1)
    return _output(probabilities, value, dropout, training=module.training), score


def significance_attention_with_diagonal(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    scaling: float | None = None,
    dropout: float = 0.0,
    **others: Any,
) -> tuple[Tensor, Tensor]:
    """The same with attention to itself counted; arguments as for `significance_attention`."""
    probabilities = _probabilities(query, key, attention_mask, scaling)
    score = _received(probabilities, (attention_mask == 0).to(probabilities.dtype))
    return _output(probabilities, value, dropout, training=module.training), score


def _probabilities(query: Tensor, key: Tensor, mask: Tensor, scaling: float | None) -> Tensor:
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    scores = (query * scale) @ key.transpose(2, 3)
    return (scores + mask.to(scores.dtype)).softmax(-1)


def _received(probabilities: Tensor, real: Tensor) -> Tensor:
    """Sums over heads and real queries: one row times each matrix, nothing of its size is made."""
    return (real @ probabilities).sum(1).squeeze(1)


def _output(probabilities: Tensor, value: Tensor, dropout: float, *, training: bool) -> Tensor:
    dropped = functional.dropout(probabilities, p=dropout, training=training)
    return (dropped @ value).transpose(1, 2).contiguous()


def select(score: Tensor, mask: Tensor, *, counts: Tensor, most: int) -> Kept:
    """Hard extraction: the first real token and the best of the others stay, in their order.

    Args:
        score: [B, T]; of equal scores the earlier position wins.
        mask: [B, T], 1 at real tokens.
        counts: How many each example keeps, [B].
        most: K, at least the largest of the counts; no more than T are returned.
    """
    num_tokens = score.shape[1]
    real = mask != 0
    places = torch.arange(num_tokens, device=score.device)
    first = torch.where(real, places, num_tokens).amin(1, keepdim=True)
    ranked = torch.where(places == first, torch.inf, score.detach().float())
    ranked = torch.where(real, ranked, -torch.inf)
    chosen = ranked.argsort(dim=1, descending=True, stable=True)[:, :most]
    stays = (torch.arange(chosen.shape[1], device=score.device) < counts[:, None]) & real.gather(
        1, chosen
    )
    order = torch.where(stays, chosen, chosen + num_tokens).argsort(dim=1)
    return Kept(chosen.gather(1, order), stays.gather(1, order).to(mask.dtype))


def run_layers(
    family: Family,
    layers: list[nn.Module],
    hidden: Tensor,
    mask: Tensor,
    choose: Select,
) -> Iterator[tuple[Tensor, Kept]]:
    """Run layers with elimination, and give after each its output and what it kept.

    Args:
        family: Knows the layers' parts.
        layers: The layers to run, whose attention is one of this module's.
        hidden: What the first reads, [B, T, E].
        mask: [B, T], 1 at tokens and 0 at padding.
        choose: Selects in each layer.

    Yields:
        For each layer the output [B, K, E] and the kept, positions being those in the input.
    """
    positions = torch.arange(hidden.shape[1], device=hidden.device).expand(hidden.shape[:2])
    for place, layer in enumerate(layers):
        attended, score = family.attend(layer, hidden, additive(mask, hidden.dtype))
        kept = choose(place, score, mask)
        positions, mask = positions.gather(1, kept.positions), kept.mask
        hidden = family.feed_forward(layer, kept.of(attended))
        yield hidden, Kept(positions, mask)


def chooser(amounts: list[int], unit: str, mask: Tensor) -> Select:
    """Hard extraction by a retention configuration.

    Args:
        amounts: What leaves each layer.
        unit: "tokens", or "percent" of each example's own length.
        mask: [B, T] of the input, 1 at tokens.
    """
    lengths, num_tokens = mask.sum(1), mask.shape[1]

    def choose(place: int, score: Tensor, present: Tensor) -> Kept:
        amount = amounts[place]
        if unit == "tokens":
            counts, most = lengths.clamp(max=amount), amount
        else:
            counts, most = (lengths * amount + 99) // 100, (num_tokens * amount + 99) // 100
        return select(score, present, counts=counts, most=most)

    return choose


class EliminatingEncoder(nn.Module):
    """The stack of layers of a stock model, with elimination; it takes the stock one's place.

    Its `layer` is the stock list, so that no name in the state dict changes.
    """

    def __init__(
        self, layers: nn.ModuleList, *, family: Family, amounts: list[int], unit: str
    ) -> None:
        """Keep the layers and the retention configuration."""
        super().__init__()
        self.layer = layers
        self._family = family
        self._amounts = amounts
        self._unit = unit

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor, **others: Any
    ) -> BaseModelOutputWithPastAndCrossAttentions:
        """Run the layers.

        Args:
            hidden_states: [B, T, E].
            attention_mask: [B, 1, 1, T] of `padding_mask`.
            others: What decoders take; not used.
        """
        mask = (attention_mask[:, 0, 0] == 0).long()
        choose = chooser(self._amounts, self._unit, mask)
        steps = run_layers(self._family, list(self.layer), hidden_states, mask, choose)
        *_, (state, _) = steps
        return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=state)


def eliminate(
    model: PreTrainedModel, family: Family, *, amounts: list[int], unit: str, diagonal: bool
) -> None:
    """Put elimination into a freshly built stock model, in place.

    Raises:
        ValueError: When there is not one amount per layer.
    """
    layers = family.layer_list(model)
    if len(amounts) != len(layers):
        raise ValueError(
            f"subnet_tokens must give each of the {len(layers)} layers an amount, not {amounts}"
        )
    path = family.layers.rpartition(".")[0]
    encoder = EliminatingEncoder(layers, family=family, amounts=amounts, unit=unit)
    model.set_submodule(path, encoder)
    model.config._attn_implementation = attention_name(diagonal=diagonal)


@contextmanager
def significance_in(model: PreTrainedModel, *, diagonal: bool) -> Iterator[None]:
    """Use the attention that gives scores inside the block, the model's own after it."""
    own = cast(str, model.config._attn_implementation)
    model.config._attn_implementation = attention_name(diagonal=diagonal)
    try:
        yield
    finally:
        model.config._attn_implementation = own


register_attention()
