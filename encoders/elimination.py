"""Word-vector elimination: the significance score and hard extraction (PoWER-BERT, section 3).

Layer j runs attention, residual and LayerNorm on the word-vectors that it was given; then those
with the highest scores stay and go through its feed-forward network. The score of a word-vector is
the attention that it receives, summed over heads and over the queries that are no padding, from
the probabilities before dropout; padding receives nothing. No gradient goes through the score. The
first real token, which the head reads, always stays; so does the order of the rest. Of equal
scores the earlier position wins. An input keeps as many as its own length asks for, so that a
batch computes what its examples compute one by one; tensors are as wide as an input of the padded
length needs, so that no size depends on the data and the network can be exported.

The score comes out of the attention itself: `ATTENTION` is an implementation for transformers'
attention interface whose second result is the score in place of the probabilities, and whose mask
is the padding alone, [B, 1, 1, T]. Without gradients it goes through examples and heads in blocks
that fit in the processor's cache.

A stock BERT given left-padded texts numbers the positions from the padding on, and its head reads
padding. `right_padded` moves the padding behind the text first; the networks of `eliminate` do so.

Shape letters: B batch, T tokens given, K tokens kept, H heads, D head size, E hidden size. The
file imports only torch, transformers and `family`, because it is copied into exported folders.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface, PreTrainedModel
from transformers.masking_utils import AttentionMaskInterface
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions
from transformers.utils.import_utils import is_tracing

from .family import Family

ATTENTION = "paretobert_significance"
ATTENTION_WITH_DIAGONAL = "paretobert_significance_with_diagonal"

BLOCK = 2**18
"""Probabilities computed at a time where no gradient is wanted: 1 MiB in float32."""

_BEHIND = 2**20
"""Larger than any position."""

Select = Callable[[int, Tensor, Tensor], "Kept | None"]
"""Chooses among a layer's word-vectors: its place among the kept layers, score and mask [B, T].

