import math

import pytest
import torch

from paretobert.encoders.running import EncoderOutput
from paretobert.tasks.heads import CLASSIFICATION, REGRESSION
from paretobert.training.distillation import (
    LossWeights,
    distillation_loss,
    hidden_loss,
    hidden_pairs,
    joint_loss,
    logit_loss,
    patient_loss,
    prediction_loss,
)


def test_logit_loss_by_hand():
    student = torch.tensor([[0.0, math.log(3.0)]])
    teacher = torch.tensor([[0.0, 0.0]])
    expected = -(0.5 * math.log(0.25) + 0.5 * math.log(0.75))
    assert logit_loss(student, teacher, head=CLASSIFICATION).item() == pytest.approx(expected)


def test_a_score_is_matched_by_squared_difference():
    student, teacher = torch.tensor([[1.0], [4.0]]), torch.tensor([[2.0], [1.0]])
    assert logit_loss(student, teacher, head=REGRESSION).item() == pytest.approx((1 + 9) / 2)
    labels = torch.tensor([2.0, 1.0])
    assert prediction_loss(student, labels, head=REGRESSION).item() == pytest.approx(5.0)


def test_hidden_loss_counts_tokens_and_not_padding():
    student = torch.tensor([[[1.0, 2.0], [5.0, 5.0]], [[0.0, 1.0], [2.0, 2.0]]])
    mask = torch.tensor([[1, 0], [1, 1]])
    expected = (1 + 4 + 0 + 1 + 4 + 4) / (3 * 2)
    assert hidden_loss(student, torch.zeros(2, 2, 2), mask).item() == pytest.approx(expected)


def test_the_whole_loss_by_hand():
    """One example, one token: l1 * CE + l2 * (MSE of embeddings + MSE of two kept layers)."""
    loss = distillation_loss(
        logits=(torch.tensor([[0.0, math.log(3.0)]]), torch.tensor([[0.0, 0.0]])),
        embeddings=(torch.tensor([[[1.0, 1.0]]]), torch.zeros(1, 1, 2)),
        hidden=[
            (torch.tensor([[[2.0, 0.0]]]), torch.zeros(1, 1, 2), torch.ones(1, 1)),
            (torch.tensor([[[0.0, 4.0]]]), torch.zeros(1, 1, 2), torch.ones(1, 1)),
        ],
        mask=torch.ones(1, 1),
        weights=LossWeights(logits=2.0, hidden=0.1),
        head=CLASSIFICATION,
    )
    cross_entropy = -(0.5 * math.log(0.25) + 0.5 * math.log(0.75))
    assert loss.item() == pytest.approx(2 * cross_entropy + 0.1 * (1.0 + 2.0 + 8.0))


def test_a_temperature_flattens_both_and_keeps_the_size_of_gradients():
    student = torch.tensor([[0.0, 2 * math.log(3.0)]])
    teacher = torch.tensor([[0.0, 0.0]])
    expected = -4 * (0.5 * math.log(0.25) + 0.5 * math.log(0.75))
    found = logit_loss(student, teacher, head=CLASSIFICATION, temperature=2.0)
    assert found.item() == pytest.approx(expected)


def test_the_patient_loss_by_hand():
    """Two examples, three layers: directions of the first tokens, the last layer left out."""

    def output(*firsts: tuple[tuple[float, float], ...]) -> EncoderOutput:
        states = {
            index: torch.tensor([[first, (9.0, 9.0)] for first in rows])
            for index, rows in zip((1, 3, 5), firsts, strict=True)
        }
        return EncoderOutput(torch.zeros(2, 2, 2), torch.zeros(2, 2), states, {})

    student = output(((2, 0), (0, 3)), ((1, 0), (1, 0)), ((1, 0), (1, 0)))
    teacher = output(((5, 0), (1, 0)), ((-1, 0), (3, 0)), ((0, 1), (0, 1)))
    # Squared distances of unit vectors: 0 and 2 in the first layer, 4 and 0 in the second.
    assert patient_loss(student, teacher).item() == pytest.approx((0 + 2 + 4 + 0) / 2)


def test_the_joint_loss_is_the_sum_of_each_students():
    torch.manual_seed(0)
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])

    def states() -> torch.Tensor:
        return torch.randn(2, 3, 4)

    embeddings, shared = states().requires_grad_(), states().requires_grad_()
    students = [
        EncoderOutput(embeddings, torch.randn(2, 3), {0: shared, 1: states()}, {}),
        EncoderOutput(embeddings, torch.randn(2, 3), {0: shared}, {}),
    ]
    teacher = EncoderOutput(states(), torch.randn(2, 3), {0: states(), 1: states()}, {})
    weights = LossWeights(logits=2.0, hidden=0.5)
    joint = joint_loss(students, teacher, mask, weights=weights, head=CLASSIFICATION)
    single = [
        distillation_loss(
            logits=(student.logits, teacher.logits),
            embeddings=(embeddings, teacher.embeddings),
            hidden=hidden_pairs(student, teacher, mask),
            mask=mask,
            weights=weights,
            head=CLASSIFICATION,
        )
        for student in students
    ]
    torch.testing.assert_close(joint, sum(single))
    (gradient,) = torch.autograd.grad(joint, shared)
    difference = (shared - teacher.hidden[0]).detach() * mask[..., None]
    torch.testing.assert_close(gradient, difference * (2 * 0.5 * 2 / (5 * 4)))
