"""DynaBERT's distillation losses (section 2.1, equations 2 to 5; Algorithms 2 and 3).

L = l1 * soft cross-entropy of the logits + l2 * (MSE of the embeddings + sum over layers of the
MSE of the hidden states). Where the published code and the paper leave a choice: padding is
masked out of every MSE, distillation does not depend on augmented data, and a regression task
matches the prediction by MSE. The paper's temperature is 1; other students learn at higher ones
(Hinton et al. 2015), or by the first token's states (PKD, Sun et al. 2019, equation 7).

Legend: B batch, T tokens, K tokens kept, E hidden size, C labels.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ..encoders.running import EncoderOutput
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


def logit_loss(
    student: Tensor, teacher: Tensor, *, head: Head, temperature: float = 1.0
) -> Tensor:
    """Soft cross-entropy with the teacher's probabilities, or MSE, as the head has it.

    Args:
        student: Logits [B, C].
        teacher: Logits [B, C], without gradient.
        head: Says which.
        temperature: Divides the logits of classes; its square multiplies the loss, so that
            gradients keep their size.
    """
    if head.loss == "squared error":
        return functional.mse_loss(student.float(), teacher.float())
    target = (teacher.float() / temperature).softmax(dim=-1)
    return temperature**2 * functional.cross_entropy(student.float() / temperature, target)


def hidden_loss(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Mean squared difference over the tokens that are no padding.

    Args:
        student: [B, T, E].
        teacher: [B, T, E], without gradient.
        mask: [B, T], 1 at tokens and 0 at padding.
    """
    scale = 1 / (mask.sum() * student.shape[-1])
    loss: Tensor = _MaskedSquares.apply(student, teacher, mask, scale)  # type: ignore[no-untyped-call]
    return loss


class _MaskedSquares(torch.autograd.Function):
    """The scaled sum of squared differences at tokens; the differences are kept, once."""

    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor, mask: Tensor, scale: Tensor) -> Tensor:
        differences = student.float() - teacher
        differences.mul_(mask[..., None])
        ctx.save_for_backward(differences, scale)
        ctx.dtype = student.dtype
        flat = differences.flatten()
        return flat.dot(flat) * scale

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        differences, scale = ctx.saved_tensors
        return (differences * (2 * scale * gradient)).to(ctx.dtype), None, None, None


def hidden_pairs(
    student: EncoderOutput, teacher: EncoderOutput, mask: Tensor
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """What `hidden_loss` takes for each layer that the student keeps.

    Args:
        student: What it computed.
        teacher: What the teacher computed, every word-vector in every layer.
        mask: [B, T], 1 at tokens and 0 at padding.
    """
    pairs = []
    for index, state in student.hidden.items():
        target, present = teacher.hidden[index], mask
        if index in student.kept:
            kept = student.kept[index]
            target, present = kept.of(target), kept.mask
        pairs.append((state, target, present))
    return pairs


def patient_loss(student: EncoderOutput, teacher: EncoderOutput) -> Tensor:
    """The squared distance of the first token's states, each scaled to length 1.

    Summed over the student's layers but the last, which the logits teach; averaged over examples.

    Args:
        student: What it computed, of two layers or more.
        teacher: What the teacher computed.
    """
    distances = [
        functional.mse_loss(_unit(student.hidden[i]), _unit(teacher.hidden[i]), reduction="none")
        for i in list(student.hidden)[:-1]
    ]
    return torch.stack(distances).sum(dim=(0, 2)).mean()


def _unit(states: Tensor) -> Tensor:
    """The first token's states of [B, T, E], of length 1: [B, E]."""
    return functional.normalize(states[:, 0].float(), dim=-1)


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


def joint_loss(
    students: Sequence[EncoderOutput],
    teacher: EncoderOutput,
    mask: Tensor,
    *,
    weights: LossWeights,
    head: Head,
) -> Tensor:
    """The sum of the students' losses; states that several of them share are compared once.

    Args:
        students: What they computed from the same embeddings.
        teacher: What the teacher computed, every word-vector in every layer.
        mask: [B, T], 1 at tokens and 0 at padding.
        weights: (l1, l2).
        head: Says how logits are compared.
    """
    pairs = [
        pair
        for student in students
        for pair in (
            (student.embeddings, teacher.embeddings, mask),
            *hidden_pairs(student, teacher, mask),
        )
    ]
    times = Counter(id(state) for state, *_ in pairs)
    compared = {id(pair[0]): pair for pair in pairs}
    states = torch.stack([times[key] * hidden_loss(*pair) for key, pair in compared.items()]).sum()
    logits = torch.stack(
        [logit_loss(student.logits, teacher.logits, head=head) for student in students]
    ).sum()
    return weights.logits * logits + weights.hidden * states
