"""Files of an exported folder that are torn, replaced, swapped or of another kind."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from paretobert import storage
from paretobert.deploy import artefact
from paretobert.errors import InputError


def first_byte_changed(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])


def replaced_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replaced_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def linked_to_nothing(path: Path) -> None:
    path.unlink()
    path.symlink_to("gone")


def linked_to_outside(path: Path) -> None:
    elsewhere = path.parent.with_name("elsewhere")
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


DAMAGES = [
    (lambda path: path.write_bytes(path.read_bytes()[:-1]), "bytes, but .* Copy the folder again"),
    (lambda path: path.write_bytes(path.read_bytes() + b"\0"), "bytes, but .* were exported"),
    (lambda path: path.write_bytes(b""), "has 0 bytes, but"),
    (first_byte_changed, "is not the file that was exported: its contents changed. Copy"),
    (Path.unlink, "lacks "),
    (replaced_by_folder, "is a folder, where a file is expected"),
    (replaced_by_pipe, "is a pipe or device, where a file is expected"),
    (linked_to_nothing, "does not exist"),
    (linked_to_outside, "lacks "),
]


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    """A folder as `artefact` and `export` leave it, whose files hold anything."""
    folder = tmp_path / "net"
    folder.mkdir()
    for name in ("model.onnx", "other.bin", "tokenizer.json"):
        (folder / name).write_bytes(f"all of {name[:3]}".encode())
    record = {
        "runtime": "onnxruntime",
        "precision": "fp32",
        "vocab_size": 5,
        "max_tokens": 8,
        "input_names": ["input_ids"],
        "files": artefact.seals(folder, ["model.onnx", "other.bin"]),
        "beside": artefact.seals(folder, ["tokenizer.json"]),
    }
    storage.write_json(folder / artefact.RECORD, record)
    return folder


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
@pytest.mark.parametrize(("damage", "sentence"), DAMAGES)
def test_a_file_that_is_not_the_one_that_was_exported(
    name: str, damage: Callable[[Path], object], sentence: str, sealed: Path
) -> None:
    assert artefact.read_sealed(sealed)["max_tokens"] == 8
    damage(sealed / name)
    with pytest.raises(InputError, match=sentence) as refused:
        artefact.read_sealed(sealed)
    assert name in str(refused.value)


def test_files_that_changed_places(sealed: Path) -> None:
    one, other = sealed / "model.onnx", sealed / "other.bin"
    one.write_bytes(other.read_bytes())
    with pytest.raises(InputError, match="model.onnx is not the file that was exported"):
        artefact.fingerprint(sealed)


def test_a_pipe_in_the_place_of_the_record(sealed: Path) -> None:
    replaced_by_pipe(sealed / artefact.RECORD)
    with pytest.raises(InputError, match=r"deployment.json is a pipe or device"):
        artefact.read_sealed(sealed)


def test_what_its_reader_adds_is_no_damage(sealed: Path) -> None:
    (sealed / "LICENSE").write_text("yours")
    artefact.read_sealed(sealed)
