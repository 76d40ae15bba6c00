"""The README's Python runs as printed, and its commands are there."""

import re
import shutil
from pathlib import Path

import pytest
import typer

from paretobert import Run
from paretobert.cli.app import COMMANDS, app_of

ROOT = Path(__file__).resolve().parents[2]


def test_the_five_lines_run(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    request = Run.open(finished).request
    create = Run.create

    def create_small(folder: str, *, model: str, task: str) -> Run:
        assert (model, task) == ("minilm", "stdlib-docs")
        shutil.copytree(finished, folder)
        return create(
            folder,
            model=request.model,
            task=request.task,
            training=request.training,
            protocol=request.protocol,
            search=request.search,
        )

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Run, "create", create_small)
    names: dict[str, object] = {}
    exec(code, names)
    assert names["answer"].answer is not None
    assert (tmp_path / "small" / "config.json").is_file()


def test_every_command_and_option_exists() -> None:
    """In the sessions that are shown, and in what the table of choices names."""
    text = (ROOT / "README.md").read_text()
    group = typer.main.get_command(app_of(COMMANDS))
    options = {
        name: {word for option in command.params for word in option.opts}
        for name, command in group.commands.items()
    }
    sessions = re.findall(r"^    paretobert (\S+)(.*)$", text, re.MULTILINE)
    assert len(sessions) > 5
    for name, rest in sessions:
        assert set(re.findall(r"--[a-z0-9-]+", rest)) <= options[name], name
    known = set().union(*options.values()) | {"--help"}
    assert set(re.findall(r"`(--[a-z0-9-]+)", text)) <= known
