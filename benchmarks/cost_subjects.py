"""The networks that `published_costs.py` measures, each by its name.

`bind(name)` builds one with random weights and binds it to the protocol's batch. It needs nothing
but the name, so a fresh process can do it. Networks with the same weights have the same seed.
"""

from collections.abc import Callable
from functools import partial

import torch
from plain_module import PlainBert
from torch import nn
from transformers import BertConfig, BertForSequenceClassification, PreTrainedModel

from paretobert.encoders.bert import SubnetBertConfig, SubnetBertForSequenceClassification
from paretobert.encoders.extraction import extract
from paretobert.encoders.families import shape_of
from paretobert.networks.subnet import DEPTHS, WIDTHS, SubnetConfig
from paretobert.profiling.inputs import random_batches
from paretobert.profiling.protocol import LatencyProtocol

Run = Callable[[], object]

BASE = BertConfig()
SHAPE = shape_of(BASE)
LARGE = BertConfig(
    hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096
)
BORT = {
    "Bort, released (H 1024, I 768)": BertConfig(
        vocab_size=50265,
        hidden_size=1024,
        num_hidden_layers=4,
        num_attention_heads=8,
        intermediate_size=768,
    ),
    "Bort, as first printed (H 768, I 1024)": BertConfig(
        vocab_size=50265,
        hidden_size=768,
        num_hidden_layers=4,
        num_attention_heads=8,
        intermediate_size=1024,
    ),
}
FULL, HALF_DEPTH = "BERT-base", "BERT-base's shape, 6 layers"
NARROW_CLASS = "narrow class at full width, 12 layers"
OVERHEAD_PAIRS = ((1.0, 1.0), (1.0, 0.5), (0.5, 1.0), (0.25, 0.5))
"""Widths and depths at which an extracted network is held against plain torch."""


def extracted_name(width: float, depth: float) -> str:
    """What BERT-base's sub-network at a width and a depth is called."""
    return f"extracted, width {width:g}, {_num_layers(width, depth)} of 12 layers"


def plain_name(width: float, depth: float) -> str:
    """What the plain module with that sub-network's weights is called."""
    return f"plain torch, width {width:g}, {_num_layers(width, depth)} of 12 layers"


def _num_layers(width: float, depth: float) -> int:
    return SubnetConfig.from_multipliers(SHAPE, width, depth).num_layers


def bert(config: BertConfig) -> PreTrainedModel:
    """A BERT with random weights, in evaluation mode."""
    torch.manual_seed(0)
    return BertForSequenceClassification(config).eval()


def extracted(width: float, depth: float) -> PreTrainedModel:
    """A sub-network of BERT-base."""
    return extract(bert(BASE), SubnetConfig.from_multipliers(SHAPE, width, depth))


def plain(width: float, depth: float) -> PlainBert:
    """The same sub-network, its weights in a module that knows neither transformers nor us."""
    state = extracted(width, depth).state_dict()
    return PlainBert.from_state(state, head_size=SHAPE.head_size, eps=BASE.layer_norm_eps)


def narrow_class() -> PreTrainedModel:
    """The class of narrow networks with nothing cut off."""
    settings = {name: value for name, value in BASE.to_dict().items() if name != "model_type"}
    torch.manual_seed(0)
    return SubnetBertForSequenceClassification(SubnetBertConfig(**settings)).eval()


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    FULL: partial(bert, BASE),
    "BERT-large": partial(bert, LARGE),
    HALF_DEPTH: partial(bert, BertConfig(num_hidden_layers=6)),
    NARROW_CLASS: narrow_class,
    **{name: partial(bert, config) for name, config in BORT.items()},
    **{
        extracted_name(width, depth): partial(extracted, width, depth)
        for depth in DEPTHS
        for width in WIDTHS
    },
    **{plain_name(width, depth): partial(plain, width, depth) for width, depth in OVERHEAD_PAIRS},
}
"""Every network by its name."""


def bind(name: str, protocol: LatencyProtocol | None = None) -> Run:
    """Build a network and bind it to the batch of a protocol, the default one if left out.

    Args:
        name: One of `NETWORKS`.
        protocol: Its lengths and its seed decide the batch.

    Returns:
        A call without arguments that runs the network once and returns what it returns.
    """
    network = NETWORKS[name]()
    words = network.get_parameter(
        "words.weight"
        if isinstance(network, PlainBert)
        else "bert.embeddings.word_embeddings.weight"
    )
    (batch,) = random_batches(
        protocol or LatencyProtocol(), vocab_size=len(words), padding_id=BASE.pad_token_id
    )
    return partial(network, **{name: torch.from_numpy(entry) for name, entry in batch.items()})
