"""The gradients of one step."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from paretobert.dynabert.gradients import (
    distillation_gradients,
    in_place_gradients,
    label_gradients,
)
from paretobert.dynabert.learners import (
    same_width_teacher,
)
from paretobert.dynabert.supernet import Supernet
from paretobert.encoders.extraction import extract
from paretobert.encoders.families import shape_of
from paretobert.networks.retention import Retention
from paretobert.networks.spaces import Grid
from paretobert.networks.subnet import SubnetConfig
from paretobert.tasks.heads import CLASSIFICATION
from paretobert.training.distillation import LossWeights, distillation_loss

WIDTHS = DEPTHS = (1.0, 0.5)


def elastic(model) -> Supernet:
    return Supernet(model, Grid(shape_of(model.config), widths=WIDTHS, depths=DEPTHS))


def test_gradients_of_a_step_add_up_over_its_subnetworks(tiny_model, padded_batch):
    """Compare with plain autograd on extracted copies: the classifier's gradient is their sum."""
    batch = padded_batch("bert") | {"labels": torch.tensor([0, 2, 1])}
    model, teacher_model = tiny_model("bert"), tiny_model("bert", seed=1)
    supernet, teacher = elastic(model), elastic(teacher_model)
    configs = list(supernet.space.landmarks)
    weights = LossWeights(logits=1.0, hidden=0.7)
    expected, losses = 0.0, []
    inputs = {name: tensor for name, tensor in batch.items() if name != "labels"}
    for config in configs:
        copy = extract(model, config)
        target = extract(teacher_model, same_width_teacher(config, supernet.shape))
        with torch.no_grad():
            theirs = target(**inputs, output_hidden_states=True)
        ours = copy(**inputs, output_hidden_states=True)
        loss = distillation_loss(
            logits=(ours.logits, theirs.logits),
            embeddings=(ours.hidden_states[0], theirs.hidden_states[0]),
            hidden=[
                (
                    ours.hidden_states[place + 1],
                    theirs.hidden_states[layer + 1],
                    batch["attention_mask"],
                )
                for place, layer in enumerate(config.layers)
            ],
            mask=batch["attention_mask"],
            weights=weights,
            head=CLASSIFICATION,
        )
        loss.backward()
        losses.append(loss.item())
        expected = expected + copy.bert.embeddings.word_embeddings.weight.grad
    mean_loss = distillation_gradients(
        supernet,
        teacher,
        batch,
        {config: same_width_teacher(config, supernet.shape) for config in configs},
        weights=weights,
        head=CLASSIFICATION,
        dtype=torch.float32,
    )
    assert mean_loss == pytest.approx(sum(losses) / len(losses), rel=1e-5)
    torch.testing.assert_close(
        model.bert.embeddings.word_embeddings.weight.grad, expected, rtol=1e-4, atol=1e-5
    )
    assert all(parameter.grad is None for parameter in teacher_model.parameters())


def test_label_gradients_are_those_of_the_labels(tiny_model, padded_batch):
    batch = padded_batch("roberta") | {"labels": torch.tensor([0, 2, 1])}
    model = tiny_model("roberta")
    copy = extract(model, SubnetConfig((1, 3), (2, 2), (20, 20)))
    loss = copy(**batch).loss
    loss.backward()
    supernet = elastic(model)
    config = SubnetConfig((1, 3), (2, 2), (20, 20))
    assert label_gradients(
        supernet, batch, [config], head=CLASSIFICATION, dtype=torch.float32
    ) == pytest.approx(loss.item(), rel=1e-5)
    torch.testing.assert_close(
        model.classifier.dense.weight.grad, copy.classifier.dense.weight.grad
    )


def test_in_place_the_largest_learns_from_labels_and_teaches_the_others(tiny_model, padded_batch):
    batch = padded_batch("bert") | {"labels": torch.tensor([0, 2, 1])}
    inputs = {name: entry for name, entry in batch.items() if name != "labels"}
    model = tiny_model("bert")
    largest = SubnetConfig.full(elastic(tiny_model("bert")).shape)
    small = SubnetConfig((1, 3), (2, 2), (20, 20))
    whole, part = extract(model, largest), extract(model, small)
    target = whole(**inputs).logits
    losses = [
        functional.cross_entropy(target, batch["labels"]),
        functional.cross_entropy(part(**inputs).logits, target.detach().softmax(-1)),
    ]
    for loss in losses:
        loss.backward()
    found = in_place_gradients(
        elastic(model), batch, [largest, small], head=CLASSIFICATION, dtype=torch.float32
    )
    assert found == pytest.approx(sum(loss.item() for loss in losses) / 2, rel=1e-5)
    expected = whole.classifier.weight.grad + part.classifier.weight.grad
    torch.testing.assert_close(model.classifier.weight.grad, expected, rtol=1e-4, atol=1e-6)


def test_word_vectors_are_compared_where_the_student_keeps_them(tiny_model, padded_batch):
    """The full model as its own teacher: what stays after the first layer is the same there."""
    batch = padded_batch("bert", lengths=(9, 20, 4)) | {"labels": torch.tensor([0, 2, 1])}
    supernet = elastic(tiny_model("bert"))
    teacher = elastic(tiny_model("bert"))
    first = SubnetConfig((0,), (4,), (40,))

    def loss(student: SubnetConfig, weights: LossWeights) -> float:
        return distillation_gradients(
            supernet,
            teacher,
            batch,
            {student: first},
            weights=weights,
            head=CLASSIFICATION,
            dtype=torch.float32,
        )

    fewer = replace(first, tokens=Retention((50,), "percent"))
    hidden_alone = LossWeights(logits=0.0, hidden=1.0)
    assert loss(fewer, hidden_alone) == pytest.approx(0, abs=1e-8)
    other = replace(fewer, neurons=(20,))
    with torch.no_grad(), supernet.active(other):
        output = supernet.encode(supernet.embed(batch), batch)
    with torch.no_grad(), teacher.active(first):
        target = teacher.encode(teacher.embed(batch), batch)
    squares, count = 0.0, 0
    for row, (positions, mask) in enumerate(
        zip(output.kept[0].positions, output.kept[0].mask, strict=True)
    ):
        for place, position in enumerate(positions[mask.bool()].tolist()):
            difference = output.hidden[0][row, place] - target.hidden[0][row, position]
            squares, count = squares + difference.square().sum().item(), count + 24
    assert count == (5 + 10 + 2) * 24
    assert loss(other, hidden_alone) == pytest.approx(squares / count, rel=1e-4)
