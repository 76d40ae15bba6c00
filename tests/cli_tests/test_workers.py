"""`search --workers`: processes beside the command's own score for the same study."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from paretobert import Run
from paretobert.cli.app import main
from paretobert.pipeline import workers
from paretobert.pipeline.steps.search import study_name
from paretobert.search.options import SearchOptions


def forget_scores(folder: Path) -> None:
    """Leave costs in a ledger, and no scores."""
    with sqlite3.connect(folder / "ledger.db") as connection:
        connection.execute("DELETE FROM observations WHERE quantity = 'score'")
    connection.close()


def test_workers_search_like_the_command_alone(
    run_copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    front = {e.network.id: e.evaluation.value for e in Run.open(run_copy).front().members}
    forget_scores(run_copy)
    assert main(["search", str(run_copy), "--workers", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["front"]
    assert {entry["network"]: entry["search"]["value"] for entry in found} == front
    assert not list((run_copy / "study.journal.workers").iterdir())


def test_a_worker_searches_by_itself(run_copy: Path) -> None:
    random = SearchOptions(engine="random", trials=3)
    job = {"folder": str(run_copy), "options": random.to_dict()}
    process = subprocess.Popen(
        [sys.executable, "-m", workers.__name__], stdin=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    with process.stdin as pipe:
        pipe.write(f"{json.dumps(job)}\n")
        pipe.flush()
        assert process.wait(timeout=60) == 0
    context = Run.open(run_copy).context
    place = JournalStorage(JournalFileBackend(str(run_copy / "study.journal")))
    study = optuna.load_study(study_name=study_name(context, random), storage=place)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 3


def test_a_worker_that_fails_is_named(
    run_copy: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = Run.open(run_copy)
    monkeypatch.setattr(workers.json, "dumps", lambda job: '{"folder": "/nowhere"}')
    with workers.helped(run.context, run.request.search, workers=2):
        pass
    assert "Worker 1 stopped early" in caplog.text
    assert "/nowhere is not a run folder" in caplog.text


def test_no_workers_are_refused(run_copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", str(run_copy), "--workers", "0"]) == 2
    assert "Workers are from 1 to 1024, not 0" in capsys.readouterr().err
