"""A method is one file and one line: everything else takes its network like any other."""

import importlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from paretobert.baselines.methods import METHODS
from paretobert.cli import add
from paretobert.cli.app import main
from paretobert.cli.fields import expanded
from paretobert.training.loop import Result, made
from paretobert.training.method import Making, Method

from .conftest import undrawn


@dataclass(frozen=True, slots=True)
class ToyOptions:
    """How the toy is made.

    Attributes:
        num_kept: Layers of the teacher that are kept, the last ones, untrained.
    """

    num_kept: int = 1

    @property
    def label(self) -> str:
        return f"toy of {self.num_kept}"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def make(making: Making, options: ToyOptions) -> None:
    def cut() -> Result:
        model = AutoModelForSequenceClassification.from_pretrained(making.teacher)
        model.bert.encoder.layer = model.bert.encoder.layer[-options.num_kept :]
        model.config.num_hidden_layers = options.num_kept
        return model, AutoTokenizer.from_pretrained(making.teacher)

    made(making.network, cut)


@pytest.fixture
def add_toy(monkeypatch: pytest.MonkeyPatch) -> Iterator[typer.Typer]:
    """The `add` command, read again with the toy among the methods."""
    with monkeypatch.context() as patch:
        patch.setitem(METHODS, "toy", Method("toy", "A toy.", ToyOptions, make))
        app = typer.Typer(pretty_exceptions_enable=False)
        app.command()(expanded(importlib.reload(add).command))
        yield app
    importlib.reload(add)


def test_a_method_needs_nothing_but_its_registration(
    run_copy: Path,
    tmp_path: Path,
    add_toy: typer.Typer,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def printed(*words: str) -> dict[str, Any]:
        capsys.readouterr()
        assert main([words[0], str(run_copy), *words[1:], "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    given = ["--method", "toy", "--num-kept", "1", "--json"]
    capsys.readouterr()
    add_toy([str(run_copy), *given], standalone_mode=False)
    added = json.loads(capsys.readouterr().out)
    assert added["label"] == "toy of 1"
    assert added["report"]["n"] == 45

    assert printed("query", "--cheapest", "params")["answer"]["network"] == added["network"]
    compared = printed("compare", "full", "toy of 1")
    assert compared["latency_ratio"]["value"] > 0
    assert printed("show", "toy of 1")["id"] == added["network"]

    target = tmp_path / "toy"
    words = ["export", str(run_copy), "--network", "toy of 1", "--to", str(target)]
    assert main(words) == 0
    assert AutoModelForSequenceClassification.from_pretrained(target).num_labels == 3
    assert "toy of 1" in (target / "README.md").read_text()

    with undrawn():
        assert main(["report", str(run_copy)]) == 0
    assert "toy of 1" in (run_copy / "report" / "index.html").read_text()
    tables = (run_copy / "report" / "tables").glob("*.csv")
    assert any("toy of 1" in path.read_text() for path in tables)
