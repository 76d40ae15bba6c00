"""The supernet: one transformers model that can be run as any of its sub-networks.

DynaBERT sections 2.1 and 2.2. The linear layers of attention and feed-forward networks are
elastic, dropped layers are passed over, and with a retention configuration word-vectors are
eliminated on the way (`elimination`); embeddings, LayerNorms and head are shared by all. The
state dict keeps its stock keys, so a saved supernet is an ordinary checkpoint of the full model
plus `supernet.json`. For scoring, timing and export a sub-network is first extracted.

Legend: B batch, T tokens, E hidden size, C labels.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from torch import Tensor, nn
from transformers import PreTrainedModel

from ..encoders.dropout import PackedDropout
from ..encoders.elastic import AccumulatingEmbedding, activate, make_elastic
from ..encoders.elimination import right_padded, significance_in
from ..encoders.families import family_of, shape_of
from ..encoders.plan import LayerSizes
from ..encoders.running import EncoderOutput, run_encoder, run_together
from ..errors import InputError
from ..networks.space import Space
from ..networks.spaces import space_from_dict
from ..networks.subnet import SubnetConfig
from ..storage import read_json, write_json
from ..training.classifier import load_stored

SPACE_FILE = "supernet.json"


class Supernet:
    """A full model whose sub-networks share its weights.

    Attributes:
        model: The transformers model; its state dict has the stock keys.
        space: The sub-networks that it is trained for.
        shape: Its sizes.
        active_config: The sub-network that `encode` runs; set by `active` alone.
    """

    def __init__(self, model: PreTrainedModel, space: Space) -> None:
        """Make `model` elastic in place; its function does not change."""
        self.model = model
        self.space = space
        self.shape = space.shape
        self.active_config = space.full
        self._family = family_of(model)
        for layer in self._family.layer_list(model):
            make_elastic(layer, self._family.plan)
        for path, module in list(model.named_modules()):
            if type(module) is nn.Dropout:
                model.set_submodule(path, PackedDropout.from_dropout(module))
            elif type(module) is nn.Embedding:
                model.set_submodule(path, AccumulatingEmbedding.from_embedding(module))

    @classmethod
    def from_pretrained(cls, folder: Path) -> Self:
        """Load a supernet that `save_pretrained` wrote.

        Raises:
            InputError: When the folder holds no supernet.
        """
        record = read_json(folder / SPACE_FILE)
        model = load_stored(folder)
        try:
            space = space_from_dict(record, shape_of(model.config))
        except (AttributeError, LookupError, TypeError, ValueError):
            raise InputError(
                f"{folder / SPACE_FILE} names no space: the file is damaged."
            ) from None
        return cls(model, space)

    def save_pretrained(self, folder: Path) -> None:
        """Write the full model's checkpoint and the space into an existing folder."""
        self.model.save_pretrained(folder)
        write_json(folder / SPACE_FILE, self.space.to_dict())

    @contextmanager
    def active(self, config: SubnetConfig) -> Iterator[None]:
        """Run as the sub-network `config` inside the block, as before after it.

        Raises:
            InputError: When `config` is larger than the model.
        """
        config.validate_for(self.shape)
        previous = self.active_config
        self._activate(config)
        try:
            if config.tokens is None:
                yield
            else:
                with significance_in(self.model, diagonal=False):
                    yield
        finally:
            self._activate(previous)

    def embed(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the embeddings [B, T, E], which all sub-networks share."""
        return self._family.embed(self.model, batch)

    def encode(self, embeddings: Tensor, batch: Mapping[str, Tensor]) -> EncoderOutput:
        """Run the active sub-network from the embeddings [B, T, E] on.

        Args:
            embeddings: What `embed` returned.
            batch: Its `attention_mask` [B, T] is used.
        """
        layers = self._family.layer_list(self.model)
        config = self.active_config
        return run_encoder(
            self.model,
            self._family,
            embeddings,
            batch,
            layers={index: layers[index] for index in config.layers},
            tokens=config.tokens,
        )

    def encode_together(
        self, embeddings: Tensor, batch: Mapping[str, Tensor], configs: Sequence[SubnetConfig]
    ) -> list[EncoderOutput]:
        """Run sub-networks that keep every word-vector, whichever is active; see `run_together`.

        Args:
            embeddings: What `embed` returned.
            batch: Its `attention_mask` [B, T] is used.
            configs: The sub-networks.
        """
        return run_together(
            self.model,
            self._family,
            embeddings,
            batch,
            configs,
            head_size=self.shape.head_size,
        )

    def __call__(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the active sub-network's logits [B, C]; see `right_padded` on left padding."""
        if self.active_config.tokens is not None:
            batch = right_padded(batch)
        return self.encode(self.embed(batch), batch).logits

    def _activate(self, config: SubnetConfig) -> None:
        layers = self._family.layer_list(self.model)
        for index, heads, neurons in zip(config.layers, config.heads, config.neurons, strict=True):
            sizes = LayerSizes(self.shape.hidden_size, self.shape.head_size, heads, neurons)
            activate(layers[index], self._family.plan, sizes)
        self.active_config = config
