"""Which weights of a stage are kept, and what a killed stage knows of them."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from paretobert.tasks.batches import Batch, EncodedTexts
from paretobert.tasks.scores import Evaluation
from paretobert.training.best import LONGEST_WAIT, Best, judgement_interval, ranked
from paretobert.training.loop import Finished, TrainingProgress, run_stage, weight_groups
from paretobert.training.pace import Pace

from ..evaluations import scored

TEXTS = EncodedTexts(tuple((2, 3, i % 5) for i in range(12)), None, 0, 0)
PACE = Pace(learning_rate=0.1, batch_size=4, checkpoint_steps=2)


def train(
    folder: Path,
    scores: list[int],
    *,
    progress: Callable[[TrainingProgress], None] = lambda state: None,
) -> tuple[nn.Module, Finished, dict[int, torch.Tensor]]:
    """Three epochs of three steps, judged after each epoch by scores that are given."""
    torch.manual_seed(0)
    model, weights = nn.Linear(3, 1), {}
    folder.mkdir(exist_ok=True)
    step = iter(range(1, 100))

    def gradients(batch: Batch, number: int) -> float:
        loss = (model(batch["input_ids"].float()) - 1).square().mean()
        loss.backward()
        return loss.item()

    def judge() -> dict[str, Evaluation]:
        place = next(step)
        weights[place] = model.weight.detach().clone()
        return {"all": scored(scores[place - 1], of=10)}

    finished = run_stage(
        "made",
        model,
        TEXTS,
        gradients,
        groups=weight_groups(model, learning_rate=0.1, weight_decay=0.0),
        epochs=3,
        pace=PACE,
        device=torch.device("cpu"),
        dtype=torch.float32,
        state_file=folder / "state.safetensors",
        log=folder / "training.jsonl",
        progress=progress,
        judge=judge,
    )
    return model, finished, weights


@pytest.mark.parametrize(
    ("scores", "best"), [([5, 9, 7], 2), ([9, 5, 5], 1), ([1, 2, 3], 3), ([4, 6, 6], 3)]
)
def test_a_stage_ends_with_its_best_weights_the_later_of_a_tie(
    scores: list[int], best: int, tmp_path: Path
) -> None:
    model, finished, weights = train(tmp_path, scores)
    assert torch.equal(model.weight, weights[best])
    assert finished.best_step == 3 * best
    assert finished.scores["all"].value == scores[best - 1] / 10
    assert f"search score at step {3 * best}: all 0.{scores[best - 1]}" in finished.sentence


def test_a_stage_that_is_killed_after_its_best_weights_still_has_them(tmp_path: Path) -> None:
    whole, *_ = train(tmp_path / "whole", [9, 5, 6])

    def kill(state: TrainingProgress) -> None:
        if state.step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "killed", [9, 5, 6], progress=kill)
    model, finished, weights = train(tmp_path / "killed", [5, 6])
    assert len(weights) == 2
    assert finished.best_step == 3
    assert torch.equal(model.weight, whole.weight)


def test_nothing_is_kept_where_nothing_is_judged() -> None:
    model = nn.Linear(2, 1)
    before = model.weight.detach().clone()
    Best().load(model)
    assert torch.equal(model.weight, before)
    assert Best().mean == -math.inf


def test_an_undefined_score_is_below_all_others() -> None:
    assert ranked(math.nan) < ranked(-1.0) < ranked(0.2)


@given(st.integers(1, 100_000))
def test_long_epochs_are_judged_in_equal_parts(steps: int) -> None:
    every = judgement_interval(steps)
    assert every <= LONGEST_WAIT
    assert math.ceil(steps / every) <= math.ceil(steps / LONGEST_WAIT)
