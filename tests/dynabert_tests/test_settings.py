"""What the rules decide, and that what is given by hand counts."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretobert.dynabert.options import TrainingOptions
from paretobert.dynabert.settings import Scale, mean_tokens, resolved
from paretobert.dynabert.stages import (
    LONGEST_TRIAL,
    RATES,
    planned_stages,
    seconds_after,
    trial_steps,
)
from paretobert.errors import InputError
from paretobert.networks.shape import EncoderShape
from paretobert.tasks.task import Texts

MINILM = EncoderShape("bert", 6, 12, 32, 384, 1536, 384, 30522, 512, 2, 2)
DOCS = Scale(num_train=1804, num_transfer=1804, mean_tokens=14, hidden_size=384)
SCALES = st.builds(
    Scale,
    num_train=st.integers(1, 400_000),
    num_transfer=st.integers(1, 400_000),
    mean_tokens=st.floats(1, 512),
    hidden_size=st.sampled_from([32, 128, 312, 384, 768, 1024]),
)


@given(SCALES)
def test_rules_fit_every_scale(scale: Scale) -> None:
    options = resolved({}, "auto", scale)
    assert options.settings == "auto"
    assert options.teacher_learning_rate in options.teacher_rates
    assert min(options.width_epochs, options.depth_epochs) >= 1
    record = json.loads(json.dumps(options.to_dict()))
    assert TrainingOptions.from_dict(record) == options


@given(SCALES, st.integers(0, 9), st.sampled_from([1e-5, 3e-4]), st.integers(1, 64))
def test_what_is_given_counts(scale: Scale, epochs: int, rate: float, batch_size: int) -> None:
    asked = {"teacher_epochs": epochs, "learning_rate": rate, "batch_size": batch_size, "seed": 3}
    options = resolved(asked, "auto", scale)
    assert {name: getattr(options, name) for name in asked} == asked
    assert options.teacher_rates == ()
    assert options.fine_tuning_rate == rate
    assert options.by_hand == ("batch_size", "learning_rate", "teacher_epochs")


def test_the_paper_leaves_the_published_settings() -> None:
    paper = resolved({"recipe": "sandwich"}, "paper", DOCS)
    assert paper == TrainingOptions(recipe="sandwich", by_hand=("recipe",))


def test_small_sets_get_more_epochs_and_wide_models_smaller_rates() -> None:
    small, large = (
        resolved({}, "auto", Scale(number, number, 30, 384)) for number in (500, 60_000)
    )
    assert small.teacher_epochs > large.teacher_epochs
    assert (small.batch_size, large.batch_size) == (16, 32)
    base = resolved({}, "auto", Scale(500, 500, 30, 768))
    assert base.learning_rate == small.learning_rate / 2
    assert base.teacher_rates == tuple(rate / 2 for rate in small.teacher_rates)


def test_longer_texts_get_fewer_epochs() -> None:
    short, long = (resolved({}, "auto", Scale(5000, 5000, n, 384)) for n in (30, 200))
    assert long.width_epochs + long.depth_epochs < short.width_epochs + short.depth_epochs


def test_tokens_bring_their_stage() -> None:
    options = resolved({"tokens": (1.0, 0.5)}, "auto", DOCS)
    assert options.token_epochs == options.depth_epochs
    repaired = resolved({"tokens": (1.0, 0.5), "recipe": "closed-form"}, "auto", DOCS)
    assert (repaired.tokens, repaired.token_epochs) == ((1.0, 0.5), 0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"augment": -1}, "augment must be at least 0"),
        ({"tokens": ()}, "must be multipliers"),
        ({"teacher_rates": (-1.0,)}, "teacher_rates .* must be positive"),
        ({"teacher_rates": (1e-4, 1e-4)}, "must be different ones, 8 at most"),
        ({"teacher_rates": (1e-4,), "teacher_epochs": 0}, "stage 0, which has no epochs"),
        ({"teacher_rates": (1e-4,), "learning_rate": 2e-4}, "lack 0.0002"),
    ],
)
def test_what_does_not_go_together_is_refused(given: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        resolved(given, "auto", DOCS)


def test_rates_given_by_hand_are_tried() -> None:
    options = resolved({"teacher_rates": (3e-4, 1e-4, 2e-4)}, "auto", DOCS)
    assert options.teacher_rates == (3e-4, 1e-4, 2e-4)
    assert options.teacher_learning_rate == 2e-4


def test_words_count_for_tokens() -> None:
    pairs = Texts(("one two", "a"), ("three", "b c"))
    assert mean_tokens(pairs, max_length=128) == pytest.approx(3.9)
    assert mean_tokens(pairs, max_length=3) == 3


def test_trials_cost_about_what_stage_0_does() -> None:
    options = resolved({}, "auto", DOCS)
    rates, teacher, width, depth = planned_stages(options, MINILM, num_train=1804)
    assert [rates.name, teacher.name, width.name, depth.name] == [
        RATES,
        "teacher",
        "width",
        "depth",
    ]
    assert teacher.steps - 3 < rates.steps == 3 * trial_steps(options, 1804) <= teacher.steps
    assert (width.networks, depth.networks) == (4, 4)
    long = resolved({}, "auto", Scale(60_000, 60_000, 30, 384))
    rates, teacher, *_ = planned_stages(long, MINILM, num_train=60_000)
    assert rates.steps == 3 * LONGEST_TRIAL < teacher.steps / 3


def test_what_remains_is_in_proportion_to_work() -> None:
    options = TrainingOptions(widths=(1.0,), depths=(1.0,), final_epochs=6)
    teacher, width, depth, final = planned_stages(options, MINILM, num_train=320)
    assert (teacher.work, final.work) == (3 * 3 * 320, 6 * 3 * 320)
    assert width.work == depth.work == 3 * 4 * 320
    left = seconds_after((teacher, width, depth, final), "teacher", seconds=9)
    assert left == pytest.approx(12 + 12 + 18)
    assert seconds_after((teacher, width, depth, final), "final", seconds=9) == 0


def test_closed_form_trains_stage_0_alone() -> None:
    options = resolved({"recipe": "closed-form"}, "auto", DOCS)
    stages = planned_stages(options, MINILM, num_train=1804)
    assert [stage.name for stage in stages] == [RATES, "teacher"]


def test_closed_form_has_widths_of_its_own() -> None:
    options = resolved({"recipe": "closed-form"}, "auto", DOCS)
    assert options.widths == (1.0, 0.5, 0.33, 0.25)
    assert options.depths == TrainingOptions().depths
    by_hand = resolved({"recipe": "closed-form", "widths": (1.0, 0.5)}, "auto", DOCS)
    assert by_hand.widths == (1.0, 0.5)
    assert resolved({"recipe": "closed-form"}, "paper", DOCS).widths == TrainingOptions().widths
