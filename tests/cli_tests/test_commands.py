"""The commands from a checkpoint to an exported sub-network."""

import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoModelForSequenceClassification

from paretobert import Run
from paretobert.cli.app import main
from paretobert.cli.display import LOG_NAME
from paretobert.deploy.deployment import EAGER_FP32, Deployment
from paretobert.errors import InputError

from .conftest import Measuring, undrawn


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != LOG_NAME
    }


def answer(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, dict]:
    capsys.readouterr()
    status = main(["query", *map(str, words), "--json"])
    return status, json.loads(capsys.readouterr().out)


def test_the_steps_fill_the_run_folder(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    assert names >= {
        *("run.json", "teacher", "supernet", "ledger.db", "study.journal", "report"),
    }
    assert (finished / "report" / "index.html").is_file()


def test_run_finds_every_step_done(
    run_copy: Path, asked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = snapshot(run_copy)
    with undrawn():
        assert main(["run", str(run_copy), *asked]) == 0
    printed = capsys.readouterr()
    assert "is trained already" in printed.err
    assert "is measured already" in printed.err
    assert str(run_copy / "report" / "index.html") in printed.err
    assert "The front on search" in printed.out
    kept = ("run.json", "supernet/model.safetensors", "ledger.db")
    after = snapshot(run_copy)
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}


def test_a_run_goes_on_by_its_folder_alone(
    run_copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with undrawn():
        assert main(["run", str(run_copy)]) == 0
    assert "The front on search" in capsys.readouterr().out
    assert main(["run", str(run_copy), "--seq-len", "9"]) == 2
    assert "give both --model and --task" in capsys.readouterr().err


def test_training_on_transfer_texts(
    asked: list[str], colours_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header, *rows = colours_csv.read_text().splitlines()
    few = tmp_path / "few.csv"
    few.write_text("\n".join([header, *rows[::2]]) + "\n")
    asked = [str(few) if word == str(colours_csv) else word for word in asked]
    texts = tmp_path / "production.txt"
    texts.write_text("a bright coat was yellow\n\nthe a boat was old\n")
    folder = tmp_path / "run"
    words = ["--unlabelled", str(texts), "--augment", "3", "--search-size", "80"]
    assert main(["train", str(folder), *asked, *words]) == 0
    assert "1 rows with an empty text left out" in " ".join(capsys.readouterr().err.split())
    request = json.loads((folder / "run.json").read_text())["request"]
    assert request["training"]["augment"] == 3
    assert request["unlabelled"][str(texts)]["kept"] == 2
    log = [json.loads(line) for line in (folder / "training.jsonl").read_text().splitlines()]
    examples = {stage["stage"]: stage["examples"] for stage in log}
    assert list(examples) == ["teacher", "augment", "width", "depth"]
    num_train = examples["teacher"] // 2
    assert 2 * num_train < examples["augment"] < 3 * num_train
    assert examples["width"] == examples["depth"] == num_train + 2 + examples["augment"]
    assert log[1]["held_out"] > 0
    assert main(["train", str(folder), *asked, *words]) == 0
    assert main(["train", str(folder), *asked, *words[2:]]) == 2
    assert "production.txt" in " ".join(capsys.readouterr().err.split())


def test_profile_prints_the_table(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", str(finished)]) == 0
    printed = capsys.readouterr().out
    assert "batch 1 x 8 tokens, cpu, 1 thread" in printed
    assert printed.count("L0.1.2.3-") == 2


def test_profile_and_search_as_json(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["profile", str(finished), "--json"]) == 0
    (table,) = json.loads(capsys.readouterr().out)["tables"]
    assert table["protocol"]["seq_len"] == 8
    assert len(table["profiles"]) == 4
    for entry in table["profiles"]:
        assert entry["size_bytes"] > 0
        assert entry["peak_memory_bytes"] > 10**7
        assert entry["throughput_per_s"] == pytest.approx(
            1000 / (entry["latency"]["ratio"]["value"] * entry["latency"]["full_ms"]["value"])
        )
    assert main(["search", str(finished), "--json"]) == 0
    front = json.loads(capsys.readouterr().out)["front"]
    assert set(front[0]) >= {
        "network",
        "key",
        "params",
        "flops",
        "latency_ms",
        "speedup",
        "search",
    }


@pytest.fixture(scope="module")
def deployed(
    finished: Path,
    tmp_path_factory: pytest.TempPathFactory,
    measuring_here: Measuring,
) -> Path:
    """A run that was measured in bf16 too; not to be changed."""
    folder = shutil.copytree(finished, tmp_path_factory.mktemp("deployed") / "run")
    with measuring_here():
        assert main(["profile", str(folder), "--precision", "bf16", "--measure-s", "0.1"]) == 0
    return folder


def test_a_precision_has_scores_of_its_own(
    deployed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(deployed, tmp_path / "run")
    assert main(["profile", str(run), "--precision", "bf16"]) == 0
    printed = capsys.readouterr().out
    assert "eager bf16" in printed
    assert "score lost" in printed
    context = Run.open(run).context
    for deployment in (EAGER_FP32, Deployment("eager", "bf16")):
        assert len(context.ledger.evaluations(split="search", deployment=deployment)) == 4
    status, found = answer(capsys, run, "--params", "1M", "--precision", "bf16")
    assert status == 0
    assert found["answer"]["report"]["n"] > 0


def test_the_self_test_reports_the_noise_floor(
    run_copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["profile", str(run_copy), "--self-test", "--measure-s", "0.5", "--json"])
    (found,) = json.loads(capsys.readouterr().out)["self_tests"]
    assert status == (0 if found["passed"] else 1)
    assert found["noise_floor"] >= 0
    assert [step["layers"] for step in found["steps"]] == [2, 3, 4]


@pytest.fixture(scope="module")
def added(
    finished: Path,
    tmp_path_factory: pytest.TempPathFactory,
    measuring_here: Measuring,
) -> Path:
    """A run with a network of each method; not to be changed."""
    folder = shutil.copytree(finished, tmp_path_factory.mktemp("added") / "run")
    brief = ["--search-epochs", "1", "--retrain-epochs", "1"]
    with measuring_here():
        for words in (
            ["--method", "powerbert", "--target-speedup", "1.5x", *brief],
            ["--method", "first-layers", "--layers", "2", "--epochs", "1"],
            ["--method", "alone", "--network", "width 0.5, 2 of 4 layers", "--steps", "3"],
            ["--method", "repaired", "--target-speedup", "2x"],
            ["--method", "layerdrop", "--target-speedup", "4x", "--epochs", "1"],
            ["--method", "cofi", "--target-speedup", "2x", "--steps", "4"],
            ["--checkpoint", f"mine={folder / 'teacher'}"],
        ):
            assert main(["add", str(folder), *words]) == 0
    return folder


LABELS = [
    "PoWER-BERT (1.5x, percent)",
    "first 2 layers",
    "L1.3-H2-F32, alone",
    "repaired (2x)",
    "LayerDrop, 1 layer",
    "CoFi (2x)",
    "mine",
]


def test_every_method_makes_a_network_like_the_others(
    added: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["show", str(added), "--json"]) == 0
    networks = json.loads(capsys.readouterr().out)["networks"]
    assert [entry["label"] for entry in networks[4:]] == LABELS
    for label in LABELS:
        assert main(["show", str(added), label, "--json"]) == 0
        shown = json.loads(capsys.readouterr().out)
        assert shown["measured"][0]["scores"].keys() == {"search", "report"}
    for label in (LABELS[0], LABELS[-1]):
        assert main(["compare", str(added), "full", label, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["score"]["metric"] == "accuracy"
        assert found["latency_ratio"]["value"] > 0
    assert main(["export", str(added), "--network", "mine", "--to", str(tmp_path / "mine")]) == 0
    run = shutil.copytree(added, tmp_path / "run")
    assert main(["report", str(run)]) == 0
    page = (run / "report" / "index.html").read_text()
    assert all(label in page for label in LABELS)
    assert "Word-vectors kept" in page
    figures = {path.name for path in (run / "report" / "figures").glob("*.png")}
    assert figures >= {"times.png", "speedups.png", "retention-1.png", "latency.png"}


def test_a_method_makes_the_same_network_once(
    added: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = snapshot(added)
    words = ["--method", "first-layers", "--layers", "2", "--epochs", "1", "--json"]
    capsys.readouterr()
    assert main(["add", str(added), *words]) == 0
    assert json.loads(capsys.readouterr().out)["label"] == "first 2 layers"
    assert snapshot(added) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "Name a method: --method checkpoint, first-layers,"),
        (["--method", "checkpoint"], "The method checkpoint needs --checkpoint"),
        (
            ["--method", "first-layers", "--checkpoint", "a=b"],
            "no option --checkpoint; it has",
        ),
        (["--method", "magic"], "no method 'magic': choose from checkpoint"),
        (["--method", "first-layers", "--lambda", "1"], "first-layers has no option --lambda"),
        (["--method", "first-layers", "--layers", "4"], "The teacher has 4 layers: keep 1 to 3"),
        (["--method", "finished"], "Name a network that is cut from the supernet, or give"),
        (["--method", "finished", "--network", "huge"], "There is no network called 'huge'"),
        (
            ["--method", "finished", "--network", "full", "--steps", "0"],
            "steps must be at least 1",
        ),
        (["--method", "pruned", "--target-speedup", "99x"], "and 99 times are asked for"),
        (["--method", "powerbert", "--target-speedup", "fast"], "'fast' is not a number"),
        (["--checkpoint", "mine"], "'mine' is not NAME=DIR"),
        (["--checkpoint", "mine=/nowhere/at/all"], "/nowhere/at/all does not exist"),
    ],
)
def test_what_cannot_be_added_is_refused(
    run_copy: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = snapshot(run_copy)
    assert main(["add", str(run_copy), *words]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert snapshot(run_copy).keys() == before.keys()


def test_any_limit_and_any_objective(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for limit in (
        ("--throughput", "1/s"),
        ("--memory", "1GB"),
        ("--disk", "1MB"),
        ("--speedup", "0.001x"),
        ("--accuracy", "0.1"),
        ("--max-loss", "60pt"),
    ):
        status, found = answer(capsys, finished, *limit)
        assert status == 0
        assert found["answer"]["network"]
    status, found = answer(capsys, finished, "--cheapest", "params", "--max-loss", "60pt")
    assert status == 0
    assert found["answer"]["params"] == min(
        entry["params"] for entry in (found["answer"], *found["runners_up"])
    )
    assert main(["query", str(finished), "--p99", "1s"]) == 2
    assert "takes 459 runs" in capsys.readouterr().err


def test_flipped_examples_are_written(
    added: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    words = ["compare", str(added), "full", "PoWER-BERT (1.5x, percent)", "--json"]
    assert main([*words, "--flipped", str(tmp_path / "flipped.csv")]) == 0
    found = json.loads(capsys.readouterr().out)
    lines = (tmp_path / "flipped.csv").read_text().splitlines()
    assert lines[0] == "place,text,label,a,b"
    assert len(lines) == 1 + len(found["flipped"])
    assert found["flip_rate"] == pytest.approx(len(found["flipped"]) / 45)


def test_query_json(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, found = answer(capsys, finished, "--latency", "1s", "--params", "1M")
    assert status == 0
    assert found["nearest"] is None
    assert set(found["answer"]) >= {
        *("key", "layers", "params", "flops", "latency_ms", "speedup", "metric"),
        *("search", "report"),
    }
    assert set(found["answer"]["report"]) == {"value", "low", "high", "n"}
    assert set(found["answer"]["latency_ms"]) == {"value", "low", "high", "interval", "resolved"}
    assert set(found["answer"]["layers"][0]) == {"index", "heads", "neurons"}


def test_query_that_nothing_fits(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, found = answer(capsys, finished, "--params", "1K")
    assert status == 1
    assert found["answer"] is None
    assert found["nearest"]["missed"][0]["quantity"] == "num_params"


def test_a_repeated_query_leaves_torch_out(finished: Path) -> None:
    check = (
        "import sys\n"
        "from paretobert.cli.app import main\n"
        f"status = main(['query', {str(finished)!r}, '--params', '1M'])\n"
        "heavy = {'torch', 'transformers', 'optuna', 'pandas', 'sklearn'} & set(sys.modules)\n"
        "sys.exit(f'status {status}, loaded {heavy}' if status or heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("choice", [("--params", "1M"), ("--network", "L1.3-H2-F32")])
def test_export(
    finished: Path, tmp_path: Path, choice: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "small"
    assert main(["export", str(finished), *choice, "--to", str(target)]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "the very files that were scored and timed; 45 examples answered again, 0" in said
    card = (target / "README.md").read_text()
    assert "on the report split" in card
    assert "latency of a batch" in card
    model = AutoModelForSequenceClassification.from_pretrained(target, trust_remote_code=True)
    assert model.config.num_labels == 3


def test_export_of_another_deployment(
    run_copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "small"
    words = ["export", str(run_copy), "--params", "1M", "--to", str(target)]
    words += ["--precision", "int8"]
    assert main(words) == 2
    assert "paretobert profile" in capsys.readouterr().err
    assert main(["profile", str(run_copy), "--precision", "int8"]) == 0
    assert main(words) == 0
    assert (target / "int8.py").is_file()
    assert "eager int8" in (target / "README.md").read_text()
    status, found = answer(capsys, run_copy, "--precision", "any")
    assert status == 0
    assert found["answer"]["precision"] in ("fp32", "int8")


def test_export_that_nothing_fits(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "small"
    assert main(["export", str(finished), "--params", "1K", "--to", str(target)]) == 1
    assert "meets params <= 1K" in capsys.readouterr().err
    assert not target.exists()


def test_another_search_shares_the_scores(
    run_copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = Run.open(run_copy).context.ledger
    scored = ledger.evaluations(split="search", deployment=EAGER_FP32)
    words = ["search", str(run_copy), "--engine", "tpe", "--trials", "6"]
    assert main([*words, "--max-params", "30K"]) == 0
    assert "over a cost limit and not scored" in capsys.readouterr().err
    assert ledger.evaluations(split="search", deployment=EAGER_FP32) == scored


@pytest.mark.parametrize(
    "command",
    ["run", "train", "profile", "search", "add", "report", "query", "compare", "show", "export"],
)
def test_each_command_shows_a_session(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    assert f"$ paretobert {command} " in capsys.readouterr().out


def test_a_busy_machine_is_said_first(run_copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with sqlite3.connect(run_copy / "ledger.db") as database:
        ((noise,),) = database.execute("SELECT noise FROM sessions WHERE purpose = 'profile'")
        busy = json.dumps(json.loads(noise) | {"foreign_share": 0.9})
        database.execute("UPDATE sessions SET noise = ? WHERE purpose = 'profile'", (busy,))
    warning = "Other programs used 90% of the processors"
    for words in (["profile", str(run_copy)], ["search", str(run_copy)]):
        capsys.readouterr()
        assert main(words) == 0
        said = capsys.readouterr().out
        assert said.index(warning) < said.index("network  ")
        assert main([*words, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        told = found["warnings"] if "warnings" in found else found["tables"][0]["warnings"]
        assert any(warning in line for line in told)
    with undrawn():
        assert main(["report", str(run_copy)]) == 0
    page = (run_copy / "report" / "index.html").read_text()
    assert warning in page[: page.index("<h1>")][page.index("<body>") :]


def test_the_report_draws_one_front_of_all_deployments(
    deployed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = shutil.copytree(deployed, tmp_path / "run")

    def absent(deployment: Deployment, device: str) -> None:
        raise InputError(f"The runtime {deployment.title} needs another torch.")

    def page() -> str:
        assert main(["report", str(run)]) == 0
        return (run / "report" / "index.html").read_text()

    with undrawn(), monkeypatch.context() as patch:
        patch.setattr(Deployment, "require", absent)
        alone = page()
    assert "eager bf16 is not on this page: The runtime eager bf16 needs another torch." in alone
    assert "run them" not in alone
    with sqlite3.connect(run / "ledger.db") as database:
        database.execute(
            "UPDATE observations SET place = 'aside' "
            "WHERE quantity = 'score' AND deployment = 'eager-bf16'"
        )
    with undrawn():
        unscored = page()
    assert "its networks are not scored yet: paretobert profile" in unscored
    assert "--precision bf16." in unscored
    assert main(["profile", str(run), "--precision", "bf16"]) == 0
    whole = page()
    assert "4 networks as eager fp32 and eager bf16 run them (8 in all)" in whole
    assert "is not on this page" not in whole
    table = (run / "report" / "tables" / "results.csv").read_text().splitlines()
    assert sum(",eager bf16," in line for line in table) == 4
    assert main(["profile", str(run), "--precision", "bf16", "--threads", "2"]) == 0
    with undrawn():
        assert "run them (8 in all)" in page()
