"""The Python and the commands of README and of the pages run as printed."""

import re
import shutil
from pathlib import Path

import pytest
import typer

from paretobert import Run
from paretobert.cli.app import COMMANDS, app_of, main

from .conftest import undrawn

ROOT = Path(__file__).resolve().parents[2]


def python_of(page: str) -> str:
    """The page's first block of Python."""
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)[0]


def test_an_export_loads_as_README_says(
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["export", str(finished), "--network", "L1.3-H2-F32", "--to", "small"]
    assert main(words) == 0
    exec(python_of("README.md"), {})
    assert "score" in capsys.readouterr().out


def test_the_lines_of_the_commands_page_run(
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code = python_of("docs/commands.md")
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
    with undrawn():
        exec(code, names)
    assert names["answer"].answer is not None
    assert (tmp_path / "small" / "config.json").is_file()


PAGES = ("README.md", *(str(p.relative_to(ROOT)) for p in sorted((ROOT / "docs").rglob("*.md"))))


@pytest.mark.parametrize("page", [page for page in PAGES if "README.in" not in page])
def test_every_command_and_option_exists(page: str) -> None:
    """In the sessions that are shown, and in what is named between backticks."""
    text = (ROOT / page).read_text().replace("\\\n", " ")
    group = typer.main.get_command(app_of(COMMANDS))
    options = {
        name: {word for option in command.params for word in option.opts}
        for name, command in group.commands.items()
    }
    for name, rest in re.findall(r"^    paretobert ([a-z]+)(.*)$", text, re.MULTILINE):
        assert set(re.findall(r"--[a-z0-9-]+", rest)) <= options[name], name
    known = set().union(*options.values()) | {"--help", "--install-completion", "--check"}
    assert set(re.findall(r"`(--[a-z0-9-]+)", text)) <= known
