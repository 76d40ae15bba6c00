"""The README's Python runs as printed."""

import re
import shutil
from pathlib import Path

import pytest

from paretobert import Run

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
