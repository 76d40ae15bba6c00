"""A whole run on pairs of texts with scores: no class, no accuracy, MSE in place of entropy."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from paretobert import LatencyProtocol, Run, TaskRequest, TrainingOptions
from paretobert.powerbert.options import PowerOptions


@pytest.fixture(autouse=True)
def _measured_here(measuring_here: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
    with measuring_here():
        yield


def test_scores_of_pairs_are_learnt_searched_reported_and_exported(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    colours = ("red", "blue", "black", "white")
    nouns = ("coat", "house", "boat", "bright", "old", "small")
    data = tmp_path / "brightness.jsonl"
    rows = [
        {"a": f"the {first} {noun}", "b": f"a {second} {noun}", "brightness": i + j / 2}
        for i, first in enumerate(colours)
        for j, second in enumerate(colours)
        for noun in nouns
    ]
    data.write_text("\n".join(map(json.dumps, rows)))
    run = Run.create(
        tmp_path / "run",
        model=tiny_checkpoint,
        task=TaskRequest(
            "files",
            data=data,
            text_columns=("a", "b"),
            label_column="brightness",
            kind="regression",
            max_length=32,
        ),
        training=TrainingOptions(
            widths=(1.0, 0.5),
            depths=(1.0, 0.5),
            teacher_epochs=20,
            width_epochs=1,
            depth_epochs=1,
            final_epochs=1,
            learning_rate=1e-3,
            teacher_learning_rate=5e-3,
            batch_size=16,
            precision="fp32",
        ),
        protocol=LatencyProtocol(seq_len=8, time_budget_s=0.1),
    )
    run.train()
    run.profile()
    run.search()
    power = run.add(
        "powerbert", PowerOptions(learning_rate=1e-3, search_epochs=2, retrain_epochs=2)
    )
    assert power.candidate.evaluation.metric == power.report.metric == "pearson"
    assert power.candidate.evaluation.value > 0.3
    page = run.report().read_text()
    found = run.query(params="1M").to_dict()
    answer = found["answer"]
    assert answer["metric"] == "pearson"
    assert -1 <= answer["report"]["low"] <= answer["report"]["value"] <= answer["report"]["high"]
    assert answer["search"]["value"] > 0.3
    assert "Pearson correlation" in page
    assert power.candidate.label in page
    assert power.candidate.key in [entry.key for entry in run.candidates()]
    compared = run.compare("full", power.candidate.label)
    assert compared.flip_rate is None
    assert compared.classes == ()
    exported = run.export(to=tmp_path / "small", network=power.candidate.label)
    assert exported.same_artefact
    assert (exported.num_checked, exported.num_changed) == (len(run.task.report), 0)
