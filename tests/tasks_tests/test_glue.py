"""GLUE's file formats: small files written here, and the real ones where they are present."""

import sys

import pytest

from paretobert.errors import InputError
from paretobert.tasks import glue
from paretobert.tasks.glue import GLUE_TASKS, load_glue_folder, load_glue_hub
from paretobert.tasks.loading import TaskRequest, load_task
from paretobert.tasks.phrases import Phrases
from paretobert.tasks.splits import text_keys


def write_sst2(folder, *, rows=40, dev="sentence\tlabel\ngood . \t1\nbad . \t0\n"):
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f'a " lone quote {i} \t{i % 2}' for i in range(rows)]
    (folder / "train.tsv").write_text("\n".join(["sentence\tlabel", *lines]) + "\n")
    (folder / "dev.tsv").write_text(dev)


def test_quotes_are_plain_characters_and_either_folder_will_do(tmp_path):
    write_sst2(tmp_path / "SST-2")
    own, parent = (
        load_task(TaskRequest("sst2", data=data)) for data in (tmp_path / "SST-2", tmp_path)
    )
    assert own == parent
    assert (len(own.train), len(own.search), len(own.report)) == (36, 4, 2)
    assert own.train.first[0].startswith('a " lone quote')
    assert own.label_names == ("negative", "positive")
    assert own.report.labels == (1, 0)


def test_byte_order_mark_and_carriage_returns_do_no_harm(tmp_path):
    header = "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String"
    rows = [f"{i % 2}\t1\t2\tfirst {i}\tsecond {i}" for i in range(20)]
    for name in ("train", "dev"):
        text = "\r\n".join([header, *rows]) + "\r\n"
        (tmp_path / f"{name}.tsv").write_bytes(text.encode())
    task = load_task(TaskRequest("MRPC", data=tmp_path))
    assert task.report.second is not None
    assert (task.report.first[3], task.report.second[3]) == ("first 3", "second 3")
    assert (task.metric, task.other_metrics) == ("accuracy", ("f1",))


def test_cola_has_no_header(tmp_path):
    rows = "\n".join(f"gj04\t{i % 2}\t*\tSentence {i}." for i in range(20))
    for name in ("train", "dev"):
        (tmp_path / f"{name}.tsv").write_text(rows)
    task = load_task(TaskRequest("cola", data=tmp_path))
    assert task.report.first[0] == "Sentence 0."
    assert (len(task.report), task.metric) == (20, "matthews")


def test_mnli_reports_on_both_dev_sets_and_finds_columns_by_name(tmp_path):
    names = ("entailment", "neutral", "contradiction")
    full = "index\tgenre\tsentence1\tsentence2\tlabel1\tgold_label"
    rows = [f"{i}\tfiction\tpremise {i}\thypothesis\tx\t{names[i % 3]}" for i in range(30)]
    short = "index\tsentence1\tsentence2\tgold_label\n0\ta\tb\tcontradiction\n"
    (tmp_path / "train.tsv").write_text("\n".join([full, *rows]))
    (tmp_path / "dev_matched.tsv").write_text(short)
    (tmp_path / "dev_mismatched.tsv").write_text(short)
    task = load_task(TaskRequest("mnli", data=tmp_path))
    assert list(task.splits) == ["train", "search", "report", "report-mismatched"]
    assert task.report.labels == (2,)


def test_qqp_skips_the_official_files_broken_rows(tmp_path, caplog):
    rows = [f"why {i} ?\thow {i} ?\t{i % 2}" for i in range(20)]
    header = "question1\tquestion2\tis_duplicate"
    (tmp_path / "train.tsv").write_text("\n".join([header, *rows, "torn", "\tempty\t1"]))
    (tmp_path / "eval-subset.tsv").write_text("\n".join([header, *rows]))
    task = load_task(TaskRequest("qqp", data=tmp_path))
    assert len(task.train) + len(task.search) == 20
    assert "subset" in task.source
    assert "1 broken rows left out" in caplog.text
    assert "1 rows with an empty text left out" in caplog.text


