"""Members of a front, trained on by themselves."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from paretobert import Run
from paretobert.cli.app import main
from paretobert.cli.display import LOG_NAME
from paretobert.errors import InputError
from paretobert.pipeline.steps.finish import FinishedMember, to_finish
from paretobert.search.front import ParetoFront
from paretobert.tasks.comparison import PairedComparison
from paretobert.training.loop import TrainingProgress
from paretobert.training.pace import StudentPace

from .conftest import undrawn

BRIEF = ["--steps", "4", "--learning-rate", "1e-3", "--training-precision", "fp32"]
PACE = StudentPace(steps=4, learning_rate=1e-3, precision="fp32", checkpoint_steps=2)


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != LOG_NAME
    }


def test_the_members_that_lose_most_are_finished(
    run_copy: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = Run.open(run_copy)
    front = [entry for entry in run.front().members if not entry.is_full]
    least = min(front, key=lambda entry: entry.evaluation.value)
    capsys.readouterr()
    assert main(["finish", str(run_copy), "--members", "1", *BRIEF, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["members"]
    before, after = found["inherited"], found["finished"]
    assert before["network"] == least.network.id
    assert after["label"] == f"{least.name}, finished"
    for cost in ("params", "flops"):
        assert after[cost] == before[cost]
    assert after["disk_bytes"] == pytest.approx(before["disk_bytes"], rel=0.01)
    difference = found["difference"]
    assert difference["value"] == pytest.approx(
        after["search"]["value"] - before["search"]["value"]
    )
    assert difference["better"] == (not difference["tie"] and difference["value"] > 0)

    made = snapshot(run_copy)
    assert main(["finish", str(run_copy), "--members", "1", *BRIEF]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert f"{least.label}, accuracy" in printed
    assert ": better by" in printed or ": a tie: finishing brought nothing." in printed
    assert snapshot(run_copy) == made

    labels = {entry.label for entry in Run.open(run_copy).front().members}
    shown, hidden = (after["label"], before["label"])[:: 1 if difference["better"] else -1]
    assert hidden not in labels
    with undrawn():
        assert main(["report", str(run_copy)]) == 0
    table = (run_copy / "report" / "tables" / "results.csv").read_text()
    assert shown in table
    assert hidden not in table


def test_a_finishing_that_is_killed_ends_in_the_same_weights(
    run_copy: Path, tmp_path: Path
) -> None:
    def tensors(folder: Path) -> list[dict[str, torch.Tensor]]:
        paths = sorted((folder / "networks").glob("*/network/model.safetensors"))
        return [load_file(path) for path in paths]

    front = Run.open(run_copy).front().members
    members = min(2, sum(not entry.is_full for entry in front))
    other = shutil.copytree(run_copy, tmp_path / "killed")
    whole = Run.open(run_copy).finish(PACE, members=members)
    assert len(whole) == members

    def kill(state: TrainingProgress) -> None:
        if (state.stage, state.step) == (f"finish {members}", 3):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Run.open(other).finish(PACE, members=members, progress=kill)
    seen: list[TrainingProgress] = []
    again = Run.open(other).finish(PACE, members=members, progress=seen.append)
    assert [(state.stage, state.step) for state in seen] == [
        (f"finish {members}", 3),
        (f"finish {members}", 4),
    ]
    assert [entry.finished.network.id for entry in again] == [
        entry.finished.network.id for entry in whole
    ]
    for ours, theirs in zip(tensors(run_copy), tensors(other), strict=True):
        for name, tensor in ours.items():
            torch.testing.assert_close(theirs[name], tensor, rtol=0, atol=0)


def test_run_finishes_and_shows_the_front_of_all(
    run_copy: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    capsys.readouterr()
    with undrawn():
        assert main(["run", str(run_copy), "--finish", "1"]) == 0
    printed = capsys.readouterr().out
    assert " on search: " in " ".join(printed.split())
    run = Run.open(run_copy)
    for member in run.front().members:
        assert member.name in printed


def test_what_finishing_brought_is_said(finished: Path) -> None:
    entry = Run.open(finished).candidates()[1]

    def said(only_ours: int, only_theirs: int) -> str:
        found = PairedComparison.of_accuracies(only_ours, only_theirs, n=200)
        return FinishedMember(entry, entry, found).sentence()

    assert ": better by 0.1000 [0.0" in said(20, 0)
    assert ": worse by 0.1000 [0.0" in said(0, 20)
    tie = said(3, 1)
    assert ": a tie: finishing brought nothing. +0.0100 [" in tie
    assert "a loss of" in tie


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--members", "0"], "At least one member of the front is finished, not 0"),
        (["--steps", "0"], "steps must be at least 1, not 0"),
        (["--steps", "99999999"], "steps must be at most 1,000,000"),
        (["--learning-rate", "-1"], "learning_rate must be positive"),
    ],
)
def test_bad_input_is_refused(
    run_copy: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = snapshot(run_copy)
    assert main(["finish", str(run_copy), *words]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert snapshot(run_copy).keys() == before.keys()


def test_a_folder_that_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["finish", str(tmp_path / "new")]) == 2
    assert "is not a run folder" in " ".join(capsys.readouterr().err.split())


def test_a_front_of_the_full_model_alone(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run.open(finished)
    full = next(entry for entry in run.candidates() if entry.is_full)
    with pytest.raises(InputError, match="no sub-network but the full model: there is nothing"):
        to_finish(run.context, [full], members=1)
    everything = run.candidates()
    found = to_finish(run.context, everything, members=9)
    front = ParetoFront.of(everything, run.request.search.objectives).members
    assert {entry.key for entry in found} == {e.key for e in front if not e.is_full}
    scores = [entry.evaluation.value for entry in found]
    assert scores == sorted(scores)
