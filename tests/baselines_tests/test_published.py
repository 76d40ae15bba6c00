"""Published numbers: which of them compare with ours, and that they equal the fact sheets'."""

import csv
import subprocess
import sys
from types import SimpleNamespace

import pytest

from paretobert.baselines.published import (
    DEV_EXAMPLES,
    published_candidates,
    published_latencies,
    published_scores,
)
from paretobert.pipeline.steps.report import _published


def by_label(task, metric, **options):
    return {c.label: c for c in published_candidates(task, metric, **options)}


def test_a_row_of_dynaberts_table():
    candidate = by_label("SST-2", "accuracy")["DynaBERT (0.5, 0.75)"]
    assert candidate.evaluation.value == 0.927
    assert (candidate.num_params, candidate.num_flops) == (56345474, 8_381_000_000)
    assert candidate.evaluation.split == "dev"
    assert "Table 1" in candidate.network.recipe.source
    assert candidate.origin == "published"


def test_labels_change_the_classifiers_size():
    full = "BERT-base"
    assert by_label("MNLI", "accuracy")[full].num_params == 109483778 + 769
    assert by_label("STS-B", "spearman")[full].num_params == 109483778 - 769


@pytest.mark.parametrize("name", ["SST-2", "sst2", "sst-2", "SST_2"])
def test_task_names_are_read_generously(name):
    assert len(published_candidates(name, "accuracy")) == 47


@pytest.mark.parametrize(
    ("task", "metric"), [("stdlib-docs", "accuracy"), ("SST-2", "f1"), ("CoLA", "accuracy")]
)
def test_other_tasks_and_metrics_have_none(task, metric):
    assert published_candidates(task, metric) == []


def test_mnli_means_the_matched_half():
    assert {c.evaluation.task for c in published_candidates("mnli", "accuracy")} == {"MNLI-m"}


def test_only_dev_scores_compare_and_never_with_a_latency():
    tasks = {row.task for row in published_scores()}
    metrics = {row.metric for row in published_scores()}
    candidates = [c for t in tasks for m in metrics for c in published_candidates(t, m)]
    assert {c.evaluation.split for c in candidates} == {"dev"}
    assert all(c.latency is None for c in candidates)
    assert all(0 < c.evaluation.value <= 1 for c in candidates)


def test_flops_of_another_length_are_left_out():
    candidate = by_label("SST-2", "accuracy", seq_len=64)["DynaBERT (1, 1)"]
    assert candidate.num_flops is None
    assert candidate.num_params == 109483778


def test_what_is_left_out_says_why():
    rows = published_scores()
    assert {row.split for row in rows if not row.left_out} == {"dev"}
    unread = [row for row in rows if row.value is None]
    assert [(row.model, row.left_out) for row in unread] == [
        ("DynaRoBERTa (1, 0.75)", "two readings")
    ]
    assert {row.left_out for row in rows if row.split == "test"} == {"GLUE test server"}


def test_a_models_score_is_listed_once():
    for task in {row.task for row in published_scores()}:
        for metric in ("accuracy", "f1", "matthews", "spearman", "pearson"):
            labels = [c.label for c in published_candidates(task, metric)]
            assert len(labels) == len(set(labels)), (task, metric)


def test_latencies_name_their_hardware():
    rows = published_latencies()
    assert len(rows) == 66
    assert all(row.hardware and row.conditions and row.source for row in rows)


def test_dynaberts_grid_equals_the_fact_sheet(shared_dir):
    path = shared_dir / "papers" / "dynabert_glue_dev_grid.csv"
    with path.open(encoding="utf-8") as file:
        sheet = [row for row in csv.DictReader(file) if row["m_w"] and not row["note"]]
    ours = {(row.model, row.task): row.value for row in published_scores()}
    for row in sheet:
        label = f"{row['model']} ({float(row['m_w']):g}, {float(row['m_d']):g})"
        assert ours[label, row["task"]] == pytest.approx(float(row["value"]) / 100)
    assert len(sheet) == 215


@pytest.mark.parametrize(
    ("name", "examples", "beside"),
    [("SST-2", 872, True), ("SST-2", 871, False), ("my-own", 872, False), ("MNLI", 9815, True)],
)
def test_published_numbers_stand_beside_the_whole_dev_split_alone(name, examples, beside):
    request = SimpleNamespace(task=SimpleNamespace(name=name))
    task = {"metric": "accuracy", "sizes": {"search": 100, "report": examples}}
    assert bool(_published(request, task, seq_len=128)) == beside


def test_every_dev_split_is_of_a_known_size():
    published = {
        row.task.removesuffix("-m").removesuffix("-mm")
        for row in published_scores()
        if not row.left_out
    }
    assert published <= DEV_EXAMPLES.keys()


def test_importing_stays_light():
    code = (
        "import sys, paretobert.baselines.published;"
        "print({'torch', 'pandas', 'plotly', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
