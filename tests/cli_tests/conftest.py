"""A whole small run, made once by the commands themselves."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from paretobert.cli.app import main
from paretobert.reports.figures.drawing import Picture

from ..once import made_once


@pytest.fixture(scope="session")
def asked(tiny_checkpoint: Path, colours_csv: Path) -> list[str]:
    """The options that the finished run was started with."""
    return [
        *("--model", str(tiny_checkpoint), "--task", "files", "--data", str(colours_csv)),
        *("--widths", "1,0.5", "--depths", "1,0.5", "--learning-rate", "3e-3"),
        *("--teacher-epochs", "2", "--width-epochs", "1", "--depth-epochs", "1"),
        *("--training-precision", "fp32", "--seq-len", "8", "--measure-s", "0.1"),
        *("--max-length", "32"),
    ]


Measuring = Callable[[], AbstractContextManager[None]]


@pytest.fixture(autouse=True)
def _measured_here(measuring_here: Measuring) -> Iterator[None]:
    """The commands measure in this process."""
    with measuring_here():
        yield


@contextmanager
def undrawn() -> Iterator[None]:
    """The figures of a page are empty files: the finished run has a page with all of its own."""

    def files(self: Picture, *kinds: str) -> dict[str, bytes]:
        return dict.fromkeys(kinds, b"")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Picture, "files", files)
        yield


@pytest.fixture(scope="session")
def finished(
    tmp_path_factory: pytest.TempPathFactory, asked: list[str], measuring_here: Measuring
) -> Path:
    """A run after all its steps; not to be changed."""

    def make(folder: Path) -> None:
        with measuring_here():
            assert main(["train", str(folder), *asked]) == 0
            for step in ("profile", "search", "report"):
                assert main([step, str(folder)]) == 0
            assert main(["query", str(folder), "--params", "1M"]) == 0

    return made_once(tmp_path_factory, "colours", make)


@pytest.fixture
def run_copy(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run that a test may damage."""
    return shutil.copytree(finished, tmp_path / "run")
