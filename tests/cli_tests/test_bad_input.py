"""Bad input: one sentence, exit status 2, nothing half-written."""

import errno
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from paretobert.cli.app import main
from paretobert.cli.display import LOG_NAME
from paretobert.dynabert import training


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that must fail with status 2 and returns its one sentence."""

    def run(*words: object) -> str:
        capsys.readouterr()
        assert main([str(word) for word in words]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert "Traceback" not in printed.err
        _, error, sentence = printed.err.partition("error: ")
        assert error
        return " ".join(sentence.split())

    return run


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != LOG_NAME
    }


def changed(asked: list[str], option: str, value: str) -> list[str]:
    place = asked.index(option) + 1
    return [*asked[:place], value, *asked[place + 1 :]]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["search", "x", "--engine", "grit"],
            "Invalid value for '--engine': 'grit' is not one of 'grid', 'random', ",
        ),
        (
            ["search", "x", "--trails", "3"],
            "No such option: --trails (Possible options: --tria",
        ),
        (["search", "x", "--trials"], "Option '--trials' requires an argument."),
        (["query"], "Missing argument 'folder'."),
        (["serch"], "No such command 'serch'."),
    ],
)
def test_a_mistyped_command_is_refused_in_one_sentence(
    words: list[str], sentence: str, refused: Callable[..., str]
) -> None:
    said = refused(*words)
    assert said.startswith(sentence)
    assert re.search(r"\. See `paretobert( search| query)? --help`\.$", said)


def test_no_words_print_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "query" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--model", "./nowhere", "does not exist"),
        ("--model", "{tmp}", "is not a checkpoint"),
        ("--task", "fiels", "did you mean 'files'"),
        ("--data", "{tmp}/none.csv", "none.csv"),
        ("--widths", "1,x", "'1,x'"),
        ("--widths", "0.5", "lack 1"),
        ("--seq-len", "0", "at least 1"),
    ],
)
def test_a_refused_run_writes_nothing(
    option: str, value: str, sentence: str, asked: list[str], tmp_path: Path, refused: Callable
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    words = changed(asked, option, value.format(tmp=empty))
    assert sentence in refused("run", tmp_path / "run", *words)
    assert list(tmp_path.iterdir()) == [empty]


@pytest.mark.parametrize(
    ("rows", "options", "sentence"),
    [
        ("hot,x\n" * 20, (), "needs two classes"),
        ("hot,x\ncold,y\n" * 10 + ",y\n", (), "empty"),
        ("hot,x\ncold,y\n" * 10, ("--label-column", "lable"), "'lable'"),
        ("hot,1.5\ncold,nan\n" * 10, ("--kind", "regression"), "nan"),
    ],
)
def test_refused_data(
    rows: str,
    options: tuple[str, ...],
    sentence: str,
    asked: list[str],
    tmp_path: Path,
    refused: Callable,
) -> None:
    data = tmp_path / "data.csv"
    data.write_text(f"text,label\n{rows}")
    words = [*changed(asked, "--data", str(data)), *options]
    assert sentence in refused("run", tmp_path / "run", *words)
    assert list(tmp_path.iterdir()) == [data]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("none.txt", None, "none.txt does not exist"),
        ("texts.docx", b"a", "is none of the formats that are read, which are .txt, .csv"),
        ("texts.csv", b"body\nhello\n", "no text column of a usual name"),
        ("texts.txt", "caf\u00e9\n".encode("latin-1"), "is not UTF-8"),
        ("texts.txt", b"the old coat is red\n", "in the training data already|50% may be"),
    ],
)
def test_refused_transfer_texts(
    name: str,
    content: bytes | None,
    sentence: str,
    asked: list[str],
    tmp_path: Path,
    refused: Callable,
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    for command in ("run", "train"):
        answer = refused(command, tmp_path / "run", *asked, "--unlabelled", path)
        assert any(words in answer for words in sentence.split("|"))
        assert answer.isprintable()
    assert not (tmp_path / "run").exists()


def test_transfer_texts_that_are_no_file(
    asked: list[str], tmp_path: Path, refused: Callable
) -> None:
    pipe = tmp_path / "pipe.txt"
    os.mkfifo(pipe)
    folder = tmp_path / "folder.txt"
    folder.mkdir()
    for path, kind in ((pipe, "is a pipe or device"), (folder, "is a folder")):
        assert kind in refused("run", tmp_path / "run", *asked, "--unlabelled", path)
    assert "\\x1b" in refused("run", tmp_path / "run", *asked, "--unlabelled", "\x1b[2J.txt")
    assert not (tmp_path / "run").exists()


def test_transfer_texts_for_pairs(asked: list[str], tmp_path: Path, refused: Callable) -> None:
    data = tmp_path / "pairs.csv"
    rows = [f"one {i},two {i},{'yn'[i % 2]}" for i in range(40)]
    data.write_text("\n".join(["sentence1,sentence2,label", *rows]) + "\n")
    words = changed(asked, "--data", str(data))
    lines = tmp_path / "texts.txt"
    lines.write_text("hello\n")
    column = tmp_path / "texts.tsv"
    column.write_text("sentence1\nhello\n")
    run = tmp_path / "run"
    assert "one text a line, but pairs has pairs" in refused(
        "run", run, *words, "--unlabelled", lines
    )
    assert "no pair of text columns" in refused("run", run, *words, "--unlabelled", column)


def test_held_out_transfer_texts_are_warned_of(
    asked: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = Path(asked[asked.index("--data") + 1])
    known = [row.split(",")[0] for row in data.read_text().splitlines()[1:]]
    new = [f"new text {i}" for i in range(len(known))]
    path = tmp_path / "texts.txt"
    path.write_text("\n".join([*known, *new]) + "\n")
    monkeypatch.setattr(training, "train_supernet", lambda **options: None)
    words = ["train", str(tmp_path / "run"), *asked, "--unlabelled", str(path)]
    assert main(words) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "90 of 900 texts left out that networks are judged on (45 in search, 45 in" in said


def test_a_folder_of_another_run(run_copy: Path, asked: list[str], refused: Callable) -> None:
    before = snapshot(run_copy)
    sentence = refused("run", run_copy, *changed(asked, "--learning-rate", "0.5"))
    assert "training.learning_rate is 0.003 there, 0.5 here" in sentence
    assert snapshot(run_copy) == before


def test_a_folder_of_other_files(asked: list[str], tmp_path: Path, refused: Callable) -> None:
    (tmp_path / "letters.txt").write_text("dear")
    assert "is not a run folder" in refused("run", tmp_path, *asked)
    assert [file.name for file in tmp_path.iterdir()] == ["letters.txt"]


def test_data_that_changed_since(
    run_copy: Path, asked: list[str], tmp_path: Path, refused: Callable
) -> None:
    shared = asked[asked.index("--data") + 1]
    data = Path(shutil.copy(shared, tmp_path))
    asked = changed(asked, "--data", str(data))
    record = run_copy / "run.json"
    record.write_text(record.read_text().replace(shared, str(data)))
    assert main(["train", str(run_copy), *asked]) == 0
    data.write_text(data.read_text().replace("the bright coat is red", "the shiny coat is red"))
    assert "task.fingerprint is" in refused("run", run_copy, *asked)


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--seed", "-1", "from 0 to 4,294,967,295, not -1"),
        ("--seed", "4294967296", "from 0 to 4,294,967,295"),
        ("--seed", "9" * 400, "from 0 to 4,294,967,295"),
        ("--max-length", "2", "from 3 to 1,000,000, not 2"),
        ("--threads", "4096", "threads must be at most 1,024"),
        ("--seq-len", "10000000", "seq_len must be at most 1,000,000"),
        ("--measure-s", "inf", "must be a positive number"),
        ("--measure-s", "1e9", "time_budget_s must be at most 2,592,000"),
        ("--min-processes", "13", "min_processes must be at most 12"),
        ("--rounds", "1001", "rounds must be at most 1,000"),
        ("--batch-size", "65537", "batch_size must be at most 65,536"),
        ("--trials", "0", "trials must be a whole number from 1 to 100,000, not 0"),
        ("--trials", "1000001", "trials must be a whole number from 1 to 100,000"),
        ("--depth-epochs", "1000000", "and at most 10,000,000 are taken"),
        ("--training-batch-size", "1000000", "batch_size must be at most 65,536"),
        ("--learning-rate", "nan", "learning_rate must be positive"),
        ("--weight-decay", "inf", "weight_decay must be at least 0"),
        ("--clip-norm", "inf", "clip_norm must be positive"),
        ("--warmup-share", "nan", "warmup_share must be in"),
        ("--width-epochs", "10000000", "width_epochs must be at most"),
        ("--widths", "1,0.5,0.5", "not all different"),
        ("--widths", "1,nan", "must be multipliers"),
        ("--widths", "1" + ",0.5" * 10_000, "too many to train for"),
        ("--depths", "1,1e-9", "next to nothing"),
        ("--task", "\x1b[2J", "There is no task"),
        ("--device", "cuda:x", "is not cpu, cuda or cuda:<index>"),
    ],
)
def test_refused_options(
    option: str, value: str, sentence: str, asked: list[str], tmp_path: Path, refused: Callable
) -> None:
    words = changed(asked, option, value) if option in asked else [*asked, option, value]
    answer = refused("run", tmp_path / "run", *words)
    assert sentence in answer
    assert answer.isprintable()
    assert not list(tmp_path.iterdir())


def test_more_threads_than_cores(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Callable
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    sentence = "threads would take turns on the 2 cores of this machine"
    for words in (
        ("profile", finished, "--threads", "1,3"),
        ("profile", finished, "--threads", "3", "--self-test"),
        ("profile", finished, "--threads", "3", "--build-predictor"),
        ("predict", tmp_path, "some text", "--threads", "9" * 400),
    ):
        answer = refused(*words)
        assert sentence in answer
        assert len(answer) < 250


def test_longer_than_the_model_reads(finished: Path, refused: Callable) -> None:
    for step in ("--self-test", "--build-predictor", "--anew"):
        answer = refused("profile", finished, "--seq-len", "65", step)
        assert "the model reads at most 64; give --seq-len 64 or less" in answer


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("powerbert", ("--search-epochs", "1000000")),
        ("powerbert", ("--retrain-epochs", "1000000")),
        ("first-layers", ("--epochs", "1000000")),
    ],
)
def test_a_method_without_end(
    method: str, options: tuple[str, ...], run_copy: Path, refused: Callable
) -> None:
    before = snapshot(run_copy / "networks")
    answer = refused("add", run_copy, "--method", method, *options)
    assert "at most 10,000,000 are taken: give fewer epochs" in answer
    assert snapshot(run_copy / "networks") == before


@pytest.mark.parametrize(
    "command", ["train", "profile", "search", "report", "query", "show", "add"]
)
def test_no_run_folder(command: str, tmp_path: Path, refused: Callable) -> None:
    words = ["--method", "powerbert"] if command == "add" else []
    assert "is not a run folder" in refused(command, tmp_path, *words)


def test_a_step_before_its_turn(finished: Path, tmp_path: Path, refused: Callable) -> None:
    (tmp_path / "run.json").write_bytes((finished / "run.json").read_bytes())
    assert "is not trained yet" in refused("profile", tmp_path)
    assert "is not trained yet" in refused("search", tmp_path)
    assert "is not profiled yet" in refused("query", tmp_path)
    (tmp_path / "supernet").mkdir()
    assert "is not profiled yet" in refused("search", tmp_path)
    assert {f.name for f in tmp_path.iterdir() if f.is_file()} == {"run.json", LOG_NAME}


def test_options_of_a_started_run(finished: Path, refused: Callable) -> None:
    assert "give both --model and --task" in refused("train", finished, "--recipe", "sandwich")


def test_a_power_network_is_asked_for_in_one_way(finished: Path, refused: Callable) -> None:
    power = ("add", finished, "--method", "powerbert")
    both = refused(*power, "--lambda", "1e-3", "--target-speedup", "3x")
    assert "Give one of a target speed-up, a share of tokens to keep and a lambda" in both
    assert "lambda must be positive, not 0" in refused(*power, "--lambda", "0")


@pytest.mark.parametrize(
    ("file", "command"),
    [
        ("run.json", "query"),
        ("ledger.db", "query"),
        ("ledger.db", "show"),
        ("ledger.db", "report"),
        ("study.journal", "search"),
    ],
)
def test_damaged_files(file: str, command: str, run_copy: Path, refused: Callable) -> None:
    (run_copy / file).write_text('{"damaged"\n{"damaged"\n')
    assert Path(file).name in refused(command, run_copy)


def test_an_unreadable_budget(finished: Path, refused: Callable) -> None:
    assert "'5 parsecs' is not a budget" in refused("query", finished, "--latency", "5 parsecs")


def test_a_device_without_latencies(finished: Path, refused: Callable) -> None:
    assert "no latencies of eager fp32 on cuda" in refused("query", finished, "--device", "cuda")


def test_refused_exports(finished: Path, tmp_path: Path, refused: Callable) -> None:
    target = tmp_path / "small"
    unknown = refused("export", finished, "--to", target, "--network", "L0-H1-F1")
    assert "There is no network called 'L0-H1-F1'" in unknown
    assert "either the name of a network (--network) or a budget" in refused(
        "export", finished, "--to", target
    )
    assert "not an empty folder" in refused("export", finished, "--to", finished, "--params", "1M")
    assert not target.exists()


def test_a_full_disk(
    asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Callable
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert "No space left" in refused("run", tmp_path / "run", *asked)
    assert not list(tmp_path.rglob("*.json"))


def test_control_c(
    asked: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupt(**_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train_supernet", interrupt)
    assert main(["run", str(tmp_path / "run"), *asked]) == 2
    assert "To resume, run the same command again." in capsys.readouterr().err
