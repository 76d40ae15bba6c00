"""What a training would be, and what is said while it runs."""

import json
import tempfile
from pathlib import Path

import pytest

from paretobert import Run
from paretobert.cli.app import main
from paretobert.profiling.protocol import LatencyProtocol
from paretobert.storage import read_records
from paretobert.tasks.loading import TaskRequest

from .conftest import undrawn


@pytest.fixture(scope="module")
def open_asked(tiny_checkpoint: Path, colours_csv: Path) -> list[str]:
    """A small training whose rates and epochs of stages 1 and 2 are left to the rules."""
    return [
        *("--model", str(tiny_checkpoint), "--task", "files", "--data", str(colours_csv)),
        *("--widths", "1,0.5", "--depths", "1,0.5", "--max-length", "16", "--seq-len", "8"),
        *("--teacher-epochs", "2", "--training-precision", "fp32"),
    ]


def test_a_plan_asks_nothing_and_leaves_nothing(
    open_asked: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    folder = tmp_path / "run"
    assert main(["train", str(folder), *open_asked, "--plan", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert not folder.exists()
    assert list(scratch.iterdir()) == []
    assert [stage["name"] for stage in plan["stages"]] == ["rates", "teacher", "width", "depth"]
    rates, teacher, width, depth = plan["stages"]
    assert (teacher["epochs"], teacher["epochs_by"], teacher["rate_by"]) == (2, "user", "sweep")
    assert (width["epochs_by"], depth["rate_by"]) == ("rule", "rule")
    assert len(plan["teacher_rates"]) == 3
    assert rates["steps"] <= teacher["steps"]
    assert plan["seconds"] == pytest.approx(sum(s["seconds"] for s in plan["stages"]), abs=0.5)
    assert all(stage["seconds"] > 0 for stage in plan["stages"])
    assert 0 < plan["disk_bytes"] < plan["disk_peak_bytes"]
    assert plan["peak_memory_bytes"] > 50e6


def test_a_plan_of_published_settings_for_a_reader(
    open_asked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(tmp_path / "run")
    assert main(["run", folder, *open_asked, "--settings", "paper", "--plan"]) == 0
    shown = capsys.readouterr().out
    assert "2e-05" in shown
    assert "the recipe paper (paper), batches of 32" in shown
    for line in ("training: about", "memory: ", "disk: "):
        assert line in shown


def test_json_is_for_plans(
    open_asked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(tmp_path / "run"), *open_asked, "--json"]) == 2
    assert "--json is for --plan" in capsys.readouterr().err


def test_a_training_says_how_its_stages_went(
    open_asked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    few = ["--width-epochs", "1", "--depth-epochs", "1"]
    assert main(["train", str(folder), *open_asked, *few]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    for text in ("stage 0 learns at", "teacher: ", "width: ", "depth: ", "of training left"):
        assert text in said.err
    run, log = Run.open(folder), read_records(folder / "training.jsonl")
    tried = run.request.training.teacher_rates
    assert [record["stage"] for record in log] == [
        *(f"rates-{rate:g}" for rate in tried),
        "teacher",
        "width",
        "depth",
    ]
    assert run.fine_tuning_rate in tried
    assert all(record["search"] and record["best_step"] for record in log)
    assert main(["train", str(folder), *open_asked, *few]) == 0
    assert main(["train", str(folder), *open_asked, "--width-epochs", "1"]) == 2
    assert "holds another run" in capsys.readouterr().err


def test_a_run_that_is_resumed_decides_nothing_anew(
    tiny_checkpoint: Path, colours_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other rules, as a later version may have them, change no run that has started."""
    place = tmp_path / "run"
    given = {"seed": 0, "widths": (1.0, 0.5)}
    asked = {
        "model": str(tiny_checkpoint),
        "task": TaskRequest("files", data=colours_csv, max_length=16),
        "training": given,
        "protocol": LatencyProtocol(seq_len=8),
    }
    before = Run.create(place, **asked).request
    monkeypatch.setattr("paretobert.dynabert.settings.TEACHER_STEPS", 5)
    assert Run.create(place, **asked).request == before
    assert Run.create(tmp_path / "other", **asked).request != before


def test_a_run_says_what_to_ask_next(
    run_copy: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with undrawn():
        assert main(["run", str(run_copy)]) == 0
    said = capsys.readouterr().err
    (line,) = [line for line in said.splitlines() if line.startswith("next:")]
    assert line.split()[1:3] == ["paretobert", "query"]
    assert main(line.split()[2:]) == 0
    assert "best" in capsys.readouterr().out
