"""BERT: where its parts are, its halves of a layer and its head, and its narrow networks.

The file imports only torch, transformers and files that do so too, because it is copied as it
stands into exported checkpoints.
"""

from typing import cast

from torch import Tensor, nn
from transformers import BertConfig, BertForSequenceClassification

from .family import Family, LayerParts
from .modeling_subnet import PREFIX, SubnetFields, cut_down


class SubnetBertConfig(SubnetFields, BertConfig):
    """A BERT whose layers have their own sizes."""

    model_type = f"{PREFIX}bert"


class SubnetBertForSequenceClassification(BertForSequenceClassification):
    """BERT with a classification head and layers of their own sizes."""

    config_class = SubnetBertConfig

    def __init__(self, config: SubnetBertConfig) -> None:
        """Build the stock model and cut it down."""
        super().__init__(config)
        cut_down(self, BERT)


def attend(layer: nn.Module, hidden: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """The first half of a layer, also of RoBERTa's and ELECTRA's; see `Family.attend`."""
    return cast(tuple[Tensor, Tensor], layer.get_submodule("attention")(hidden, mask))


def feed_forward(layer: nn.Module, hidden: Tensor) -> Tensor:
    """The second half of a layer, also of RoBERTa's and ELECTRA's."""
    between = layer.get_submodule("intermediate")(hidden)
    return cast(Tensor, layer.get_submodule("output")(between, hidden))


def _head(model: nn.Module, hidden: Tensor) -> Tensor:
    pooled = model.get_submodule("bert.pooler")(hidden)
    dropped = model.get_submodule("dropout")(pooled)
    return cast(Tensor, model.get_submodule("classifier")(dropped))


PARTS = LayerParts(
    activation="intermediate.intermediate_act_fn",
    dropouts=("attention.self.dropout", "attention.output.dropout", "output.dropout"),
)
"""Also of RoBERTa's and ELECTRA's layers."""

BERT = Family(
    model_type="bert",
    backbone="bert",
    layers="bert.encoder.layer",
    embedding_inputs=("input_ids", "token_type_ids"),
    neurons_name="intermediate_size",
    norms=("attention.output.LayerNorm", "output.LayerNorm"),
    parts=PARTS,
    positions_after_padding=False,
    subnet_config=SubnetBertConfig,
    subnet_model=SubnetBertForSequenceClassification,
    head=_head,
    attend=attend,
    feed_forward=feed_forward,
)
