"""`paretobert ose`: what it prints, and what it says of bad input."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from paretobert import Run
from paretobert.cli.app import main


@pytest.fixture
def words(tiny_checkpoint: Path, colours_csv: Path, tmp_path: Path) -> list[str]:
    """A small set and a task, whole but for the folder."""
    path = tmp_path / "set.toml"
    path.write_text("D = [1, 2]\nA = [1]\nH = [8]\nI = [8, 16]\n")
    return [
        *("--space", str(path), "--model", str(tiny_checkpoint), "--task", "files"),
        *("--data", str(colours_csv), "--max-length", "16", "--search-size", "32"),
        *("--steps", "2", "--training-batch-size", "4", "--epsilon", "0.01"),
    ]


def changed(words: list[str], option: str, value: str | None) -> list[str]:
    place = words.index(option)
    middle = [] if value is None else [option, value]
    return [*words[:place], *middle, *words[place + 2 :]]


def test_the_ranking_is_printed_with_its_terms_in_80_columns(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ose", str(tmp_path / "ose"), *words]) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert max(map(len, (line.rstrip() for line in lines))) <= 80
    header = next(line for line in lines if line.startswith("candidate"))
    assert header.split() == ["candidate", "params", "MACs", "smaller", "faster", "error", "W"]
    rows = [line.split() for line in lines if line.startswith("D")]
    assert len(rows) == 4
    for name, _, _, smaller, faster, error, w in (row for row in rows if len(row) == 7):
        product = float(smaller) * float(faster) / float(error)
        assert float(w) == pytest.approx(product, rel=0.02), name
    assert rows[-1][-1] == "0"
    assert "3 of 4 candidates trained" in printed.out
    assert "figure.png" in printed.err
    assert {path.name for path in (tmp_path / "ose").iterdir()} == {
        *("ledger.db", "extraction.json", "ranking.csv", "figure.png", "figure.svg", "winner"),
    }


def test_json_has_the_same_as_the_file(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ose", str(tmp_path / "ose"), *words, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "ose" / "extraction.json").read_text())
    assert printed["ranking"][0]["w"] >= printed["ranking"][1]["w"]


def test_the_sub_networks_of_a_run_by_their_measured_latency(
    run_copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--steps", "1", "--learning-rates", "1e-9", "--speed", "latency"]
    assert main(["ose", str(tmp_path / "ose"), "--space", str(run_copy), *words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    profiles = {entry.network.name: entry for entry in Run.open(run_copy).table()}
    for entry in found["ranking"]:
        assert entry["params"] == profiles[entry["name"]].num_params
        assert entry["inference"] == profiles[entry["name"]].values["latency_ms"]
    assert main(["ose", str(tmp_path / "ose"), "--space", str(run_copy), *words]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert f"--method bort --extraction {tmp_path / 'ose'}" in said


def test_the_pick_is_trained_and_stands_among_what_queries_choose_from(
    run_copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def printed(*words: str) -> dict:
        capsys.readouterr()
        assert main([*words, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    folder, run = str(tmp_path / "ose"), str(run_copy)
    found = printed("ose", folder, "--space", run, "--steps", "1", "--epsilon", "1")
    asked = ["--method", "bort", "--extraction", folder, "--steps", "2"]
    added = printed("add", run, *asked, "--pretraining-steps", "2")
    assert added["label"] == f"{found['ranking'][0]['name']}, Bort"
    assert printed("show", run, added["label"])["id"] == added["network"]
    assert added["network"] in {each.network.id for each in Run.open(run_copy).candidates()}


def test_a_folder_without_a_ranking_is_one_sentence(
    run_copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--method", "bort", "--extraction", str(tmp_path)]
    assert main(["add", str(run_copy), *words]) == 2
    assert "holds no extraction.json: give a folder of a" in " ".join(
        capsys.readouterr().err.split()
    )


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--steps", None, "Say for how many steps"),
        ("--steps", "0", "steps must be at least 1, not 0"),
        ("--epsilon", "0", "epsilon must be above 0 and at most 1, not 0.0"),
        ("--epsilon", "1.5", "epsilon must be above 0 and at most 1, not 1.5"),
        ("--epsilon", "nan", "epsilon must be above 0 and at most 1, not nan"),
        ("--space", "nothing", "'nothing' is no candidate set"),
        ("--space", "none.csv", "none.csv does not exist"),
        ("--model", None, "Name the checkpoint"),
        ("--task", None, "Options of a task are given without it"),
    ],
)
def test_bad_input_is_one_sentence(
    option: str,
    value: str | None,
    sentence: str,
    words: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["ose", str(tmp_path / "ose"), *changed(words, option, value)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert sentence in " ".join(printed.err.split())
    assert "Traceback" not in printed.err
    assert not (tmp_path / "ose").exists()


def test_a_killed_process_goes_on(words: list[str], tmp_path: Path) -> None:
    """Killed hard after the first error is in the ledger; the ranking is that of one go."""
    code = (
        "import os, sys\n"
        "from paretobert.pipeline.ledger import Ledger\n"
        "from paretobert.cli.app import main\n"
        "add = Ledger.add_error\n"
        "def add_and_die(self, *args, **names):\n"
        "    add(self, *args, **names)\n"
        "    os._exit(9)\n"
        "Ledger.add_error = add_and_die\n"
        "main(sys.argv[1:])\n"
    )
    command = ["ose", str(tmp_path / "killed"), *words]
    died = subprocess.run([sys.executable, "-c", code, *command], capture_output=True)
    assert died.returncode == 9
    assert {path.name for path in (tmp_path / "killed").iterdir()} >= {"ledger.db"}
    assert not (tmp_path / "killed" / "ranking.csv").exists()
    assert main(command) == 0
    assert main(["ose", str(tmp_path / "whole"), *words]) == 0
    tables = [(tmp_path / name / "ranking.csv").read_text() for name in ("killed", "whole")]
    assert tables[0] == tables[1]