def test_missing_folder_and_files_are_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere is not a folder: give the one that holds RTE"):
        load_task(TaskRequest("rte", data=tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"holds none of the files train.tsv or train-subset.tsv"):
        load_task(TaskRequest("rte", data=tmp_path))


@pytest.mark.parametrize(
    ("dev", "message"),
    [
        ("sentence\tlabel\ngood\t1\textra\n", r"dev.tsv, line 2, has 3 columns where 2 are"),
        ("sentence\tlabel\ngood\t2\n", r"dev.tsv, line 2: the label '2' .* none of .* 0, 1"),
        ("sentence\tlabel\n \t1\n", r"dev.tsv, line 2: the text in column 'sentence' is empty"),
        ("text\tlabel\ngood\t1\n", r"dev.tsv has no column 'sentence': its columns are text, l"),
        ("sentence\tlabel\n", r"dev.tsv holds no examples"),
        ("", r"dev.tsv holds no examples"),
    ],
)
def test_defects_of_a_file_are_refused(tmp_path, dev, message):
    write_sst2(tmp_path, dev=dev)
    with pytest.raises(InputError, match=message):
        load_task(TaskRequest("sst2", data=tmp_path))


def test_score_that_is_no_number_is_refused(tmp_path):
    for name in ("train", "dev"):
        (tmp_path / f"{name}.tsv").write_text("sentence1\tsentence2\tscore\na\tb\tnan\n")
    with pytest.raises(
        InputError, match=r"line 2: the label 'nan' in column 'score' is not a fin"
    ):
        load_task(TaskRequest("stsb", data=tmp_path))


def test_hub_columns_become_a_task(monkeypatch):
    datasets = pytest.importorskip("datasets")
    rows = {"premise": ["p"] * 20, "hypothesis": [f"h{i}" for i in range(20)]}
    columns = rows | {"label": [i % 3 for i in range(20)]}
    splits = dict.fromkeys(("train", "validation_matched", "validation_mismatched"), columns)
    monkeypatch.setattr(datasets, "load_dataset", lambda *_: splits)
    task = load_glue_hub(GLUE_TASKS["MNLI"], seed=0)
    assert task.report.second == tuple(rows["hypothesis"])
    assert set(task.extra_reports) == {"mismatched"}


def test_hub_that_cannot_be_reached_is_one_sentence(monkeypatch):
    datasets = pytest.importorskip("datasets")

    def fail(*_):
        raise ConnectionError("Couldn't reach 'nyu-mll/glue' on the Hub")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(InputError, match=r"^RTE cannot be fetched from the hub \(Couldn't reach"):
        load_task(TaskRequest("rte"))


def test_missing_datasets_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match="without the package datasets: install it"):
        load_task(TaskRequest("rte"))


REAL_SIZES = {
    "CoLA": (8551, 1043),
    "SST-2": (67349, 872),
    "MRPC": (3668, 408),
    "STS-B": (5749, 1500),
    "QQP": (23497, 9372),
    "MNLI": (9999, 9815),
    "QNLI": (11803, 5463),
    "RTE": (2490, 277),
}


@pytest.mark.parametrize("name", REAL_SIZES)
def test_real_files_have_their_official_sizes(shared_dir, name):
    task = load_glue_folder(GLUE_TASKS[name], shared_dir / "data/glue", seed=0)
    num_train, num_report = REAL_SIZES[name]
    assert len(task.report) == num_report
    if name == "SST-2":
        within = Phrases(text_keys(task.train)).within
        assert not any(map(within, text_keys(task.search)))
        assert len(task.search) == pytest.approx(872, abs=2)
        assert 0.85 * num_train < len(task.train) + len(task.search) < num_train
    else:
        assert len(task.train) + len(task.search) == num_train
        assert len(task.search) in (2000, round(num_train / 10))
    assert not set(text_keys(task.train)) & set(text_keys(task.search))
    assert ("subset" in task.source) == (name in ("QQP", "MNLI", "QNLI"))


def test_every_glue_task_is_there():
    assert list(glue.GLUE_TASKS) == [
        *("CoLA", "SST-2", "MRPC", "STS-B", "QQP", "MNLI", "QNLI", "RTE", "WNLI")
    ]
