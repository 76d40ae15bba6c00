"""What the committed benchmarks state follows from what lies beside them."""

import json
import shutil
from pathlib import Path

import pytest
import recompute
from outcomes import write_outcomes
from recompute import (
    check,
    corrected_statements,
    file_statements,
    first_difference,
    run_statements,
    unknown_interval,
)

from paretobert.errors import InputError
from paretobert.tasks.comparison import compare
from paretobert.tasks.scores import score_predictions

ROOT = Path(__file__).resolve().parents[2]


def test_the_committed_files_agree():
    lines = list(check(ROOT / "benchmarks", ROOT / "README.md"))
    assert [difference for _, difference in lines if difference] == []
    assert "README.md" in lines[-1][0]


@pytest.fixture
def copy(tmp_path):
    """Copies committed result files, to be damaged."""

    def make(*patterns: str) -> Path:
        for pattern in patterns:
            for path in (ROOT / "benchmarks").glob(pattern):
                target = tmp_path / path.relative_to(ROOT / "benchmarks")
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)
        return tmp_path

    return make


def edit(path: Path, change) -> None:
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "powerbert/rte/result.json",
            lambda record: record["networks"][1]["loss_against_full"].update(p_value=0.5),
            "PoWER-BERT's loss states p_value 0.5, not 0.00",
        ),
        (
            "powerbert/rte/result.json",
            lambda record: record["networks"][1]["report"].update(high=0.7),
            "PoWER-BERT states high 0.7, not 0.61",
        ),
        (
            "sst2/deployments.json",
            lambda record: record["deployments"][1]["score_lost"].update(low=-0.0005),
            "eager bf16's loss states low -0.0005, not -0.0014",
        ),
        (
            "sst2/result.json",
            lambda record: record["deployments"][0]["profiles"][1]["latency"]["ratio"].update(
                low=0.1
            ),
            "latency's ratio states low 0.1, not 0.7",
        ),
        (
            "closed_form_draws/sst2.json",
            lambda record: record["full"].update(value=0.9),
            "the draws together states full {'value': 0.9,",
        ),
        (
            "supernet_accuracy/sandwich.json",
            lambda record: record["sub_networks"][0]["difference"].update(discordant=[18, 18]),
            "states value",
        ),
        (
            "gap_losses/qnli.json",
            lambda record: record["picks"][1].update(rank=1),
            "4 layers states rank 1, not 2",
        ),
        (
            "fidelities/sst2-sentences.json",
            lambda record: record["judged"][0]["tau"].update(low=0.7),
            "closed form, 60 steps, all states",
        ),
    ],
)
def test_a_changed_figure_is_named(copy, name, change, message):
    path = copy(f"{name.rpartition('/')[0] or '.'}/*.*", "closed_form/sst2-draw-*.json") / name
    edit(path, change)
    assert message in first_difference(file_statements(path))


def test_a_corrected_score_follows_from_the_outcomes(copy):
    folder = copy("sst2/*.*") / "sst2"
    table, outcomes = folder / "results.csv", recompute.read_outcomes(folder / "outcomes.json")
    found = list(corrected_statements(folder, outcomes))
    assert [statement.difference() for statement in found] == [None] * 12
    table.write_text(table.read_text().replace(",0.93404\n", ",0.936\n"))
    changed = [statement.difference() for statement in corrected_statements(folder, outcomes)]
    assert [text for text in changed if text] == [
        "L0.1.3.4.5-H12-F1536 states corrected 0.936, not 0.9340400000000001"
    ]


def test_the_first_difference_ends_the_script(copy, monkeypatch, capsys):
    def change(record):
        record["networks"][1]["loss_against_full"]["tie"] = None

    path = copy("powerbert/*/*.*") / "powerbert" / "imdb" / "result.json"
    edit(path, change)
    monkeypatch.setattr("sys.argv", ["recompute.py", "--benchmarks", str(path.parents[2])])
    with pytest.raises(SystemExit) as ended:
        recompute.main()
    assert ended.value.code == f"{path}: PoWER-BERT's loss states tie None, not False"
    assert "imdb" not in capsys.readouterr().out


def test_a_file_that_is_missing_is_named(copy):
    root = copy("powerbert/*/*.*")
    with pytest.raises(InputError, match="sst2"):
        list(check(root, ROOT / "README.md"))


def test_an_interval_of_a_table_must_be_one_that_a_file_holds():
    known = [{"value": 0.01834, "low": -0.00014, "high": 0.03496}]
    text = "| network | accuracy lost | depth |\n|---|---|---|\n| a | {} | .9 [.8, 1.2] |\n"
    assert unknown_interval(text.format(".018 [-.000, .035]"), known) is None
    assert unknown_interval(text.format("0.0183 [-0.0001, 0.0350] (a tie)"), known) is None
    assert unknown_interval(text.format(".018 [.001, .035]"), known) == ".018 [.001, .035]"


def test_outcomes_decide_where_they_were_kept(tmp_path):
    labels, first, second = (0, 1) * 30, (0, 1) * 28 + (1, 1, 0, 0), (0, 1) * 25 + (1,) * 10
    scored = {
        name: score_predictions(
            task="CoLA", split="search", metrics=("matthews",), labels=labels, predictions=guesses
        )
        for name, guesses in (("L0", first), ("L0, eager-bf16", second))
    }
    write_outcomes(tmp_path / "outcomes.json", {"search": scored})
    full, pair = scored["L0"], compare(*scored.values())
    record = {
        "task": {"metric": "matthews", "sizes": {"search": 60}},
        "deployments": [{"protocol": "cpu, eager bf16", "score_lost": pair.to_dict()}],
    }
    row = {"key": "L0", "report": "", "search": str(full.value), "search_n": "60"}
    row |= {"search_low": str(full.interval.low), "search_high": str(full.interval.high)}
    outcomes = recompute.read_outcomes(tmp_path / "outcomes.json")
    found = list(run_statements(record, [row], outcomes))
    assert [statement.difference() for statement in found] == [None, None]
    wrong = list(run_statements(record, [row | {"search_low": "0.1"}], outcomes))
    assert "L0 on search states low 0.1, not " in wrong[0].difference()
    assert next(run_statements(record, [row], {})).computed is None
