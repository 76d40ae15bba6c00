"""The steps on a task that a tiny model can learn."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import paretobert.encoders.extraction  # noqa: F401 - registers the networks' classes
from paretobert.errors import InputError
from paretobert.powerbert.configuration import floored
from paretobert.powerbert.options import PowerOptions
from paretobert.powerbert.training import read_retention, read_trace, train_power
from paretobert.tasks.batches import encode
from paretobert.tasks.evaluation import predict
from paretobert.tasks.heads import CLASSIFICATION, HEADS
from paretobert.training.loop import TrainingProgress

from ..learnable import make_task, save_with_head

OPTIONS = PowerOptions(
    target_speedup=2,
    search_epochs=2,
    retrain_epochs=1,
    learning_rate=1e-3,
    batch_size=8,
    precision="fp32",
    checkpoint_steps=3,
)


@pytest.fixture
def teacher(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    return save_with_head(tiny_checkpoint, tmp_path / "teacher", num_labels=2)


def train(teacher: Path, folder: Path, options: PowerOptions = OPTIONS, **kwargs: object) -> None:
    watch = kwargs.get("progress", lambda state: None)
    learnt = kwargs.get("task", make_task())
    train_power(teacher=teacher, task=learnt, folder=folder, options=options, progress=watch)


def test_a_head_that_reads_every_token_is_refused_before_anything_is_written(
    teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(HEADS, "classification", replace(CLASSIFICATION, reads="all"))
    with pytest.raises(InputError, match="reads every token of a text, so that none can be"):
        train(teacher, tmp_path / "power")
    assert not (tmp_path / "power").exists()


def test_a_network_that_meets_its_target(teacher: Path, tmp_path: Path) -> None:
    train(teacher, tmp_path / "power")
    record = json.loads((tmp_path / "power" / "retention.json").read_text())
    assert record["relative_cost"] <= 0.5
    assert len(record["masses"]) == 4
    assert record["relative_cost_of_masses"] < 1
    retention = read_retention(tmp_path / "power")
    assert retention.unit == "percent"
    network = AutoModelForSequenceClassification.from_pretrained(tmp_path / "power" / "network")
    assert network.config.subnet_tokens == list(retention.amounts)
    log = (tmp_path / "power" / "training.jsonl").read_text().splitlines()
    searched, retrained = map(json.loads, log)
    assert [searched["stage"], retrained["stage"]] == ["search", "re-train"]
    assert (searched["best_step"], retrained["best_step"]) == (None, retrained["steps"])
    assert retrained["search"]["re-train"]["num_examples"] == len(make_task().search)
    trace = read_trace(tmp_path / "power")
    assert [entry["step"] for entry in trace] == list(range(12))
    assert trace[0]["cost"] == 1
    assert trace[-1]["cost"] < trace[0]["cost"]


@pytest.mark.parametrize("unit", ["percent", "tokens"])
def test_a_killed_training_ends_in_the_same_weights(
    teacher: Path, tmp_path: Path, unit: str
) -> None:
    options = replace(OPTIONS, unit=unit)
    train(teacher, tmp_path / "whole", options)

    def kill_at(stage: str, step: int):
        def watch(state: TrainingProgress) -> None:
            if (state.stage, state.step) == (stage, step):
                raise KeyboardInterrupt

        return watch

    for stage, step in (("search", 5), ("re-train", 4)):
        with pytest.raises(KeyboardInterrupt):
            train(teacher, tmp_path / "killed", options, progress=kill_at(stage, step))
    resumed: list[TrainingProgress] = []
    train(teacher, tmp_path / "killed", options, progress=resumed.append)
    assert (resumed[0].stage, resumed[0].step) == ("re-train", 4)
    whole, killed = (
        load_file(tmp_path / name / "network" / "model.safetensors")
        for name in ("whole", "killed")
    )
    assert read_trace(tmp_path / "killed") == read_trace(tmp_path / "whole")
    assert whole.keys() == killed.keys()
    for name, tensor in whole.items():
        torch.testing.assert_close(killed[name], tensor, rtol=0, atol=0)
    for name in ("whole", "killed"):
        assert not list((tmp_path / name).glob("*.safetensors"))


def test_a_target_out_of_reach_is_refused_before_training(teacher: Path, tmp_path: Path) -> None:
    options = PowerOptions(target_speedup=40)
    with pytest.raises(InputError, match="The target 40 times is out of reach"):
        train(teacher, tmp_path / "power", options)
    assert not (tmp_path / "power").exists()


def test_a_larger_lambda_keeps_fewer_word_vectors(teacher: Path, tmp_path: Path) -> None:
    """Without a target the configuration is what the masses say."""
    kept = []
    for weight in (1e-7, 1e-2):
        options = replace(OPTIONS, target_speedup=None, penalty=weight, search_epochs=1)
        folder = tmp_path / f"{weight:g}"
        train(teacher, folder, options)
        record = json.loads((folder / "retention.json").read_text())
        amounts = read_retention(folder).amounts
        assert amounts == floored(record["masses"])
        assert {entry["lambda"] for entry in read_trace(folder)} == {weight}
        kept.append(amounts)
    assert all(more > fewer for more, fewer in zip(*kept, strict=True) if more > 1)


def test_the_learning_rate_of_r_may_be_given(teacher: Path, tmp_path: Path) -> None:
    """So low a one leaves everything, but in the last layer, which keeps the least there is."""
    options = replace(
        OPTIONS,
        target_speedup=None,
        penalty=1e-2,
        retention_learning_rate=1e-9,
        search_epochs=1,
    )
    train(teacher, tmp_path / "power", options)
    assert read_retention(tmp_path / "power").amounts == (100, 100, 100, 1)


def test_scores_are_learnt_by_their_squared_error(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """The teacher's head is new; what follows the mean alone would err by the variance."""
    teacher = save_with_head(tiny_checkpoint, tmp_path / "teacher", num_labels=1)
    scores = make_task("regression")
    train(teacher, tmp_path / "power", replace(OPTIONS, learning_rate=3e-3), task=scores)
    encoded = encode(
        scores.train, AutoTokenizer.from_pretrained(teacher), max_length=scores.max_length
    )
    labels = torch.tensor(encoded.labels)
    errors = {}
    for folder in (teacher, tmp_path / "power" / "network"):
        model = AutoModelForSequenceClassification.from_pretrained(folder)
        errors[folder.name] = (predict(model, encoded).squeeze(-1) - labels).square().mean()
    assert errors["network"] < labels.var(correction=0)
    assert errors["network"] < errors["teacher"]
