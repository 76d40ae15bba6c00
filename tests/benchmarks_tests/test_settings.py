"""The comparison of the default settings with settings by hand."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
import settings
from outcomes import write_outcomes
from settings import DEFAULT, FULL, SUPERNET, Arm, OutOfTime, arms_of, summary, train_arm

from paretobert.dynabert.options import TrainingOptions
from paretobert.dynabert.settings import Scale, resolved
from paretobert.encoders.checkpoints import find_checkpoint
from paretobert.tasks.metrics import Evaluation, score_predictions

from ..learnable import make_task

RULES = resolved({}, "auto", Scale(1804, 1804, 14, 384))


def test_the_arms_lie_around_the_default() -> None:
    default, *by_hand, half, none = arms_of(RULES, rates=(1, 2), epochs=(0.5,), shares=(0.5, 0))
    assert default.options == RULES
    for factor, arm in zip((1, 2), by_hand, strict=True):
        assert arm.options.teacher_rates == ()
        assert arm.options.fine_tuning_rate == factor * RULES.fine_tuning_rate
        assert arm.options.learning_rate == factor * RULES.learning_rate
        assert arm.options.teacher_epochs == round(RULES.teacher_epochs / 2)
    elastic = RULES.width_epochs + RULES.depth_epochs
    assert half.options.width_epochs + half.options.depth_epochs == elastic
    assert (none.options.width_epochs, none.options.depth_epochs) == (0, elastic)


def said(right: int, split: str, *, of: int = 100) -> Evaluation:
    return score_predictions(
        task="made",
        split=split,
        metrics=("accuracy",),
        labels=(1,) * of,
        predictions=(1,) * right + (0,) * (of - right),
    )


def kept(folder: Path, search: tuple[int, ...], report: tuple[int, ...]) -> Path:
    names = (FULL, "a", "b")
    folder.mkdir()
    write_outcomes(
        folder / "outcomes.json",
        {
            split: {name: said(value, split) for name, value in zip(names, right, strict=True)}
            for split, right in (("search", search), ("report", report))
        },
    )
    return folder


def test_the_best_by_hand_is_chosen_on_the_search_split(tmp_path: Path) -> None:
    found = summary(
        {
            DEFAULT: kept(tmp_path / "0", (90, 80, 60), (90, 80, 60)),
            "lucky": kept(tmp_path / "1", (90, 70, 60), (99, 99, 99)),
            "chosen": kept(tmp_path / "2", (90, 90, 60), (90, 82, 62)),
        },
        seed=0,
    )
    assert found["best_by_hand"] == "chosen"
    lost = found["lost_by_the_default"]
    assert lost[FULL]["value"] == lost[FULL]["low"] == lost[FULL]["high"] == 0
    assert lost[SUPERNET]["value"] == pytest.approx(0.02)
    assert 0 <= lost[SUPERNET]["low"] < 0.02 < lost[SUPERNET]["high"]
    assert found["within_half_a_point"] is False
    means = {arm["arm"]: arm[SUPERNET]["value"] for arm in found["arms"]}
    assert means == pytest.approx({DEFAULT: 0.7, "lucky": 0.99, "chosen": 0.72})


def test_an_arm_breaks_off_in_time_and_goes_on(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = TrainingOptions(
        widths=(1.0, 0.5),
        depths=(1.0,),
        teacher_epochs=1,
        width_epochs=1,
        depth_epochs=1,
        batch_size=8,
        checkpoint_steps=2,
        precision="fp32",
    )
    asked = {"checkpoint": find_checkpoint(str(tiny_checkpoint)), "task": make_task()}
    arm, folder, deadline_s = Arm("made", options), tmp_path / "arm", time.monotonic() + 1000
    with pytest.raises(OutOfTime):
        train_arm(arm, **asked, folder=folder, deadline_s=0)
    assert not (folder / "outcomes.json").exists()
    train_arm(arm, **asked, folder=folder, deadline_s=deadline_s)
    assert not (folder / "run").exists()
    monkeypatch.setattr(settings, "train_supernet", None)
    train_arm(replace(arm), **asked, folder=folder, deadline_s=deadline_s)
    found = summary({DEFAULT: folder}, seed=0)
    assert [entry["arm"] for entry in found["arms"]] == [DEFAULT]
