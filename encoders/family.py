"""What one architecture family is: where its parts are, and how it is run piece by piece.

    hidden = family.embed(model, batch)
    mask = family.mask(model, hidden, batch)
    for layer in family.layer_list(model):
        hidden = layer(hidden, mask)
    logits = family.classify(model, hidden)

Each family has a file of its own, which alone knows transformers' names, beside the paths of its
linear layers in `plan`. Decoders and cross-attention are left out.

Shape letters: B batch, T tokens, E hidden size, C labels. The file imports only torch,
transformers and `plan`, because it is copied as it stands into exported checkpoints.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.masking_utils import create_bidirectional_mask

from .plan import PLANS, SlicingPlan


@dataclass(frozen=True, slots=True)
class LayerParts:
    """Paths, within a transformer layer, of what its linear layers and normalisations leave.

    Attributes:
        activation: Of the feed-forward network.
        dropouts: Of attention's probabilities, and of what each half of the layer writes; None
            where nothing is dropped.
    """

    activation: str
    dropouts: tuple[str, str | None, str | None]


@dataclass(frozen=True, slots=True)
class Family:
    """The adapter of one architecture family's sequence-classification model.

    Attributes:
        model_type: transformers' `config.model_type`.
        backbone: Path of the encoder model within the classification model.
        layers: Path of the list of transformer layers within the classification model.
        embedding_inputs: The batch entries that the embeddings take.
        neurons_name: Name of the feed-forward size in the config. The number of layers, of heads
            and the hidden size have the same names (or aliases) in every family.
        norms: Paths, within a layer, of the normalisations that end its halves: each is of what
            the half reads and what its last linear layer writes, added.
        parts: Paths of a layer's other parts.
        positions_after_padding: Whether positions are counted from the padding's id on, so that
            the first rows of their table are never used.
        subnet_config: The config class of narrow and of token-eliminating networks.
        subnet_model: Their model class.
        head: Maps a model and its last hidden states [B, T, E] to logits [B, C].
        attend: Runs the first half of a layer on hidden states [B, T, E] and the mask: attention,
            residual and LayerNorm. Also returns the attention's second result.
        feed_forward: Runs the second half of a layer: the feed-forward network, residual and
            LayerNorm.
    """

    model_type: str
    backbone: str
    layers: str
    embedding_inputs: tuple[str, ...]
    neurons_name: str
    norms: tuple[str, str]
    parts: LayerParts
    positions_after_padding: bool
    subnet_config: type[PreTrainedConfig]
    subnet_model: type[PreTrainedModel]
    head: Callable[[nn.Module, Tensor], Tensor]
    attend: Callable[[nn.Module, Tensor, Tensor | None], tuple[Tensor, Tensor]]
    feed_forward: Callable[[nn.Module, Tensor], Tensor]

    @property
    def plan(self) -> SlicingPlan:
        """How a transformer layer of this family is cut."""
        return PLANS[self.model_type]

    def num_neurons(self, config: PreTrainedConfig) -> int:
        """The feed-forward size of a full layer."""
        return cast(int, getattr(config, self.neurons_name))

    def longest_input(self, config: PreTrainedConfig) -> int:
        """The most tokens of one text that the position table serves."""
        positions: int = config.max_position_embeddings
        return positions - (config.pad_token_id + 1 if self.positions_after_padding else 0)

    def layer_list(self, model: nn.Module) -> nn.ModuleList:
        """Return the transformer layers of a classification model, first to last."""
        return cast(nn.ModuleList, model.get_submodule(self.layers))

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


def classifier_head(model: nn.Module, hidden: Tensor) -> Tensor:
    """The head of families whose `classifier` reads the hidden states [B, T, E] itself."""
    return cast(Tensor, model.get_submodule("classifier")(hidden))
