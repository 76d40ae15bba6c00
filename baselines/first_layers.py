"""The first k layers of the fine-tuned model, taught by it: the baseline that costs no idea.

Sun et al. 2019 (Patient Knowledge Distillation) start a student of k layers from the teacher's
first k; Sajjad et al. 2020 find that dropping the top layers is hard to beat. Here the first k
layers, with the teacher's embeddings and head, learn the teacher's logits: soft cross-entropy, as
DynaBERT's distillation has it; mean squared error for a score. Left out: labels and hidden states.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..training.method import Making, Method
from .layers import LayersOptions, resolve

if TYPE_CHECKING:
    from torch import Tensor

    from ..encoders.running import EncoderOutput


@dataclass(frozen=True, slots=True)
class FirstLayersOptions(LayersOptions):
    """How many of the first layers are kept, and how they learn."""

    @property
    def label(self) -> str:
        """What people call the network."""
        return f"first {self.counted}"


def make(making: Making, options: FirstLayersOptions) -> None:
    """Train the first layers of the teacher, or go on where that was interrupted.

    Raises:
        InputError: When the teacher does not have more layers than are kept, the training has too
            many steps, or the loss stops being finite.
    """
    from ..training.distillation import logit_loss
    from ..training.student import train_student, whole_layers

    def loss(student: "EncoderOutput", teacher: "EncoderOutput", mask: "Tensor") -> "Tensor":
        return logit_loss(student.logits, teacher.logits, head=making.task.head)

    train_student(
        making,
        options,
        stage="first layers",
        start=lambda teacher, tokenizer: whole_layers(teacher, range(options.number)),
        loss=loss,
    )


METHOD = Method(
    "first-layers",
    "The first layers of the fine-tuned model, taught by its logits.",
    FirstLayersOptions,
    make,
    resolve,
)
