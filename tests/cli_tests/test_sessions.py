"""Each command's first example runs, and prints what it is said to print, in 80 columns."""

import re
import shlex
import shutil
from importlib import import_module
from pathlib import Path

import pytest
import typer
from rich.cells import cell_len

from paretobert.cli.app import COMMANDS, app_of, main

from .conftest import Measuring, undrawn

COSTS = r"#\s+network\s+latency\s+ratio\s+params\s+FLOPs\s+memory\s+disk(\s+per s)?$"
SCORED = r"network\s+(called\s+)?accuracy\s+latency\s+params"

SHAPES = {
    "run": [r"The front on search: \d+ of \d networks$", rf"#\s+{SCORED}"],
    "train": [],
    "profile": ["batch 1 x 8 tokens, cpu", COSTS, r"1\s+L0.1.2.3-H4-F64\s+\d\S+ ms~?\s+1\.000"],
    "search": [r"The front on search: \d+ of \d networks$", rf"#\s+{SCORED}"],
    "add": [r"mine \(\w+\)$", r"accuracy, search\s+0\.\d{4} \[", r"accuracy, report", "latency"],
    "finish": [r".*, accuracy 0\.\d{4}"],
    "halve": [
        r"region\s+cheap\s+dear\s+networks\s+Kendall tau$",
        r"all\s+inherited\s+2 steps\s+\d",
        r"The front of the last rung: \d of \d networks, of \d at first$",
        r"network\s+inherited\s+2 steps$",
    ],
    "report": [],
    "query": [
        r"L\S+: accuracy 0\.\d{3} \[0\.\d{3}, \d\.\d{3}\], \d\S* ms",
        r"Scores best of the \d networks \(of \d\) that meet latency <= 5 s and params",
        r"#\s+network\s+accuracy\s+latency\s+speed\s+params",
        r"\d+\s+answer\s+L",
        "Caveat: ",
        r"paretobert export runs/docs --network L\S+ --to small$",
    ],
    "compare": [
        r"accuracy on report, A minus B: [+-]0\.\d{4} \[",
        r"A takes \d\.\d{3} \[.*\] of B's time",
        r"\d+ of 45 answers change",
        rf"#\s+{SCORED}",
        r"A\s+1\s+L0.1.2.3-H4-F64",
        r"B\s+4\s+L1.3-H2-F32",
        r"recognised of\s+n\s+A\s+B$",
    ],
    "show": [rf"#\s+{SCORED}", r"1\s+L0.1.2.3-H4-F64\s+"],
    "export": [],
    "predict": [r"(cold|warm|plain)\t0\.\d{4}$"],
    "measure": ["batch 1 x 8 tokens", r"network\s+deployment\s+latency\s+ratio\s+memory"],
}
"""What stands at the beginning of lines of standard output, in order."""

ELSEWHERE = ("ose",)
"""Commands whose sessions have a file of tests of their own."""

NEXT = {
    "run": "paretobert query",
    "train": "paretobert profile",
    "profile": "paretobert search",
    "search": "paretobert query",
    "add": "paretobert report",
    "finish": "paretobert report",
    "halve": "paretobert report",
    "export": "paretobert predict",
    "measure": "paretobert profile",
}
"""The command that each one ends with on standard error."""

BRIEF = {"finish": ["--steps", "2"], "halve": ["--rungs", "2"]}
"""Options that make an example quick."""

HERE = {
    "query": {"5ms": "5s"},
    "compare": {"L1.3.5-H6-F768": "L1.3-H2-F32"},
    "predict": {"small": "small-onnx"},
}
"""What the examples name, as it is called here."""


def examples(name: str) -> list[list[str]]:
    text = import_module(f"paretobert.cli.{name}").EPILOG
    return [shlex.split(line, comments=True)[1:] for line in re.findall(r"^\$ (.+)$", text, re.M)]


@pytest.fixture(scope="module")
def place(
    finished: Path,
    tmp_path_factory: pytest.TempPathFactory,
    measuring_here: Measuring,
) -> Path:
    """Where the examples' folders lie."""
    root = tmp_path_factory.mktemp("sessions")
    run = shutil.copytree(finished, root / "runs" / "docs")
    shutil.copytree(run / "teacher", root / "checkpoints" / "mine")
    with measuring_here():
        for network, folder in (("full", "full-onnx"), ("L1.3-H2-F32", "small-onnx")):
            words = ["export", str(run), "--network", network, "--to", str(root / folder)]
            assert main(words) == 0
    return root


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ELSEWHERE])
def test_an_example_prints_what_is_promised(
    name: str,
    place: Path,
    asked: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setenv("COLUMNS", "80")
    words = [HERE.get(name, {}).get(word, word) for word in examples(name)[0]]
    if "minilm" in words:
        words = [*words[: words.index("--model")], *asked]
    capsys.readouterr()
    with undrawn():
        assert main([*words, *BRIEF.get(name, [])]) == 0
    printed = capsys.readouterr()
    lines = iter(printed.out.splitlines())
    for shape in SHAPES[name]:
        assert any(re.match(shape, line.strip()) for line in lines), f"{shape}\n{printed.out}"
    told = [line for line in printed.err.splitlines() if line.startswith("next:")]
    assert [re.sub(r"^next: +", "", line).startswith(NEXT[name]) for line in told] == [True] * (
        name in NEXT
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_every_example_names_what_exists_in_a_line(name: str) -> None:
    group = typer.main.get_command(app_of(COMMANDS))
    for words in examples(name):
        command = group.commands[words[0]]
        known = {option for entry in command.params for option in entry.opts}
        assert {word for word in words if word.startswith("--")} <= known
    for line in import_module(f"paretobert.cli.{name}").EPILOG.splitlines():
        assert cell_len(line) <= 77


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_no_word_of_python(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "-h"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert not re.search(r"\bNone\b|default: \(|\bTrue\b|\bFalse\b", shown)
    assert f"$ paretobert {name} " in shown
