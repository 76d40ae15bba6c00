"""The comparison of the default settings with settings by hand."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
import settings
from outcomes import read_outcomes
from settings import (
    DEFAULT,
    FULL,
    SPLITS,
    SUPERNET,
    Arm,
    Outcomes,
    OutOfTime,
    arms_of,
    few,
    summary,
    train_arm,
)

from paretobert.dynabert.options import TrainingOptions
from paretobert.dynabert.settings import Scale, resolved
from paretobert.tasks.loading import TaskRequest, load_task

from ..evaluations import scored
from ..learnable import make_task

RULES = resolved({}, "auto", Scale(1804, 1804, 14, 384))


def test_each_arm_differs_from_the_default_in_one_thing() -> None:
    arms = arms_of(RULES, chosen_rate=4e-4, rates=(2,), epochs=(0.5,), shares=(0.5, 0))
    half, none, faster, teacher, shorter = arms
    both = RULES.width_epochs + RULES.depth_epochs
    for arm in (half, none, faster, shorter):
        assert (arm.judged, arm.options.teacher_epochs) == (SUPERNET, 0)
    assert half.options.width_epochs == round(both / 2)
    assert (none.options.width_epochs, none.options.depth_epochs) == (0, both)
    assert faster.options.learning_rate == 2 * RULES.learning_rate
    assert faster.options.width_epochs == RULES.width_epochs
    assert shorter.options.learning_rate == RULES.learning_rate
    assert shorter.options.depth_epochs == round(RULES.depth_epochs / 2)
    assert (teacher.judged, teacher.options.fine_tuning_rate) == (FULL, 4e-4)
    assert teacher.options.teacher_epochs == round(RULES.teacher_epochs / 2)
    assert (teacher.options.width_epochs, teacher.options.depth_epochs) == (0, 0)


def arm_of(search: tuple[int, ...], report: tuple[int, ...]) -> Outcomes:
    return {
        split: {
            name: scored(value, of=100, split=split)
            for name, value in zip("ab", right, strict=True)
        }
        for split, right in (("search", search), ("report", report))
    }


def test_the_best_by_hand_is_chosen_on_the_search_split() -> None:
    found = summary(
        {
            DEFAULT: arm_of((80, 60), (80, 60)),
            "lucky": arm_of((70, 60), (99, 99)),
            "chosen": arm_of((90, 60), (82, 62)),
        },
        seed=0,
    )
    assert found["best_by_hand"] == "chosen"
    lost = found["lost_by_the_default"]
    assert lost["value"] == pytest.approx(0.02)
    assert 0 <= lost["low"] < 0.02 < lost["high"]
    assert found["within_half_a_point"] is False
    means = {arm["arm"]: arm["value"] for arm in found["arms"]}
    assert means == pytest.approx({DEFAULT: 0.7, "lucky": 0.99, "chosen": 0.72})


@pytest.mark.parametrize("judged", [FULL, SUPERNET])
def test_an_arm_breaks_off_in_time_and_goes_on(
    judged: str, tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = TrainingOptions(
        widths=(1.0, 0.5),
        depths=(1.0,),
        teacher_epochs=1,
        width_epochs=int(judged == SUPERNET),
        depth_epochs=int(judged == SUPERNET),
        batch_size=8,
        checkpoint_steps=2,
        precision="fp32",
    )
    asked = {"model": tiny_checkpoint, "task": make_task()}
    arm, folder, deadline_s = (
        Arm("made", judged, options),
        tmp_path / "arm",
        time.monotonic() + 1000,
    )
    with pytest.raises(OutOfTime):
        train_arm(arm, **asked, folder=folder, deadline_s=0)
    assert not (folder / "outcomes.json").exists()
    train_arm(arm, **asked, folder=folder, deadline_s=deadline_s)
    assert not (folder / "run").exists()
    monkeypatch.setattr(settings, "train_supernet", None)
    train_arm(replace(arm), **asked, folder=folder, deadline_s=deadline_s)
    outcomes = read_outcomes(folder / "outcomes.json")
    assert set(outcomes) == set(SPLITS)
    assert len(outcomes["report"]) == (1 if judged == FULL else 2)


def test_few_sentences_leave_500_to_learn_from(tmp_path: Path) -> None:
    for name, lines in (("train.tsv", 900), ("test.tsv", 5)):
        rows = [f'it said "{i}" ,\t{i % 2}' for i in range(lines)]
        (tmp_path / name).write_text("\n".join(["sentence\tlabel", *rows]) + "\n")
    few(tmp_path, tmp_path / "few")
    request = TaskRequest(
        "files",
        data=tmp_path / "few" / "train.csv",
        report_data=tmp_path / "few" / "report.csv",
        search_size=250,
    )
    task = load_task(request)
    assert (len(task.train), len(task.search), len(task.report)) == (500, 250, 5)
