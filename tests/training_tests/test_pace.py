"""Every setting of a training is refused where it could only fail hours later."""

import math

import pytest

from paretobert.dynabert.options import TrainingOptions
from paretobert.errors import InputError
from paretobert.powerbert.options import PowerOptions
from paretobert.training.pace import Pace

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
