"""A task in memory: its three splits and how it is scored (no torch).

Left out: how a task is found and read (`tasks.loading`) and how it is tokenised (`tasks.batches`).
"""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .heads import HEADS, Head, Kind


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts, or pairs of texts.

    Attributes:
        first: The texts, or the first text of each pair.
        second: The second text of each pair; None for single texts.
    """

    first: tuple[str, ...]
    second: tuple[str, ...] | None

    def __post_init__(self) -> None:
        """Check that the columns have one length."""
        if not self.first:
            raise ValueError("a split holds at least one example")
        if self.second is not None and len(self.second) != len(self.first):
            raise ValueError(f"{len(self.first)} first texts but {len(self.second)} second texts")

    def __len__(self) -> int:
        """The number of examples."""
        return len(self.first)

    def followed_by(self, others: "Texts | None") -> "Texts":
        """These texts and others, without labels."""
        if others is None:
            return Texts(self.first, self.second)
        pairs = self.second is not None and others.second is not None
        second = (*(self.second or ()), *(others.second or ())) if pairs else None
        return Texts(self.first + others.first, second)


@dataclass(frozen=True, slots=True)
class TextSplit(Texts):
    """Texts, or pairs of texts, with their labels.

    Attributes:
        labels: Class indices, or scores.
    """

    labels: tuple[int, ...] | tuple[float, ...]

    def __post_init__(self) -> None:
        """Check that the columns have one length."""
        Texts.__post_init__(self)
        if len(self.first) != len(self.labels):
            raise ValueError(f"{len(self.first)} texts but {len(self.labels)} labels")


@dataclass(frozen=True, slots=True)
class Task:
    """What is learnt: texts with labels, in three disjoint splits, and its metrics.

    Attributes:
        name: The task's name, e.g. "SST-2".
        kind: Whether labels are class indices or scores.
        label_names: The name of each class; empty where labels are scores.
        metric: The primary metric, by which sub-networks are compared.
        other_metrics: Further metrics that are reported.
        train: What models learn from.
        search: What every choice between models is made on.
        report: What delivered models are scored on, once.
        extra_reports: Further splits of that use, by a short name (MNLI: "mismatched").
        max_length: Tokens per example at which texts are cut.
        source: Where the data came from, in words.
    """

    name: str
    kind: Kind
    label_names: tuple[str, ...]
    metric: str
    other_metrics: tuple[str, ...]
    train: TextSplit
    search: TextSplit
    report: TextSplit
    max_length: int
    source: str
    extra_reports: Mapping[str, TextSplit] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the labels against the kind of task."""
        splits = self.splits.values()
        if len({split.second is None for split in splits}) > 1:
            raise ValueError("some splits hold single texts and some hold pairs")
        if self.head.has_classes:
            if len(self.label_names) < 2:
                raise ValueError(f"{self.kind} needs two classes or more")
            classes = range(len(self.label_names))
            if not all(label in classes for split in splits for label in split.labels):
                raise ValueError(f"labels must be class indices below {len(self.label_names)}")
        else:
            if self.label_names:
                raise ValueError(f"a {self.kind} task has no classes")
            if not all(math.isfinite(label) for split in splits for label in split.labels):
                raise ValueError(f"{self.kind} labels must be finite")

    @property
    def head(self) -> Head:
        """What a model's head must be."""
        return HEADS[self.kind]

    @property
    def num_labels(self) -> int:
        """The size of a model's output."""
        return len(self.head.output_names(self.label_names))

    @property
    def splits(self) -> dict[str, TextSplit]:
        """Every split by its name; further report splits are named e.g. "report-mismatched"."""
        extra = {f"report-{name}": split for name, split in self.extra_reports.items()}
        return {"train": self.train, "search": self.search, "report": self.report} | extra

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that change when any text, label or split does."""
        digest = hashlib.sha256()
        for name, split in self.splits.items():
            content = [name, split.first, split.second, split.labels]
            digest.update(json.dumps(content).encode())
        return digest.hexdigest()[:16]

    def summary(self) -> dict[str, Any]:
        """What a run records of its task, as JSON types: everything but the texts."""
        record: dict[str, Any] = {
            "name": self.name,
            "kind": self.kind,
            "label_names": list(self.label_names),
            "metric": self.metric,
            "other_metrics": list(self.other_metrics),
            "max_length": self.max_length,
            "source": self.source,
            "sizes": {name: len(split) for name, split in self.splits.items()},
            "fingerprint": self.fingerprint,
        }
        if self.head.has_classes:
            counts = Counter(self.train.labels)
            record["train_class_counts"] = [counts[c] for c in range(self.num_labels)]
        return record
