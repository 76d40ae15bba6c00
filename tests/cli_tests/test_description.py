"""A run described by a TOML file."""

import json
from pathlib import Path

import pytest

from paretobert.cli.app import app_of, main
from paretobert.cli.description import with_description
from paretobert.errors import InputError


def words_of(path: Path, *words: str) -> list[str]:
    return with_description(["run", str(path), *words], app_of(["run"]))


def test_keys_are_options_and_tables_are_headings(tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").touch()
    described = tmp_path / "docs.toml"
    described.write_text(
        """
        model = "minilm"
        task = "files"
        data = "reviews.csv"
        unlabelled = ["more.txt", "reviews.csv"]

        [training]
        widths = [1, 0.5]
        teacher_epochs = 2
        plan = true
        """
    )
    assert words_of(described, "--seed", "3") == [
        "run",
        str(tmp_path / "docs"),
        *("--model", "minilm", "--task", "files", "--data", str(tmp_path / "reviews.csv")),
        *("--unlabelled", "more.txt", "--unlabelled", str(tmp_path / "reviews.csv")),
        *("--widths", "1,0.5", "--teacher-epochs", "2", "--plan"),
        *("--seed", "3"),
    ]
    described.write_text('folder = "there"\n')
    assert words_of(described) == ["run", str(tmp_path / "there")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("widhts = [1]", "docs.toml: 'widhts' is no option of run; did you mean widths"),
        ("zzz = 1", "no option of run: see `paretobert run -h`"),
        ("model = ", "docs.toml is not valid TOML"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "docs.toml").write_text(text)
    with pytest.raises(InputError, match=message):
        words_of(tmp_path / "docs.toml")
    with pytest.raises(InputError, match="does not exist"):
        words_of(tmp_path / "other.toml")


def test_other_commands_take_no_description() -> None:
    words = ["query", "docs.toml", "--params", "1M"]
    assert with_description(words, app_of(["query"])) == words


def test_a_described_run_is_the_run_of_its_options(
    run_copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = json.loads((run_copy / "run.json").read_text())["request"]
    described = tmp_path / "docs.toml"
    lines = [
        f'folder = "{run_copy}"',
        f'model = "{asked["model"]}"',
        'task = "files"',
        f'data = "{asked["task"]["data"]}"',
        "widths = [1, 0.5]",
        "depths = [1, 0.5]",
        *("teacher_epochs = 2", "width_epochs = 1", "depth_epochs = 1"),
        *("learning_rate = 3e-3", "seq_len = 8", "measure_s = 0.1", "max_length = 32"),
        'training_precision = "fp32"',
    ]
    described.write_text("\n".join(lines))
    assert main(["train", str(described)]) == 0
    assert "is trained already" in capsys.readouterr().err
    assert main(["train", str(described), "--seq-len", "9"]) == 2
    assert "seq_len" in capsys.readouterr().err
