"""A run folder belongs to one request."""

from pathlib import Path

import pytest

from paretobert.errors import InputError
from paretobert.pipeline.folder import RunFolder, claim, read_manifest
from paretobert.storage import read_json, write_json

REQUEST = {"model": "minilm", "training": {"seed": 0, "widths": [1.0, 0.5]}}
TASK = {"name": "stdlib-docs", "sizes": {"train": 10}}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    claim(folder, REQUEST, task=TASK)
    return folder


def test_the_manifest_holds_request_task_and_versions(folder: RunFolder) -> None:
    manifest = read_manifest(folder)
    assert (manifest["request"], manifest["task"]) == (REQUEST, TASK)
    assert {"python", "torch", "paretobert"} <= manifest["versions"].keys()


def test_the_same_request_changes_nothing(folder: RunFolder) -> None:
    before = folder.manifest.read_bytes()
    claim(folder, REQUEST, task=TASK)
    assert folder.manifest.read_bytes() == before


def test_another_request_is_refused_by_what_differs(folder: RunFolder) -> None:
    other = {"model": "minilm", "training": {"seed": 1, "widths": [1.0]}}
    sentence = r"training.seed is 0 there, 1 here; training.widths is \[1.0, 0.5\] there, \[1.0\]"
    with pytest.raises(InputError, match=sentence):
        claim(folder, other, task=TASK)


def test_many_differences_are_counted(folder: RunFolder) -> None:
    with pytest.raises(InputError, match="and 1 more"):
        claim(folder, {name: 0 for name in "abc"} | {"training": REQUEST["training"]}, task=TASK)
    assert read_json(folder.manifest)["request"] == REQUEST


def test_other_data_is_refused(folder: RunFolder) -> None:
    with pytest.raises(InputError, match=r"task.sizes.train is 10 there, 11 here"):
        claim(folder, REQUEST, task={"name": "stdlib-docs", "sizes": {"train": 11}})


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").touch()
    with pytest.raises(InputError, match="is not a run folder"):
        claim(RunFolder(tmp_path), REQUEST, task=TASK)
    assert not RunFolder(tmp_path).manifest.exists()


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    claim(RunFolder(tmp_path), REQUEST, task=TASK)
    assert RunFolder(tmp_path).manifest.exists()


def test_no_run_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no run\.json"):
        read_manifest(RunFolder(tmp_path))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ([], "does not describe a run"),
        ({"schema": 99, "request": {}}, "has schema 99"),
        ({"schema": 1, "request": {}}, r"written by paretobert 0\.1, whose run folders this"),
    ],
)
def test_a_foreign_manifest(folder: RunFolder, content: object, sentence: str) -> None:
    write_json(folder.manifest, content)
    with pytest.raises(InputError, match=sentence):
        read_manifest(folder)
