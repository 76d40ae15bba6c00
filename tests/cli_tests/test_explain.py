"""`query --explain`: what binds, what more buys, what became of each layer."""

import json
from pathlib import Path

import pytest

from paretobert.cli.app import main


def test_an_answer_is_explained(
    run_copy: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    asked = ["query", str(run_copy), "--params", "1M", "--flops", "300K", "--explain"]
    assert main(asked) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    limits = lines[lines.index("Which limit binds:") + 1 :][:2]
    assert [line.split(" (")[0] for line in limits] == ["params <= 1M", "flops <= 300K"]
    assert limits[0].endswith("does not bind")
    assert "What a tenth more of each buys:" in lines
    assert any(line.startswith("with flops <= 330K: ") for line in lines)
    assert "What is left of each layer" in lines

    assert main([*asked, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    kept = {entry["index"]: entry["heads"] for entry in found["answer"]["layers"]}
    layers = found["explanation"]["layers"]
    assert {entry["layer"]: entry["heads"] for entry in layers if entry["heads"]} == kept
    assert found["explanation"]["elsewhere"] == []


def test_what_nothing_fits_is_explained(
    run_copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["query", str(run_copy), "--params", "10K", "--explain"]) == 1
    printed = capsys.readouterr().out
    assert "missed by" in printed
    assert "with params <= 11K: nothing fits" in printed
