"""The nine GLUE tasks, from a folder in GLUE's own file formats or from the hub (no torch).

GLUE (Wang et al. 2019): tab-separated files without quoting, perhaps with a byte order mark, CoLA
without a header line. Columns are found by name, so files with fewer columns than GLUE's do too.
GLUE's test splits have no labels: what is reported on is GLUE's dev, and what is searched with is
held out of train. SST-2's train rows are phrases of one another's sentences, so its scores on
`search` are higher than on `report`. Left out: the diagnostic set.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from .columns import class_labels, score_labels, texts, without_empty_texts
from .heads import CLASSIFICATION, REGRESSION, Head
from .splits import hold_out_search
from .tables import read_tsv
from .task import Task, TextSplit

MAX_LENGTH = 128
"""Tokens per example, as in the DynaBERT paper."""

HUB_DATASET = "nyu-mll/glue"


@dataclass(frozen=True, slots=True)
class GlueTask:
    """Where a GLUE task's texts and labels are, and how it is scored.

    Attributes:
        name: GLUE's name, which is also the folder's.
        hub_name: The name of its configuration on the hub.
        columns: The text columns in the files.
        label_column: The label column in the files; on the hub it is "label".
        labels: The classes' names by their labels in the files, in the order of GLUE's class
            indices; empty where labels are scores.
        metrics: GLUE's metrics, first the one that DynaBERT's published tables use.
        hub_columns: The text columns on the hub; None when they are `columns`.
        header: The columns' names when the files have no header line.
        dev: The split to report on: its file's name without ending.
        hub_dev: Its name on the hub.
        extra: Further splits to report on: short name, file name without ending, name on the hub.
        skip_broken_rows: Whether the official files hold broken rows, which GLUE's readers skip.
    """

    name: str
    hub_name: str
    columns: tuple[str, ...]
    label_column: str
    labels: Mapping[str, str]
    metrics: tuple[str, ...]
    hub_columns: tuple[str, ...] | None = None
    header: tuple[str, ...] | None = None
    dev: str = "dev"
    hub_dev: str = "validation"
    extra: tuple[tuple[str, str, str], ...] = ()
    skip_broken_rows: bool = False

    @property
    def head(self) -> Head:
        """What a model's head must be."""
        return CLASSIFICATION if self.labels else REGRESSION


_ENTAILMENT = {"entailment": "entailment", "not_entailment": "not_entailment"}

GLUE_TASKS: dict[str, GlueTask] = {
    task.name: task
    for task in (
        GlueTask(
            name="CoLA",
            hub_name="cola",
            columns=("sentence",),
            label_column="label",
            labels={"0": "unacceptable", "1": "acceptable"},
            metrics=("matthews", "accuracy"),
            header=("source", "label", "mark", "sentence"),
        ),
        GlueTask(
            name="SST-2",
            hub_name="sst2",
            columns=("sentence",),
            label_column="label",
            labels={"0": "negative", "1": "positive"},
            metrics=("accuracy",),
        ),
        GlueTask(
            name="MRPC",
            hub_name="mrpc",
            columns=("#1 String", "#2 String"),
            label_column="Quality",
            labels={"0": "not_equivalent", "1": "equivalent"},
            metrics=("accuracy", "f1"),
            hub_columns=("sentence1", "sentence2"),
        ),
        GlueTask(
            name="STS-B",
            hub_name="stsb",
            columns=("sentence1", "sentence2"),
            label_column="score",
            labels={},
            metrics=("spearman", "pearson"),
        ),
        GlueTask(
            name="QQP",
            hub_name="qqp",
            columns=("question1", "question2"),
            label_column="is_duplicate",
            labels={"0": "not_duplicate", "1": "duplicate"},
            metrics=("accuracy", "f1"),
            skip_broken_rows=True,
        ),
        GlueTask(
            name="MNLI",
            hub_name="mnli",
            columns=("sentence1", "sentence2"),
            label_column="gold_label",
            labels={
                "entailment": "entailment",
                "neutral": "neutral",
                "contradiction": "contradiction",
            },
            metrics=("accuracy",),
            hub_columns=("premise", "hypothesis"),
            dev="dev_matched",
            hub_dev="validation_matched",
            extra=(("mismatched", "dev_mismatched", "validation_mismatched"),),
        ),
        GlueTask(
            name="QNLI",
            hub_name="qnli",
            columns=("question", "sentence"),
            label_column="label",
            labels=_ENTAILMENT,
            metrics=("accuracy",),
        ),
        GlueTask(
            name="RTE",
            hub_name="rte",
            columns=("sentence1", "sentence2"),
            label_column="label",
            labels=_ENTAILMENT,
            metrics=("accuracy",),
        ),
        GlueTask(
            name="WNLI",
            hub_name="wnli",
            columns=("sentence1", "sentence2"),
            label_column="label",
            labels={"0": "not_entailment", "1": "entailment"},
            metrics=("accuracy",),
        ),
    )
}
"""The GLUE tasks by name."""


