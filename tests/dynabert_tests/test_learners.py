"""Which sub-networks learn in a step, and from whom."""

from dataclasses import replace

import pytest

from paretobert.dynabert.learners import (
    same_width_teacher,
    step_configs,
    token_step_configs,
)
from paretobert.dynabert.options import TrainingOptions
from paretobert.encoders.families import shape_of
from paretobert.networks.spaces import Grid
from paretobert.networks.subnet import SubnetConfig

OPTIONS = TrainingOptions(widths=(1.0, 0.5), depths=(1.0, 0.5))
TOKENS = replace(OPTIONS, tokens=(1.0, 0.4), token_epochs=2)


def test_the_teacher_of_stage_2_is_as_wide_and_of_full_depth(tiny_model):
    shape = shape_of(tiny_model("bert").config)
    student = SubnetConfig((1, 3), (2, 2), (20, 20))
    assert same_width_teacher(student, shape) == SubnetConfig(
        (0, 1, 2, 3), (2, 2, 2, 2), (20, 20, 20, 20)
    )


@pytest.mark.parametrize("space", ["uniform", "layerwise"])
@pytest.mark.parametrize("stage", ["width", "depth"])
def test_steps_draw_from_the_space(space, stage, tiny_model):
    """The largest, the smallest, and others that depend on the seed, the stage and the step."""
    options = TrainingOptions(recipe="sandwich", sandwich_random=3, space=space)
    whole = options.space_of(shape_of(tiny_model("bert").config))
    drawn_from = whole if stage == "depth" else whole.at_full_depth()
    draws = [
        step_configs(drawn_from, options=options, stage=stage, step=step) for step in range(40)
    ]
    assert draws == [
        step_configs(drawn_from, options=options, stage=stage, step=step) for step in range(40)
    ]
    *_, landmark = drawn_from.landmarks
    assert all(draw[:2] == [whole.full, landmark] for draw in draws)
    assert all(len(set(draw)) == 5 for draw in draws)
    drawn = {config for draw in draws for config in draw}
    assert len(drawn) > 30
    assert all(map(drawn_from.contains, drawn))
    uneven = [config for config in drawn if len(set(config.heads)) > 1]
    assert bool(uneven) == (space == "layerwise")
    assert {config.num_layers for config in drawn} == ({4} if stage == "width" else {1, 2, 3, 4})


def test_recipes_choose_the_subnetworks_of_a_step(tiny_model):
    space = Grid(shape_of(tiny_model("bert").config))
    configs = list(space.landmarks)
    paper = step_configs(space, options=TrainingOptions(), stage="depth", step=3)
    assert paper == configs
    options = TrainingOptions(recipe="sandwich", sandwich_random=2)
    draws = [step_configs(space, options=options, stage="depth", step=i) for i in range(40)]
    assert all(len(draw) == 4 and len(set(draw)) == 4 for draw in draws)
    assert all(draw[:2] == [configs[0], configs[-1]] for draw in draws)
    assert {config for draw in draws for config in draw} == set(configs)
    again = [step_configs(space, options=options, stage="depth", step=i) for i in range(40)]
    assert draws == again


def test_the_token_stage_draws_configurations_by_the_sandwich_rule(tiny_model):
    shape = shape_of(tiny_model("bert").config)
    space = TOKENS.space_of(shape)
    options = replace(TOKENS, sandwich_random=2)
    steps = [token_step_configs(space, options=options, step=i) for i in range(40)]
    assert steps == [token_step_configs(space, options=options, step=i) for i in range(40)]
    pairs = list(OPTIONS.space_of(shape).landmarks)
    smallest = list(space.landmarks)[-1]
    retentions, seen = set(), set()
    for students in steps:
        full, least, *_ = students
        assert full == SubnetConfig.full(shape)
        assert least == smallest
        drawn = [student for student in students if student.tokens and student != smallest]
        assert {replace(student, tokens=None) for student in drawn} <= set(students)
        for student in drawn:
            assert student.tokens.unit == "percent"
            assert student.tokens.amounts[-1] == 1
            *before, _ = student.tokens.amounts
            assert sum(before) >= 39 * len(before)
            retentions.add(student.tokens)
        seen |= {replace(student, tokens=None) for student in students}
    assert len(retentions) > 60
    assert seen == set(pairs)
