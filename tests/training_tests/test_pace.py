"""Every setting of a training is refused where it could only fail hours later."""

import math

import pytest

from paretobert.dynabert.options import TrainingOptions
from paretobert.errors import InputError
from paretobert.powerbert.options import PowerOptions
from paretobert.training.pace import Pace, StudentPace

WHOLE = ("batch_size", "seed", "checkpoint_steps")
NUMBERS = ("learning_rate", "weight_decay", "clip_norm", "warmup_share")
EPOCHS = ("teacher_epochs", "width_epochs", "depth_epochs", "token_epochs", "final_epochs")


@pytest.mark.parametrize("value", [-1, 1.5, True, math.nan, math.inf, 2**32, 10**400, "1", None])
@pytest.mark.parametrize("name", WHOLE)
def test_whole_numbers_of_a_pace(name: str, value: object) -> None:
    with pytest.raises(InputError, match=f"{name} must be "):
        Pace(**{name: value})


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_of_a_pace(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"{name} must be "):
        Pace(**{name: value})


def test_the_largest_seed_is_one_that_every_generator_takes() -> None:
    assert Pace(seed=2**32 - 1).seed == 2**32 - 1


@pytest.mark.parametrize("value", [-1, 0.5, 10**7])
@pytest.mark.parametrize("name", [*EPOCHS, "sandwich_random"])
def test_epochs(name: str, value: object) -> None:
    with pytest.raises(InputError, match=f"{name} must be |token epochs"):
        TrainingOptions(**{name: value})


@pytest.mark.parametrize(
    ("multipliers", "sentence"),
    [
        ((), "must be multipliers"),
        ((1.0, math.nan), "must be multipliers"),
        ((1.0, math.inf), "must be multipliers"),
        ((1.0, 0.0), "must be multipliers"),
        ((1.0, -0.5), "must be multipliers"),
        ((0.5,), "lack 1, the full model"),
        ((1.0, 0.5, 0.5), "not all different"),
        ((1.0, 0.5, 0.50001), "not all different"),
        ((1.0, 1 - 1e-9), "not all different"),
        ((1.0, 1e-9), "next to nothing"),
        ((1.0, *(i / 20_000 for i in range(1, 10_000))), "10,000 .* are too many to train for"),
    ],
)
@pytest.mark.parametrize("name", ["widths", "depths"])
def test_multipliers(name: str, multipliers: tuple[float, ...], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as caught:
        TrainingOptions(**{name: multipliers})
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, 0.0])
@pytest.mark.parametrize(
    "name",
    [
        "target_speedup",
        "target_tokens",
        "penalty",
        "retention_travel",
        "retention_learning_rate",
    ],
)
def test_targets_of_power_bert(name: str, value: float) -> None:
    with pytest.raises(InputError, match="must be "):
        PowerOptions(**{name: value})


@pytest.mark.parametrize("change", [{"epochs": 0}, {"steps": 0}, {"steps": 1.5}, {"steps": 10**7}])
def test_how_long_a_student_learns(change: dict) -> None:
    with pytest.raises(InputError, match=f"{next(iter(change))} must be "):
        StudentPace(**change)


def test_steps_stand_for_the_epochs_that_hold_them() -> None:
    pace = StudentPace(batch_size=8, steps=7)
    assert [pace.whole_epochs(number) for number in (8, 48, 56, 57)] == [7, 2, 1, 1]
    assert StudentPace(epochs=5).whole_epochs(48) == 5
    with pytest.raises(InputError, match="5,000 epochs over 100,000 examples are 15,625,000"):
        StudentPace(epochs=5000).whole_epochs(100_000)


def test_steps_or_epochs_decide_the_network() -> None:
    by_epochs, by_steps = StudentPace(epochs=2).to_dict(), StudentPace(steps=9).to_dict()
    assert by_epochs.keys() ^ by_steps.keys() == {"epochs", "steps"}
    assert StudentPace(steps=9, epochs=7).to_dict() == by_steps
    assert StudentPace(checkpoint_steps=3, epochs=2).to_dict() == by_epochs
