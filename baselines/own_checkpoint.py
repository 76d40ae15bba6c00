"""A network that the user brings: a checkpoint that was fine-tuned on the task elsewhere.

Nothing is trained. It keeps its own tokenizer and may be of another family and size than the run's
model, as long as that family is supported.
"""

import re
from dataclasses import dataclass
from typing import Any

from ..encoders.checkpoints import find_checkpoint
from ..errors import InputError
from ..training.method import Making, Method

_GIVEN = re.compile(r"\s*[^=\s][^=]*=\s*\S.*")


@dataclass(frozen=True, slots=True)
class CheckpointOptions:
    """Which checkpoint, and what it is called.

    Attributes:
        checkpoint: The network's name and the folder of a fine-tuned checkpoint, as NAME=DIR.
    """

    checkpoint: str

    def __post_init__(self) -> None:
        """Check the form.

        Raises:
            InputError: When it is not NAME=DIR.
        """
        if not _GIVEN.fullmatch(self.checkpoint):
            raise InputError(
                f"{self.checkpoint!r} is not NAME=DIR: give the network a name and say in which "
                "folder its checkpoint lies, such as mine=checkpoints/mine."
            )

    @property
    def label(self) -> str:
        """What people call the network."""
        return self.checkpoint.partition("=")[0].strip()

    @property
    def folder(self) -> str:
        """Where it lies."""
        return self.checkpoint.partition("=")[2].strip()

    def to_dict(self) -> dict[str, Any]:
        """What decides the network: its weights, wherever they lie.

        Raises:
            InputError: When there is no checkpoint that can be used.
        """
        return {"fingerprint": find_checkpoint(self.folder).fingerprint}


def make(making: Making, options: CheckpointOptions) -> None:
    """Copy the checkpoint, checked, with its tokenizer.

    Raises:
        InputError: When it cannot be used, or has no trained head of the task's classes.
    """
    from transformers import AutoTokenizer

    from ..training.classifier import load_classifier
    from ..training.loop import Result, made

    def loaded() -> Result:
        folder = find_checkpoint(options.folder).folder
        model = load_classifier(folder, making.task, seed=0, fine_tuned=True)
        return model.eval(), AutoTokenizer.from_pretrained(folder, local_files_only=True)

    made(making.network, loaded)


METHOD = Method(
    "checkpoint",
    "A checkpoint of your own that was fine-tuned on the task: --checkpoint NAME=DIR.",
    CheckpointOptions,
    make,
)
