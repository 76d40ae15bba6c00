"""Scoring a model: original order, no dropout, mode restored, bad outputs refused."""

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from paretobert.errors import InputError
from paretobert.tasks.batches import EncodedSplit
from paretobert.tasks.evaluation import evaluate, predict
from paretobert.tasks.task import Task, TextSplit


def tiny_model(num_labels):
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=40,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        num_labels=num_labels,
        initializer_range=0.5,
    )
    return BertForSequenceClassification(config)


def encoded_split(labels):
    generator = torch.Generator().manual_seed(1)
    lengths = torch.randint(3, 20, (len(labels),), generator=generator).tolist()
    ids = [torch.randint(1, 40, (n,), generator=generator).tolist() for n in lengths]
    return EncodedSplit(tuple(map(tuple, ids)), None, 0, 0, labels)


def task_of(kind, names):
    split = TextSplit(("a",), None, (0,) if names else (0.0,))
    metric, *others = ("accuracy", "macro_f1") if names else ("pearson", "spearman")
    return Task("t", kind, names, metric, tuple(others), split, split, split, 32, "here")


CLASSES = task_of("classification", ("x", "y", "z"))


def test_outcomes_are_in_the_original_order_and_the_mode_is_restored():
    model, encoded = tiny_model(3), encoded_split((0, 1, 2) * 15)
    model.train()
    found = evaluate(model, encoded, task=CLASSES, split="search", batch_size=4)
    assert model.training
    model.eval()
    with torch.no_grad():
        alone = [model(torch.tensor([ids])).logits for ids in encoded.input_ids]
    one_by_one = [int(logits.argmax()) for logits in alone]
    assert list(found.predictions) == one_by_one
    assert len(set(one_by_one)) > 1
    assert list(found.labels) == list(encoded.labels)
    assert (found.n, found.split, found.metric) == (45, "search", "accuracy")
    assert found.value == pytest.approx(sum(found.correct) / 45)
    assert set(found.others) == {"macro_f1"}
    evaluate(model, encoded, task=CLASSES, split="search")
    assert not model.training


def test_batch_size_does_not_change_logits():
    model, encoded = tiny_model(3), encoded_split((0, 1, 2) * 5)
    torch.testing.assert_close(
        predict(model, encoded, batch_size=2), predict(model, encoded, batch_size=15)
    )


def test_regression_predicts_scores():
    found = evaluate(
        tiny_model(1),
        encoded_split((0.5, 1.0, 2.0, 4.0, 3.0)),
        task=task_of("regression", ()),
        split="report",
    )
    assert all(isinstance(score, float) for score in found.predictions)
    assert found.metric == "pearson"


def test_model_of_another_task_is_refused():
    with pytest.raises(InputError, match="has 2 outputs but the task t needs 3"):
        evaluate(tiny_model(2), encoded_split((0, 1)), task=CLASSES, split="search")


def test_outputs_that_are_not_finite_are_refused():
    model = tiny_model(3)
    torch.nn.init.constant_(model.classifier.weight, float("nan"))
    with pytest.raises(ArithmeticError, match="on the split 'search' are not finite"):
        evaluate(model, encoded_split((0, 1)), task=CLASSES, split="search")
