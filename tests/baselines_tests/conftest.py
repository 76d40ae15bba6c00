from pathlib import Path

import pytest

from ..learnable import opinionated


@pytest.fixture
def teacher(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    return opinionated(tiny_checkpoint, tmp_path / "teacher")
