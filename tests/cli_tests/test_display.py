"""What a command says: soon, in its log, and of itself."""

import re
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import pytest

from paretobert import Run, __version__
from paretobert.cli import display
from paretobert.cli.app import main
from paretobert.errors import InputError
from paretobert.pipeline import following
from paretobert.pipeline.context import Context


def test_a_silent_command_says_that_it_has_begun(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = threading.Event()
    monkeypatch.setattr(display, "SILENT_S", 0.01)
    say = display.say
    monkeypatch.setattr(display, "say", lambda message: (say(message), begun.set()))
    with display.speaking(["profile", "runs/[docs]", "--anew"]):
        assert begun.wait(10)
    assert capsys.readouterr().err == "profile runs/[docs] ...\n"


def test_a_command_that_speaks_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with display.speaking(["show", "runs/docs"]):
        display.show("a result")
        display._say_begun()
    assert capsys.readouterr().err == ""


def test_a_slow_version_or_help_is_no_step_that_begins(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with display.speaking(["--version"]):
        display._say_begun()
    assert capsys.readouterr().err == ""


def test_what_is_said_is_kept_in_the_runs_log(run_copy: Path) -> None:
    assert main(["search", str(run_copy)]) == 0
    assert main(["query", str(run_copy), "--params", "few"]) == 2
    lines = (run_copy / display.LOG_NAME).read_text().splitlines()
    said = [re.sub(r"^[\d\-]+ [\d:,]+ (INFO|WARNING) ", "", line) for line in lines]
    place = said.index(f"$ paretobert search {run_copy}")
    assert any(line.startswith("search: 4 networks scored") for line in said[place:])
    assert any(line.startswith("error: ") and "few" in line for line in said[place:])


def test_a_folder_that_is_no_run_gets_no_log(tmp_path: Path) -> None:
    assert main(["query", str(tmp_path), "--params", "1M"]) == 2
    assert not list(tmp_path.iterdir())


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"paretobert {__version__}\n"


@pytest.mark.parametrize(
    ("done", "total", "seconds", "left"),
    [(1, 4, 10.0, "about 30 s left"), (4, 4, 10.0, ""), (0, 4, 10.0, ""), (2, 4, 0.5, "")],
)
def test_the_time_that_is_left(done: int, total: int, seconds: float, left: str) -> None:
    assert display._left(5.0, 0, done=done, total=total, now_s=5.0 + seconds) == left


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[Iterable[float]], Iterator[float]]:
    """Gives moments, and lets it be that moment for as long."""

    def moments(given: Iterable[float]) -> Iterator[float]:
        for now_s in given:
            monkeypatch.setattr(display.time, "monotonic", partial(float, now_s))
            yield now_s

    return moments


def test_what_counts_anew_is_estimated_anew(
    clock: Callable[[Iterable[float]], Iterator[float]], capsys: pytest.CaptureFixture[str]
) -> None:
    done = {0.0: 1, 20.0: 3, 40.0: 5, 100.0: 1, 120.0: 3}
    with display.meter() as progress:
        for now_s in clock(done):
            progress.scoring("50 steps", done[now_s], 5)
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("50 steps:")]
    assert said == [
        "50 steps: 60%, 3 of 5 networks, about 20 s left",
        "50 steps: 100%, 5 of 5 networks",
        "50 steps: 20%, 1 of 5 networks",
        "50 steps: 60%, 3 of 5 networks, about 20 s left",
    ]


def test_every_stage_has_lines_of_its_own(
    clock: Callable[[Iterable[float]], Iterator[float]], capsys: pytest.CaptureFixture[str]
) -> None:
    with display.meter() as progress:
        for now_s in clock((0.0, 16.0, 32.0)):
            progress.deploying(int(now_s), 40)
            progress.weighing(int(now_s), 40)
    said = [line.split(":")[0] for line in capsys.readouterr().err.splitlines() if "of 40" in line]
    assert said[:4] == ["deploy", "weigh", "deploy", "weigh"]


def test_every_shell_can_complete(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_PARETOBERT_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "paretobert qu")
    monkeypatch.setenv("COMP_CWORD", "1")
    main([])
    assert capsys.readouterr().out.split() == ["query"]


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ("query", ["--params", "1M"]),
        ("export", ["--params", "1M", "--to", "small"]),
        ("halve", []),
        ("finish", []),
        ("compare", ["full", "full"]),
    ],
)
def test_what_repairs_collect_is_shown_by_whichever_command_needs_them(
    step: str,
    words: list[str],
    finished: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def collect(run: Run, *args: object, **names: object) -> None:
        run.context.collecting(300, 512)
        raise InputError("stopped")

    monkeypatch.setattr(Run, step, collect)
    assert main([step, str(finished), *words]) == 2
    shown = " ".join(capsys.readouterr().err.split())
    assert "collect" in shown
    assert "300 of 512 texts" in shown


@pytest.mark.parametrize(
    ("step", "call"),
    [
        ("export", lambda run: run.export(to="small", network="full")),
        ("halve", lambda run: run.halve([])),
    ],
)
def test_what_repairs_collect_is_shown_without_a_command(
    step: str, call: Callable[[Run], object], finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []

    def collect(context: Context, *args: object, **names: object) -> None:
        context.collecting(300, 512)

    monkeypatch.setattr(following, "_terminal", lambda: (shown.append, lambda: None))
    monkeypatch.setattr(f"paretobert.pipeline.steps.{step}.{step}", collect)
    call(Run.open(finished))
    assert shown == ["collect: 300 of 512 texts"] * 2
