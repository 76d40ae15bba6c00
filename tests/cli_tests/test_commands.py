"""The commands from a checkpoint to an exported sub-network."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoModelForSequenceClassification

from paretobert.cli.app import main


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def answer(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, dict]:
    capsys.readouterr()
    status = main(["query", *map(str, words), "--json"])
    return status, json.loads(capsys.readouterr().out)


def test_the_steps_fill_the_run_folder(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    assert names >= {
        *("run.json", "teacher", "supernet", "costs", "study.journal", "evaluations.jsonl"),
        *("deliveries.jsonl", "report"),
    }
    assert (finished / "report" / "index.html").is_file()


def test_run_finds_every_step_done(
    run_copy: Path, asked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = snapshot(run_copy)
    assert main(["run", "--out", str(run_copy), *asked]) == 0
    printed = capsys.readouterr()
    assert "is trained already" in printed.err
    assert "is measured already" in printed.err
    assert str(run_copy / "report" / "index.html") in printed.err
    assert "The front on search" in printed.out
    kept = ("run.json", "supernet/model.safetensors", "evaluations.jsonl")
    after = snapshot(run_copy)
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}


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
    assert set(front[0]) >= {"key", "params", "flops", "latency_ms", "speedup", "search"}


def test_a_precision_has_scores_of_its_own(
    run_copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["profile", str(run_copy), "--precision", "bf16", "--measure-s", "1"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "eager bf16" in printed
    assert "score lost" in printed
    lines = (run_copy / "evaluations.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    scored = {(entry["key"], entry["deployment"]) for entry in records}
    assert {slug for _, slug in scored} == {"eager-fp32", "eager-bf16"}
    status, found = answer(capsys, run_copy, "--params", "1M", "--precision", "bf16")
    assert status == 0
    assert found["answer"]["report"]["n"] > 0


def test_the_self_test_reports_the_noise_floor(
    run_copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["profile", str(run_copy), "--self-test", "--measure-s", "2", "--json"])
    (found,) = json.loads(capsys.readouterr().out)["self_tests"]
    assert status == (0 if found["passed"] else 1)
    assert found["noise_floor"] >= 0
    assert [step["layers"] for step in found["steps"]] == [2, 3, 4]
    assert list(run_copy.glob("costs/*.selftest.json"))


def test_power_makes_a_network_for_the_report(
    run_copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["power", str(run_copy), "--target-speedup", "1.5x"]
    words += ["--search-epochs", "1", "--retrain-epochs", "1", "--json"]
    capsys.readouterr()
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["label"] == "PoWER-BERT (1.5x, percent)"
    assert len(found["retention"]["amounts"]) == 4
    assert Path(found["picture"]).read_bytes().startswith(b"\x89PNG")
    model = AutoModelForSequenceClassification.from_pretrained(found["network"])
    assert model.config.subnet_tokens == found["retention"]["amounts"]
    before = snapshot(run_copy)
    assert main(words) == 0
    assert snapshot(run_copy) == before
    capsys.readouterr()
    assert main([*words, "--learning-rate", "0.5"]) == 2
    assert "learning_rate is 0.003 there, 0.5 here" in capsys.readouterr().err
    assert snapshot(run_copy) == before
    _, answered = answer(capsys, run_copy, "--params", "1M")
    assert [entry["key"] for entry in answered["alternatives"]] == [found["label"]]
    assert main(["report", str(run_copy)]) == 0
    page = (run_copy / "report" / "index.html").read_text()
    assert "PoWER-BERT (1.5x, percent)" in page
    assert "Word-vectors kept" in page
    figures = {path.name for path in (run_copy / "report" / "figures").glob("*.png")}
    assert figures >= {"times.png", "speedups.png", "retention-1.png", "latency.png"}


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


@pytest.mark.parametrize("choice", [("--params", "1M"), ("--subnet", "L1.3-H2-F32")])
def test_export(
    finished: Path, tmp_path: Path, choice: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "small"
    assert main(["export", str(finished), *choice, "--to", str(target)]) == 0
    assert "its logits differ from the supernet's by at most" in capsys.readouterr().err
    card = (target / "README.md").read_text()
    assert "on the report split" in card
    model = AutoModelForSequenceClassification.from_pretrained(target, trust_remote_code=True)
    assert model.config.num_labels == 3


def test_export_onnx(finished: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the onnx extra is not installed")
    target = tmp_path / "small"
    words = ["export", str(finished), "--params", "1M", "--to", str(target), "--format", "onnx"]
    assert main(words) == 0
    assert (target / "model.onnx").is_file()


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
    scored = (run_copy / "evaluations.jsonl").read_bytes()
    words = ["search", str(run_copy), "--sampler", "tpe", "--num-trials", "6"]
    assert main([*words, "--max-params", "30K"]) == 0
    assert "over a cost limit and not scored" in capsys.readouterr().err
    assert (run_copy / "evaluations.jsonl").read_bytes() == scored


@pytest.mark.parametrize(
    "command", ["run", "train", "profile", "search", "report", "query", "export"]
)
def test_each_command_shows_a_session(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    assert f"$ paretobert {command} " in capsys.readouterr().out


def test_a_busy_machine_is_said_first(run_copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (path,) = (run_copy / "costs").glob("*.jsonl")
    header, *lines = path.read_text().splitlines()
    record = json.loads(header)
    record["noise"]["foreign_share"] = 0.9
    path.write_text("\n".join([json.dumps(record), *lines]) + "\n")
    warning = "Other programs used 90% of the processors"
    for words in (["profile", str(run_copy)], ["search", str(run_copy)]):
        capsys.readouterr()
        assert main(words) == 0
        said = capsys.readouterr().out
        assert said.index(warning) < said.index("sub-network")
        assert main([*words, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        told = found["warnings"] if "warnings" in found else found["tables"][0]["warnings"]
        assert any(warning in line for line in told)
    assert main(["report", str(run_copy)]) == 0
    page = (run_copy / "report" / "index.html").read_text()
    assert warning in page[: page.index("<h1>")][page.index("<body>") :]
