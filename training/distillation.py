"""DynaBERT's distillation losses (section 2.1, equations 2 to 5; Algorithms 2 and 3).

L = l1 * soft cross-entropy of the logits + l2 * (MSE of the embeddings + sum over layers of the
MSE of the hidden states). Where the published code and the paper leave a choice: padding is
masked out of every MSE, distillation does not depend on augmented data, and a regression task
matches the prediction by MSE. Left out: a temperature, which the paper fixes at 1.

Legend: B batch, T tokens, E hidden size, C labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from ..tasks.heads import Head


@dataclass(frozen=True, slots=True)
class LossWeights:
    """The weights (l1, l2) of logits and hidden states."""

    logits: float
    hidden: float


WIDTH_STAGE = LossWeights(logits=1.0, hidden=0.1)
DEPTH_STAGE = LossWeights(logits=1.0, hidden=1.0)


def prediction_loss(logits: Tensor, labels: Tensor, *, head: Head) -> Tensor:
    """Loss on true labels, cross-entropy or MSE as the head has it.

    Args:
        logits: [B, C].
        labels: [B], class indices or scores.
        head: Says which.
    """
    if head.loss == "squared error":
        return functional.mse_loss(logits.squeeze(-1).float(), labels.float())
    return functional.cross_entropy(logits.float(), labels)


def logit_loss(student: Tensor, teacher: Tensor, *, head: Head) -> Tensor:
    """Soft cross-entropy with the teacher's probabilities, or MSE, as the head has it.

    Args:
        student: Logits [B, C].
        teacher: Logits [B, C], without gradient.
        head: Says which.
    """
    if head.loss == "squared error":
        return functional.mse_loss(student.float(), teacher.float())
    return functional.cross_entropy(student.float(), teacher.float().softmax(dim=-1))


def hidden_loss(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Mean squared difference over the tokens that are no padding.

    Args:
        student: [B, T, E].
        teacher: [B, T, E], without gradient.
        mask: [B, T], 1 at tokens and 0 at padding.
    """
    squares = functional.mse_loss(student.float(), teacher.float(), reduction="none").sum(-1)
    return (squares * mask).sum() / (mask.sum() * student.shape[-1])


def distillation_loss(
    *,
    logits: tuple[Tensor, Tensor],
    embeddings: tuple[Tensor, Tensor],
    hidden: Sequence[tuple[Tensor, Tensor, Tensor]],
    mask: Tensor,
    weights: LossWeights,
    head: Head,
) -> Tensor:
    """The whole loss; every pair is (student, teacher).

    Args:
        logits: Two of [B, C].
        embeddings: Two of [B, T, E].
        hidden: For each layer that the student keeps, two of [B, K, E] and their mask [B, K]:
            the word-vectors that the student keeps there.
        mask: [B, T], 1 at tokens and 0 at padding.
        weights: (l1, l2).
        head: Says how logits are compared.
    """
    states = sum((hidden_loss(*entry) for entry in hidden), hidden_loss(*embeddings, mask))
    return weights.logits * logit_loss(*logits, head=head) + weights.hidden * states
