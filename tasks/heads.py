"""What a task asks of a model's head, one record for each kind of task (no torch).

Which of transformers' classes has the head, what it learns by, what it answers, which tokens it
reads and what it costs: whoever needs one of these asks the record, and nobody else distinguishes
kinds of tasks. A head has a dense layer of E x E and one of E x C at each token that it reads.

Letters: E hidden size, C outputs, B batch.
"""

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from ..errors import InputError

Kind = Literal["classification", "regression"]
Answer = Literal["class", "score"]
Loss = Literal["cross-entropy", "squared error"]
Reads = Literal["first", "all"]


class Logits(Protocol):
    """An array or a tensor [B, C]."""

    def argmax(self, axis: int, /) -> Any:
        """The index of the largest along an axis."""
        ...

    def __getitem__(self, key: Any, /) -> Any:
        """A part."""
        ...


@dataclass(frozen=True, slots=True)
class Head:
    """The head that a kind of task needs.

    Attributes:
        kind: The kind of task.
        auto_class: transformers' class that puts such a head on any encoder.
        problem_type: transformers' word for what its outputs mean.
        pipeline_tag: Model hubs' word for what it does.
        answer: What an example is answered with.
        loss: What it learns by, from labels and from a teacher.
        reads: Which word-vectors of the last layer it reads.
        metrics: What its answers are scored by unless a task says otherwise, the primary first.
    """

    kind: Kind
    auto_class: str
    problem_type: str
    pipeline_tag: str
    answer: Answer
    loss: Loss
    reads: Reads
    metrics: tuple[str, ...]

    @property
    def has_classes(self) -> bool:
        """Whether labels and answers are class indices."""
        return self.answer == "class"

    def output_names(self, classes: tuple[str, ...]) -> tuple[str, ...]:
        """The name of each output: those of the classes, or one for the score."""
        return classes if self.has_classes else ("score",)

    def outcomes(self, logits: Logits) -> Any:
        """The answer to each example [B]: the most probable class, or the score itself."""
        return logits.argmax(-1) if self.has_classes else logits[..., 0]

    def num_params(self, *, hidden_size: int, num_outputs: int) -> int:
        """Weights and biases of its two layers."""
        return (hidden_size + 1) * (hidden_size + num_outputs)

    def num_macs(self, *, hidden_size: int, num_outputs: int, num_tokens: int) -> int:
        """Multiply-adds for one example of which the last layer gives `num_tokens`."""
        read = num_tokens if self.reads == "all" else 1
        return read * hidden_size * (hidden_size + num_outputs)

    def require_first_token(self) -> None:
        """Refuse to eliminate word-vectors that the head reads.

        Raises:
            InputError: When it reads all of them.
        """
        if self.reads == "all":
            raise InputError(
                f"The head of a {self.kind} task reads every token of a text, so that none can be "
                "eliminated on the way: ask for networks that keep all tokens."
            )


CLASSIFICATION = Head(
    kind="classification",
    auto_class="AutoModelForSequenceClassification",
    problem_type="single_label_classification",
    pipeline_tag="text-classification",
    answer="class",
    loss="cross-entropy",
    reads="first",
    metrics=("accuracy", "macro_f1"),
)
REGRESSION = Head(
    kind="regression",
    auto_class="AutoModelForSequenceClassification",
    problem_type="regression",
    pipeline_tag="text-classification",
    answer="score",
    loss="squared error",
    reads="first",
    metrics=("pearson", "spearman"),
)

HEADS: dict[str, Head] = {head.kind: head for head in (CLASSIFICATION, REGRESSION)}
"""Every head by the kind of task."""


def head_with(num_outputs: int) -> Head:
    """The head of a model with so many outputs: one is a score, as transformers has it too."""
    return REGRESSION if num_outputs == 1 else CLASSIFICATION
