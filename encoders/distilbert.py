"""DistilBERT: BERT's layer under other names, no token types, and its narrow networks.

The file imports only torch, transformers and files that do so too, because it is copied as it
stands into exported checkpoints.
"""

from typing import cast

from torch import Tensor, nn
from transformers import DistilBertConfig, DistilBertForSequenceClassification

from .family import Family, LayerParts
from .modeling_subnet import PREFIX, SubnetFields, cut_down


class SubnetDistilBertConfig(SubnetFields, DistilBertConfig):
    """A DistilBERT whose layers have their own sizes."""

    model_type = f"{PREFIX}distilbert"


class SubnetDistilBertForSequenceClassification(DistilBertForSequenceClassification):
    """DistilBERT with a classification head and layers of their own sizes."""

    config_class = SubnetDistilBertConfig

    def __init__(self, config: SubnetDistilBertConfig) -> None:
        """Build the stock model and cut it down."""
        super().__init__(config)
        cut_down(self, DISTILBERT)


def _attend(layer: nn.Module, hidden: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    attended, second = layer.get_submodule("attention")(hidden, attention_mask=mask)
    return cast(Tensor, layer.get_submodule("sa_layer_norm")(attended + hidden)), second


def _feed_forward(layer: nn.Module, hidden: Tensor) -> Tensor:
    output = layer.get_submodule("ffn")(hidden)
    return cast(Tensor, layer.get_submodule("output_layer_norm")(output + hidden))


def _head(model: nn.Module, hidden: Tensor) -> Tensor:
    pooled = model.get_submodule("pre_classifier")(hidden[:, 0]).relu()
    dropped = model.get_submodule("dropout")(pooled)
    return cast(Tensor, model.get_submodule("classifier")(dropped))


DISTILBERT = Family(
    model_type="distilbert",
    backbone="distilbert",
    layers="distilbert.transformer.layer",
    embedding_inputs=("input_ids",),
    neurons_name="hidden_dim",
    norms=("sa_layer_norm", "output_layer_norm"),
    parts=LayerParts(
        activation="ffn.activation", dropouts=("attention.dropout", None, "ffn.dropout")
    ),
    positions_after_padding=False,
    subnet_config=SubnetDistilBertConfig,
    subnet_model=SubnetDistilBertForSequenceClassification,
    head=_head,
    attend=_attend,
    feed_forward=_feed_forward,
)