def load_glue_folder(
    glue: GlueTask,
    data: Path,
    *,
    seed: int,
    search_size: int | None = None,
    max_length: int | None = None,
) -> Task:
    """Read a GLUE task from a folder.

    Args:
        glue: Which task.
        data: The task's own folder, or the one above it that holds a folder of the task's name.
            In place of `train.tsv` and `dev.tsv` it may hold `train-subset.tsv` and
            `eval-subset.tsv`, which the task's source then says.
        seed: Of the examples held out for search.
        search_size: How many these are; by default a tenth of the whole
            texts, at most 2,000.
        max_length: Tokens per example; by default 128.

    Raises:
        InputError: When a file is missing or damaged.
    """
    folder = data / glue.name if (data / glue.name).is_dir() else data
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: give the one that holds {glue.name}.")
    train = _existing(folder, ("train.tsv", "train-subset.tsv"))
    dev = _existing(folder, (f"{glue.dev}.tsv", "eval-subset.tsv"))
    extra = {name: folder / f"{stem}.tsv" for name, stem, _ in glue.extra}
    subsets = [path.name for path in (train, dev) if path.stem.endswith("-subset")]
    note = f", subset: {' and '.join(subsets)} in place of the official split" if subsets else ""
    return _assembled(
        glue,
        train=_read_split(glue, train),
        report=_read_split(glue, dev),
        extra={name: _read_split(glue, path) for name, path in extra.items() if path.is_file()},
        source=f"{folder}{note}",
        seed=seed,
        search_size=search_size,
        max_length=max_length,
    )


def load_glue_hub(
    glue: GlueTask, *, seed: int, search_size: int | None = None, max_length: int | None = None
) -> Task:
    """Fetch a GLUE task from the hub, or from its local cache; arguments as above.

    Raises:
        InputError: When the package `datasets` is missing or the hub cannot be reached.
    """
    try:
        from datasets import load_dataset
        from datasets.exceptions import DatasetsError
    except ImportError:
        raise InputError(
            f"{glue.name} cannot be fetched from the hub without the package datasets: install it "
            "(the extra [hub]), or name a local folder with --data."
        ) from None
    try:
        splits = load_dataset(HUB_DATASET, glue.hub_name)
    except (OSError, DatasetsError) as error:
        raise InputError(
            f"{glue.name} cannot be fetched from the hub ({error}): "
            "check the connection, or name a local folder with --data."
        ) from None
    return _assembled(
        glue,
        train=_hub_split(glue, splits["train"]),
        report=_hub_split(glue, splits[glue.hub_dev]),
        extra={name: _hub_split(glue, splits[hub]) for name, _, hub in glue.extra},
        source=f"hub: {HUB_DATASET}, {glue.hub_name}",
        seed=seed,
        search_size=search_size,
        max_length=max_length,
    )


def _assembled(
    glue: GlueTask,
    *,
    train: TextSplit,
    report: TextSplit,
    extra: Mapping[str, TextSplit],
    source: str,
    seed: int,
    search_size: int | None,
    max_length: int | None,
) -> Task:
    remaining, search = hold_out_search(train, size=search_size, seed=seed)
    return Task(
        name=glue.name,
        kind=glue.head.kind,
        label_names=tuple(glue.labels.values()),
        metric=glue.metrics[0],
        other_metrics=glue.metrics[1:],
        train=remaining,
        search=search,
        report=report,
        extra_reports=extra,
        max_length=max_length or MAX_LENGTH,
        source=source,
    )


def _existing(folder: Path, names: Sequence[str]) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise InputError(f"{folder} holds none of the files {' or '.join(names)}.")


def _read_split(glue: GlueTask, path: Path) -> TextSplit:
    table = read_tsv(path, columns=glue.header, skip_broken_rows=glue.skip_broken_rows)
    if glue.skip_broken_rows:
        table = without_empty_texts(table, glue.columns)
    first, second = texts(table, glue.columns)
    indices = {label: index for index, label in enumerate(glue.labels)}
    labels = (
        class_labels(table, glue.label_column, indices)
        if glue.head.has_classes
        else score_labels(table, glue.label_column)
    )
    return TextSplit(first, second, labels)


def _hub_split(glue: GlueTask, rows: Any) -> TextSplit:
    first, *second = (tuple(rows[name]) for name in glue.hub_columns or glue.columns)
    return TextSplit(first, second[0] if second else None, tuple(rows["label"]))
