"""CoFi: layers, heads and neurons of one network are pruned while it learns (Xia et al. 2022).

Every layer, head and neuron of a copy of the fine-tuned model gets a hard-concrete gate
(`training.gates`). Weights and gates learn together from the fine-tuned model, while Lagrangian
multipliers hold the expected cost to a line from everything to the target (section 3.1). Then the
gates are read off, and the dense network that is left learns on. Both stages learn by CoFi's
distillation (section 3.2): the logits at a temperature, and the states of some of the teacher's
layers, each from whichever of the student's layers is nearest to it in that step (equation 5).

Where this differs. A network of a run has at least one head and one neuron in each layer that it
keeps. So the gate of a layer stands for attention and feed-forward network together, where CoFi
gates the two apart: a layer that loses both is dropped, one that loses either keeps that one's
best unit. Sparsity is in multiply-adds over the task's texts, not in parameters, and multipliers
are in units of the task's own gradient of the gates (`cofi_training`). Left out: gates of the
hidden size, which `SubnetConfig` cannot say; labels, as in CoFi's own losses with distillation.
"""

from dataclasses import dataclass

from ..errors import InputError
from ..training.method import Making, Method
from ..training.pace import StudentPace, refuse_no_speedup, refuse_unless_positive


@dataclass(frozen=True, slots=True)
class CofiOptions(StudentPace):
    """How much is left, and how it learns.

    Attributes:
        target_speedup: How many times fewer multiply-adds the encoder is to have over the training
            texts.
        prune_share: The share of all steps that prune; in the others the pruned network learns on.
        logits_share: The weight of the logits in the loss; the states have the rest.
        temperature: Temperature of the logits; a regression task has none.
    """

    target_speedup: float = 2.0
    prune_share: float = 0.5
    logits_share: float = 0.1
    temperature: float = 2.0

    def __post_init__(self) -> None:
        """Check every setting.

        Raises:
            InputError: When one is out of its range.
        """
        StudentPace.__post_init__(self)
        refuse_no_speedup(self.target_speedup)
        if self.steps == 1:
            raise InputError("Pruning and training on take a step each: give 2 steps or more.")
        for name in ("prune_share", "logits_share"):
            if not 0 < getattr(self, name) < 1:
                raise InputError(f"{name} must be between 0 and 1, not {getattr(self, name):g}.")
        refuse_unless_positive(self, "temperature")

    @property
    def label(self) -> str:
        """What people call the network."""
        return f"CoFi ({self.target_speedup:g}x)"


def make(making: Making, options: CofiOptions) -> None:
    """Prune the teacher and train on what is left, or go on where that was interrupted.

    Raises:
        InputError: When the target is out of reach, the training has too many steps, or the loss
            stops being finite.
    """
    from .cofi_training import train_cofi

    train_cofi(making, options)


METHOD = Method(
    "cofi",
    "Layers, heads and neurons pruned while the network learns (CoFi).",
    CofiOptions,
    make,
)
