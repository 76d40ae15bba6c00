"""Which learning rate stage 0 takes, given what was tried."""

import math
from pathlib import Path

import pytest

from paretobert.dynabert.sweep import choose_rate, has_learnt, kept_trial
from paretobert.tasks.scores import Evaluation, score_predictions

from ..evaluations import scored


@pytest.mark.parametrize(
    ("right", "rate"),
    [
        ((300, 300, 300), 2e-4),
        ((302, 300, 303), 2e-4),
        ((100, 300, 340), 4e-4),
        ((350, 300, 340), 1e-4),
        ((None, 300, 340), 4e-4),
        ((300, None, 200), 1e-4),
        ((None, None, None), 2e-4),
    ],
)
def test_the_guess_wins_ties_and_else_the_best(right: tuple[int | None, ...], rate: float) -> None:
    rates = (1e-4, 2e-4, 4e-4)
    trials = {
        tried: None if number is None else scored(number, of=400)
        for tried, number in zip(rates, right, strict=True)
    }
    choice = choose_rate(trials, guess=2e-4, steps=50)
    assert choice.rate == rate
    for tried, found in trials.items():
        shown = "diverged" if found is None else found.interval.text(".3f")
        assert f"{tried:g}: {shown}" in choice.sentence
    assert f"learns at {rate:g}" in choice.sentence
    assert ("a tie" in choice.sentence) == (rate == 2e-4)


def test_a_trial_is_made_once(tmp_path: Path) -> None:
    calls: list[Evaluation | None] = []

    def attempt(found: Evaluation | None) -> Evaluation | None:
        calls.append(found)
        return found

    for found in (scored(3, of=5), None):
        path = tmp_path / str(len(calls)) / "trial.json"
        again = [kept_trial(path, lambda found=found: attempt(found)) for _ in range(2)]
        assert again == [found, found]
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("predictions", "learnt"),
    [((1,) * 40, False), ((0, 1) * 20, False), ((0,) * 16 + (1,) * 24, True)],
)
def test_something_is_learnt_where_one_label_for_all_is_distinguishably_worse(
    predictions: tuple[int, ...], learnt: bool
) -> None:
    labels = (0,) * 16 + (1,) * 24
    found = score_predictions(
        task="t", split="train", metrics=("accuracy",), labels=labels, predictions=predictions
    )
    assert has_learnt(found) is learnt


@pytest.mark.parametrize("noise", [0.1, 300.0])
def test_a_correlation_is_learnt_where_its_interval_is_above_none(noise: float) -> None:
    labels = tuple(float(i) for i in range(40))
    predictions = tuple(i + noise * math.sin(7 * i) for i in range(40))
    found = score_predictions(
        task="t", split="train", metrics=("spearman",), labels=labels, predictions=predictions
    )
    assert has_learnt(found) is (found.interval.low > 0)
    assert (noise == 0.1) is (found.interval.low > 0)
