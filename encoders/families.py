"""Where each architecture family keeps its parts: the only place that knows transformers' names.

One frozen record per family holds the attribute paths of the encoder's pieces and how the
classification head is called, so that a model can be sliced and also run piece by piece:

    hidden = family.embed(model, batch)
    mask = family.mask(model, hidden, batch)
    for layer in family.layer_list(model):
        hidden = layer(hidden, mask)
    logits = family.classify(model, hidden)

Shape letters: B batch, T tokens, E hidden size, C labels. The file imports only torch and
transformers, because it is copied as it stands into exported checkpoints. Decoders and
cross-attention are left out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.masking_utils import create_bidirectional_mask


@dataclass(frozen=True, slots=True)
class Projections:
    """The six linear layers of one transformer layer that sub-networks narrow.

    Attributes:
        query: [A*D, E], head after head along the rows; `key` and `value` likewise.
        key: See `query`.
        value: See `query`.
        attention_output: [E, A*D].
        ffn_in: [F, E].
        ffn_out: [E, F].
    """

    query: nn.Linear
    key: nn.Linear
    value: nn.Linear
    attention_output: nn.Linear
    ffn_in: nn.Linear
    ffn_out: nn.Linear


@dataclass(frozen=True, slots=True)
class Family:
    """The adapter of one architecture family's sequence-classification model.

    Attributes:
        model_type: transformers' `config.model_type`.
        backbone: Path of the encoder model within the classification model.
        layers: Path of the list of transformer layers within the classification model.
        query: Path of the query projection within a layer.
        key: Path of the key projection within a layer.
        value: Path of the value projection within a layer.
        attention_output: Path of the attention output projection within a layer.
        ffn_in: Path of the first feed-forward projection within a layer.
        ffn_out: Path of the second feed-forward projection within a layer.
        embedding_inputs: The batch entries that the embeddings take.
        ffn_size_attribute: Name of the feed-forward size in the config. The number of layers, of
            heads and the hidden size have the same names (or aliases) in every family.
        head: Maps a model and its last hidden states [B, T, E] to logits [B, C].
        attend: Runs the first half of a layer on hidden states [B, T, E] and the mask: attention,
            residual and LayerNorm. Also returns the attention's second result.
        feed_forward: Runs the second half of a layer: the feed-forward network, residual and
            LayerNorm.
    """

    model_type: str
    backbone: str
    layers: str
    query: str
    key: str
    value: str
    attention_output: str
    ffn_in: str
    ffn_out: str
    embedding_inputs: tuple[str, ...]
    ffn_size_attribute: str
    head: Callable[[nn.Module, Tensor], Tensor]
    attend: Callable[[nn.Module, Tensor, Tensor | None], tuple[Tensor, Tensor]]
    feed_forward: Callable[[nn.Module, Tensor], Tensor]

    def layer_list(self, model: nn.Module) -> nn.ModuleList:
        """Return the transformer layers of a classification model, first to last."""
        return cast(nn.ModuleList, model.get_submodule(self.layers))

    def projections(self, layer: nn.Module) -> Projections:
        """Return the linear layers of one transformer layer."""
        return Projections(
            query=cast(nn.Linear, layer.get_submodule(self.query)),
            key=cast(nn.Linear, layer.get_submodule(self.key)),
            value=cast(nn.Linear, layer.get_submodule(self.value)),
            attention_output=cast(nn.Linear, layer.get_submodule(self.attention_output)),
            ffn_in=cast(nn.Linear, layer.get_submodule(self.ffn_in)),
            ffn_out=cast(nn.Linear, layer.get_submodule(self.ffn_out)),
        )

    def embed(self, model: PreTrainedModel, batch: Mapping[str, Tensor]) -> Tensor:
        """Return what the first transformer layer reads.

        Args:
            model: A classification model of this family.
            batch: `input_ids` [B, T] and, where the family has them, `token_type_ids` [B, T];
                other entries are ignored.

        Returns:
            The embeddings [B, T, E], projected to the hidden size where the family does so.
        """
        backbone = model.get_submodule(self.backbone)
        inputs = {name: batch[name] for name in self.embedding_inputs if name in batch}
        embeddings: Tensor = backbone.get_submodule("embeddings")(**inputs)
        project = getattr(backbone, "embeddings_project", nn.Identity())
        return cast(Tensor, project(embeddings))

    def mask(
        self, model: PreTrainedModel, hidden: Tensor, batch: Mapping[str, Tensor]
    ) -> Tensor | None:
        """Return the mask that the transformer layers take.

        Args:
            model: A classification model of this family.
            hidden: The embeddings [B, T, E], for their shape, dtype and device.
            batch: `attention_mask` [B, T] with 1 for tokens and 0 for padding, or none.

        Returns:
            The mask in the form that the model's attention implementation wants; None where that
            implementation needs none.
        """
        mask = create_bidirectional_mask(
            config=model.config, inputs_embeds=hidden, attention_mask=batch.get("attention_mask")
        )
        return cast(Tensor | None, mask)

    def classify(self, model: PreTrainedModel, hidden: Tensor) -> Tensor:
        """Map the last hidden states [B, T, E] to logits [B, C], dropout as in the model."""
        return self.head(model, hidden)


def family_of(model_or_config: PreTrainedModel | PreTrainedConfig) -> Family:
    """Return the family of a model or of its config.

    Raises:
        ValueError: When the model type is not supported, or the model is a decoder.
    """
    if isinstance(model_or_config, PreTrainedModel):
        return family_of(model_or_config.config)
    config, model_type = model_or_config, model_or_config.model_type
    if model_type not in FAMILIES:
        raise ValueError(
            f"The model type {model_type!r} is not supported; supported are "
            f"{', '.join(sorted(FAMILIES))}."
        )
    if getattr(config, "is_decoder", False):
        raise ValueError(
            f"This {model_type} model is a decoder (its config has is_decoder=true); "
            "only encoders are supported."
        )
    return FAMILIES[model_type]


def _pooled_head(model: nn.Module, hidden: Tensor) -> Tensor:
    pooled = model.get_submodule("bert.pooler")(hidden)
    dropped = model.get_submodule("dropout")(pooled)
    return cast(Tensor, model.get_submodule("classifier")(dropped))


def _sequence_head(model: nn.Module, hidden: Tensor) -> Tensor:
    return cast(Tensor, model.get_submodule("classifier")(hidden))


def _distilbert_head(model: nn.Module, hidden: Tensor) -> Tensor:
    pooled = model.get_submodule("pre_classifier")(hidden[:, 0]).relu()
    dropped = model.get_submodule("dropout")(pooled)
    return cast(Tensor, model.get_submodule("classifier")(dropped))


def _attend(layer: nn.Module, hidden: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    return cast(tuple[Tensor, Tensor], layer.get_submodule("attention")(hidden, mask))


def _feed_forward(layer: nn.Module, hidden: Tensor) -> Tensor:
    between = layer.get_submodule("intermediate")(hidden)
    return cast(Tensor, layer.get_submodule("output")(between, hidden))


def _distilbert_attend(
    layer: nn.Module, hidden: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    attended, second = layer.get_submodule("attention")(hidden, attention_mask=mask)
    return cast(Tensor, layer.get_submodule("sa_layer_norm")(attended + hidden)), second


def _distilbert_feed_forward(layer: nn.Module, hidden: Tensor) -> Tensor:
    output = layer.get_submodule("ffn")(hidden)
    return cast(Tensor, layer.get_submodule("output_layer_norm")(output + hidden))


def _bert_like(
    model_type: str, *, backbone: str, head: Callable[[nn.Module, Tensor], Tensor]
) -> Family:
    return Family(
        model_type=model_type,
        backbone=backbone,
        layers=f"{backbone}.encoder.layer",
        query="attention.self.query",
        key="attention.self.key",
        value="attention.self.value",
        attention_output="attention.output.dense",
        ffn_in="intermediate.dense",
        ffn_out="output.dense",
        embedding_inputs=("input_ids", "token_type_ids"),
        ffn_size_attribute="intermediate_size",
        head=head,
        attend=_attend,
        feed_forward=_feed_forward,
    )


_DISTILBERT = Family(
    model_type="distilbert",
    backbone="distilbert",
    layers="distilbert.transformer.layer",
    query="attention.q_lin",
    key="attention.k_lin",
    value="attention.v_lin",
    attention_output="attention.out_lin",
    ffn_in="ffn.lin1",
    ffn_out="ffn.lin2",
    embedding_inputs=("input_ids",),
    ffn_size_attribute="hidden_dim",
    head=_distilbert_head,
    attend=_distilbert_attend,
    feed_forward=_distilbert_feed_forward,
)

FAMILIES: dict[str, Family] = {
    family.model_type: family
    for family in (
        _bert_like("bert", backbone="bert", head=_pooled_head),
        _bert_like("roberta", backbone="roberta", head=_sequence_head),
        _bert_like("xlm-roberta", backbone="roberta", head=_sequence_head),
        _bert_like("camembert", backbone="roberta", head=_sequence_head),
        _bert_like("electra", backbone="electra", head=_sequence_head),
        _DISTILBERT,
    )
}