None stands for all of them."""


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
        """The entries [B, K, ...] of the kept among `states` [B, T, ...]."""
        num_examples, num_tokens = states.shape[:2]
        starts = num_tokens * torch.arange(num_examples, device=states.device)
        rows = (self.positions + starts[:, None]).flatten()
        chosen = states.flatten(0, 1).index_select(0, rows)
        return chosen.view(*self.positions.shape, *states.shape[2:])


def attention_name(*, diagonal: bool) -> str:
    """The attention implementation whose score counts the diagonal, or does not."""
    return ATTENTION_WITH_DIAGONAL if diagonal else ATTENTION


def register_attention() -> None:
    """Make both implementations known to transformers; a second call changes nothing."""
    for name, function in (
        (ATTENTION, significance_attention),
        (ATTENTION_WITH_DIAGONAL, partial(significance_attention, diagonal=True)),
    ):
        AttentionInterface.register(name, function)
        AttentionMaskInterface.register(name, padding_mask)


def padding_mask(
    *,
    attention_mask: Tensor | None = None,
    dtype: torch.dtype = torch.float32,
    allow_is_bidirectional_skip: bool = False,
    **_: Any,
) -> Tensor | None:
    """The mask [B, 1, 1, T] of the padding alone, for transformers' mask interface.

    Args:
        attention_mask: [B, T], true at tokens; None when there is no padding.
        dtype: Of the mask.
        allow_is_bidirectional_skip: Whether None may stand for the mask without padding.
    """
    if attention_mask is None or (allow_is_bidirectional_skip and not _padded(attention_mask)):
        return None
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
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    diagonal: bool = False,
    **_: Any,
) -> tuple[Tensor, Tensor]:
    """Attention with the score of every key, in blocks of whole heads without gradients.

    Args:
        module: The attention layer.
        query: [B, H, T, D]; `key` and `value` likewise.
        key: See `query`.
        value: See `query`.
        attention_mask: [B, 1, 1, T] of `padding_mask`, or None without padding.
        scaling: Factor of the products; None for the usual 1 / sqrt(D).
        dropout: Of the probabilities.
        diagonal: Whether a key's score counts the query at its own place.

    Returns:
        The output [B, T, H, D] and the score [B, T] in float32, at least 0.
    """
    dropout = dropout if module.training else 0.0
    query = query * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    num_examples, num_heads, num_tokens = query.shape[:3]
    if (
        torch.is_grad_enabled()
        or is_tracing(query)
        or num_examples * num_heads * num_tokens**2 <= BLOCK
    ):
        output, score = _block(
            query, key, value, attention_mask, dropout=dropout, diagonal=diagonal
        )
        return output.transpose(1, 2).contiguous(), score
    heads = min(num_heads, max(1, BLOCK // num_tokens**2))
    examples = max(1, BLOCK // (heads * num_tokens**2))
    output = value.new_empty(num_examples, num_tokens, num_heads, value.shape[-1])
    score = query.new_zeros(num_examples, num_tokens, dtype=torch.float32)
    for rows in _slices(num_examples, examples):
        absent = None if attention_mask is None else attention_mask[rows]
        for some in _slices(num_heads, heads):
            attended, received = _block(
                query[rows, some],
                key[rows, some],
                value[rows, some],
                absent,
                dropout=dropout,
                diagonal=diagonal,
            )
            output[rows, :, some] = attended.transpose(1, 2)
            score[rows] += received
    return output, score


def _block(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    *,
    dropout: float,
    diagonal: bool,
) -> tuple[Tensor, Tensor]:
    """Output [B, H, T, D] and score [B, T] of some examples and heads."""
    products = query @ key.transpose(2, 3)
    if mask is not None:
        products = products.masked_fill(mask != 0, torch.finfo(products.dtype).min)
    probabilities = products.softmax(dim=-1)
    paid = probabilities.detach().sum(dim=1, dtype=torch.float32)
    if mask is not None:
        paid = paid * (mask[:, 0, 0, :, None] == 0)
    score = paid.sum(dim=1)
    if not diagonal:
        score = (score - paid.diagonal(dim1=1, dim2=2)).clamp(min=0)
    dropped = functional.dropout(probabilities, p=dropout) if dropout else probabilities
    return dropped.to(value.dtype) @ value, score


def _slices(total: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, total, size))


def _padded(mask: Tensor) -> bool:
    """Whether a mask [B, T] may hold padding; while a graph is traced, every mask may."""
    return is_tracing(mask) or not bool(mask.all())


def by_score(score: Tensor, mask: Tensor) -> Tensor:
    """The positions [B, T] by falling score: the first real token ahead of all, padding last.

    The rank of each position is `by_score(score, mask).argsort(dim=1)`.

    Args:
        score: [B, T]; of equal scores the earlier position comes first.
        mask: [B, T], 1 at real tokens.
    """
    ranked = score.detach().masked_fill(mask == 0, -torch.inf)
    first = (mask != 0) & (mask.cumsum(dim=1) == 1)
    ranked = ranked.masked_fill(first, torch.inf)
    if torch.compiler.is_exporting():  # torch.onnx knows only this sort; ONNX's own is stable
        return ranked.sort(dim=1, descending=True).indices
    return ranked.sort(dim=1, descending=True, stable=True).indices


def select(score: Tensor, mask: Tensor, *, counts: Tensor, most: int) -> Kept:
    """Hard extraction: the first real token and the best of the others stay, in their order.

    Args:
        score: [B, T]; of equal scores the earlier position wins.
        mask: [B, T], 1 at real tokens.
        counts: How many each example keeps, [B].
        most: K, at least the largest of the counts; no more than T are returned.
    """
    chosen = by_score(score, mask)[:, :most]
    counts = torch.minimum(counts, (mask != 0).sum(dim=1))
    stays = torch.arange(chosen.shape[1], device=score.device) < counts[:, None]
    positions = torch.where(stays, chosen, chosen + _BEHIND).sort(dim=1).values % _BEHIND
    return Kept(positions, stays.to(mask.dtype))


def run_layers(
    family: Family,
    layers: Iterable[nn.Module],
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
        absent = additive(mask, hidden.dtype) if _padded(mask) else None
        hidden, score = family.attend(layer, hidden, absent)
        kept = choose(place, score, mask)
        if kept is not None:
            hidden, mask = kept.of(hidden), kept.mask
            positions = positions.gather(1, kept.positions)
        hidden = family.feed_forward(layer, hidden)
        yield hidden, Kept(positions, mask)


def chooser(amounts: Sequence[int], unit: str, mask: Tensor) -> Select:
    """Hard extraction by a retention configuration.

    Args:
        amounts: What leaves each layer.
        unit: "tokens", or "percent" of each example's own length.
        mask: [B, T] of the input, 1 at tokens.
    """
    lengths, num_tokens = mask.sum(dim=1), mask.shape[1]
    before = (100 if unit == "percent" else None, *amounts)

    def choose(place: int, score: Tensor, present: Tensor) -> Kept | None:
        amount = amounts[place]
        if amount == before[place]:
            return None
        if unit == "tokens":
            if not is_tracing(mask) and amount >= num_tokens:
                return None
            return select(score, present, counts=lengths.clamp(max=amount), most=amount)
        counts, most = (lengths * amount + 99) // 100, (num_tokens * amount + 99) // 100
        return select(score, present, counts=counts, most=most)

    return choose


class EliminatingEncoder(nn.Module):
    """The stack of layers of a stock model, with elimination; it takes the stock one's place.

    Its `layer` is the stock list, so that no name in the state dict changes. It does not record
    the hidden states and attentions of single layers.
    """

    def __init__(
        self, layers: nn.ModuleList, *, family: Family, amounts: Sequence[int], unit: str
    ) -> None:
        """Keep the layers and the retention configuration."""
        super().__init__()
        self.layer = layers
        self._family = family
        self._amounts = tuple(amounts)
        self._unit = unit

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor | None = None, **others: Any
    ) -> BaseModelOutputWithPastAndCrossAttentions:
        """Run the layers.

        Args:
            hidden_states: [B, T, E].
            attention_mask: [B, 1, 1, T] of `padding_mask`, or None without padding.
            others: What decoders take; not used.
        """
        if attention_mask is None:
            mask = hidden_states.new_ones(hidden_states.shape[:2], dtype=torch.long)
        else:
            mask = (attention_mask[:, 0, 0] == 0).long()
        choose = chooser(self._amounts, self._unit, mask)
        steps = run_layers(self._family, self.layer, hidden_states, mask, choose)
        state, _ = deque(steps, maxlen=1).pop()
        return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=state)


def eliminate(
    model: PreTrainedModel, family: Family, *, amounts: Sequence[int], unit: str, diagonal: bool
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
    model.get_submodule(family.backbone).register_forward_pre_hook(_put_right, with_kwargs=True)
    model.config._attn_implementation = attention_name(diagonal=diagonal)


def right_padded(batch: Mapping[str, Any]) -> dict[str, Any]:
    """Move each text's padding behind its tokens, whose order stays.

    Args:
        batch: `attention_mask` [B, T] and entries of [B, T] or [B, T, ...] that belong to it.
            Other entries, and a batch without such a mask, are returned as they are.
    """
    mask = batch.get("attention_mask")
    if mask is None or mask.ndim != 2 or not _padded(mask):
        return dict(batch)
    places = torch.arange(mask.shape[1], device=mask.device)
    order = torch.where(mask != 0, places, places + _BEHIND).sort(dim=1).values % _BEHIND
    kept = Kept(order, mask)
    return {
        name: kept.of(entry)
        if isinstance(entry, Tensor) and entry.shape[:2] == mask.shape
        else entry
        for name, entry in batch.items()
    }


def _put_right(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Hook: the same for the inputs of a backbone, of which at most the first two have no name."""
    unnamed = dict(zip(("input_ids", "attention_mask"), args, strict=False))
    return (), right_padded(unnamed | kwargs)


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
