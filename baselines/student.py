"""A student of k layers, evenly spaced among the teacher's, taught by logits and hidden states.

DistilBERT (Sanh et al. 2019) starts a student from one teacher's layer out of two, with its
embeddings. Here it is every (L / k)-th layer, the last one among them, and the head, and the
student is taught on the task: by the logits at a temperature, and where it is asked for by the
directions of the first token's states in the layers that it has, the last one excepted (Patient
Knowledge Distillation, Sun et al. 2019, PKD-skip). Left out: labels, and distillation before
fine-tuning, which DistilBERT itself comes from.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import InputError
from ..training.method import Making, Method
from ..training.pace import refuse_unless_positive
from .layers import LayersOptions, resolve

if TYPE_CHECKING:
    from torch import Tensor

    from ..encoders.running import EncoderOutput

MAX_WEIGHT = 1e6


@dataclass(frozen=True, slots=True)
class StudentOptions(LayersOptions):
    """How many layers the student has, and how it learns.

    Attributes:
        temperature: Temperature of the logits; a regression task has none.
        patience: Weight in the loss of the first token's hidden states; 0 leaves them out.
    """

    temperature: float = 2.0
    patience: float = 0.0

    def __post_init__(self) -> None:
        """Check every setting.

        Raises:
            InputError: When one is out of its range.
        """
        LayersOptions.__post_init__(self)
        refuse_unless_positive(self, "temperature")
        if not 0 <= self.patience <= MAX_WEIGHT:
            raise InputError(f"patience must be from 0 to {MAX_WEIGHT:,.0f}, not {self.patience}.")
        if self.patience and self.layers == 1:
            raise InputError(
                "A student of one layer has none before the last, whose states patience is for: "
                "give more layers, or no patience."
            )

    @property
    def label(self) -> str:
        """What people call the network."""
        return f"student of {self.counted}" + (", patient" if self.patience else "")


def spaced_layers(num_layers: int, number: int) -> tuple[int, ...]:
    """Evenly spaced layers of a model, counted from 0, the last one among them.

    >>> spaced_layers(12, 6), spaced_layers(6, 4)
    ((1, 3, 5, 7, 9, 11), (0, 2, 3, 5))
    """
    return tuple(place * num_layers // number - 1 for place in range(1, number + 1))


def make(making: Making, options: StudentOptions) -> None:
    """Train the student, or go on where that was interrupted.

    Raises:
        InputError: When the teacher does not have more layers than the student, the training has
            too many steps, or the loss stops being finite.
    """
    from ..encoders.families import shape_of
    from ..training.distillation import logit_loss, patient_loss
    from ..training.student import train_student, whole_layers

    def loss(student: "EncoderOutput", teacher: "EncoderOutput", mask: "Tensor") -> "Tensor":
        taught = logit_loss(
            student.logits,
            teacher.logits,
            head=making.task.head,
            temperature=options.temperature,
        )
        if not options.patience:
            return taught
        return taught + options.patience * patient_loss(student, teacher)

    train_student(
        making,
        options,
        stage="student",
        start=lambda teacher, tokenizer: whole_layers(
            teacher, spaced_layers(shape_of(teacher.config).num_layers, options.number)
        ),
        loss=loss,
    )


METHOD = Method(
    "student",
    "Evenly spaced layers of the fine-tuned model, taught by its logits, patiently or not.",
    StudentOptions,
    make,
    resolve,
)
