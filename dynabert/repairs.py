"""The repaired sub-networks of a supernet that was not trained: made when asked for, then kept.

The supernet's folder says from how many texts they are made and with which seed; what was solved
for a sub-network is one file, so that what is scored is what is exported, whoever builds it. The
full model's states are collected when the first file is missing.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any, Self

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..encoders.extraction import extract
from ..encoders.families import family_of, shape_of
from ..errors import InputError
from ..networks.network import Cut, Network
from ..networks.subnet import SubnetConfig
from ..storage import read_bytes, read_known, write_bytes, write_json
from ..tasks.batches import EncodedTexts, encode_texts
from ..tasks.task import Texts
from .halves import HALVES, normalisation, projection, readers
from .losses import RepairLosses, write_losses
from .reconstruction import Counting, Reference, collect, repair, uncounted
from .supernet import Supernet

REPAIR_FILE = "repair.json"


@dataclass(frozen=True, slots=True)
class RepairOptions:
    """What the repaired sub-networks of a supernet depend on.

    Attributes:
        num_texts: Texts that are drawn from the training split and unlabelled texts; all where
            there are fewer.
        num_tokens: Tokens of all of them together at most; texts beyond are left out.
        seed: Of the draws.
    """

    num_texts: int = 512
    num_tokens: int = 65_536
    seed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        names = ("num_texts", "num_tokens", "seed")
        return cls(**{name: int(record[name]) for name in names})


@dataclass(frozen=True, slots=True)
class RepairableSupernet:
    """A supernet whose sub-networks are repaired when they are built.

    Attributes:
        supernet: The fine-tuned full model, rewired.
        options: How they are repaired.
        losses: What cannot be repaired.
    """

    supernet: Supernet
    options: RepairOptions
    losses: RepairLosses

    def save_pretrained(self, folder: Path) -> None:
        """Write the supernet, the options and the losses into an existing folder."""
        self.supernet.save_pretrained(folder)
        write_json(folder / REPAIR_FILE, self.options.to_dict())
        write_losses(folder, self.losses)


class Repairs:
    """Builds the repaired sub-networks of one supernet."""

    def __init__(
        self,
        model: PreTrainedModel,
        options: RepairOptions,
        *,
        texts: Callable[[RepairOptions], EncodedTexts],
        kept_in: Path,
        progress: Counting = uncounted,
    ) -> None:
        """Keep what they are made from, and where.

        Args:
            model: The supernet's model.
            options: Those of the supernet.
            texts: Draws the texts and tokenises them.
            kept_in: The folder of the files, which may not exist yet.
            progress: Of collecting the full model's states: see `collect`.
        """
        self._model = model
        self._options = options
        self._texts = texts
        self._folder = kept_in
        self._progress = progress

    def build(self, config: SubnetConfig) -> PreTrainedModel:
        """Return a sub-network, repaired unless it is the full model.

        Word-vectors are eliminated by networks whose weights are those of the one that keeps all.

        Raises:
            InputError: When `config` is larger than the model, or its file is damaged.
        """
        dense = extract(self._model, config)
        every_token = replace(config, tokens=None)
        shape = shape_of(self._model.config)
        if every_token == SubnetConfig.full(shape):
            return dense
        path = self._folder / f"{Network(config.key, Cut(shape, every_token)).id}.safetensors"
        if not path.exists():
            repaired = repair(self._model, every_token, self._reference)
            write_bytes(path, save(solved_tensors(repaired.model, like=self._model)))
        targets = solved_tensors(dense, like=self._model)
        try:
            found = load(read_bytes(path))
            for name, tensor in targets.items():
                tensor.copy_(found[name])
        except (KeyError, RuntimeError, SafetensorError):
            raise InputError(
                f"{path} is no repair of {config.key}: delete the file to have it made again."
            ) from None
        return dense

    @cached_property
    def _reference(self) -> Reference:
        texts = self._texts(self._options)
        return collect(self._model, texts, seed=self._options.seed, progress=self._progress)


def read_options(supernet: Path) -> RepairOptions | None:
    """How the sub-networks of a stored supernet are repaired; None where they are not.

    Raises:
        InputError: When the file is damaged.
    """
    return read_known(
        supernet / REPAIR_FILE, RepairOptions.from_dict, lacking="names no texts and seed"
    )


def repair_texts(
    texts: Texts,
    tokenizer: PreTrainedTokenizerBase,
    options: RepairOptions,
    *,
    max_length: int,
) -> EncodedTexts:
    """Draw the texts to repair with, and tokenise them.

    Args:
        texts: What they are drawn from.
        tokenizer: The full model's.
        options: How many, and the seed.
        max_length: See `tasks.batches.encode_texts`.
    """
    drawn = Random(options.seed).sample(range(len(texts)), min(options.num_texts, len(texts)))
    found = Texts(
        first=tuple(texts.first[i] for i in drawn),
        second=None if texts.second is None else tuple(texts.second[i] for i in drawn),
    )
    encoded = encode_texts(found, tokenizer, max_length=max_length)
    fitting = sum(total <= options.num_tokens for total in accumulate(encoded.lengths))
    return encoded.at(range(min(len(encoded), max(2, fitting))))


def solved_tensors(dense: PreTrainedModel, *, like: PreTrainedModel) -> dict[str, Tensor]:
    """The tensors of a sub-network that a repair changes, by name: views of its own.

    Args:
        dense: The sub-network, a model of a class of its own family.
        like: The full model, which names the family.
    """
    family = family_of(like)
    found = {}
    for place, layer in enumerate(family.layer_list(dense)):
        changed: dict[str, nn.Module] = {half: projection(layer, family, half) for half in HALVES}
        changed |= {
            f"{half}.reads.{number}": linear
            for half in HALVES
            for number, linear in enumerate(readers(layer, family, half))
        }
        changed["normalisation"] = normalisation(layer, family, "feed-forward")
        for name, module in changed.items():
            for parameter, tensor in module.named_parameters():
                found[f"{place}.{name}.{parameter}"] = tensor.detach()
    return found
