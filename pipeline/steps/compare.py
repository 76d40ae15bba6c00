"""Two networks of a run side by side: scores in pairs, latencies in pairs, and what users see."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...deploy.deployment import Deployment
from ...errors import InputError
from ...intervals import Interval
from ...search.candidate import Candidate
from ...tasks.comparison import PairedComparison, compare
from ...tasks.scores import Evaluation
from ...tasks.task import Task
from ..context import Context
from ..costs import Where, chosen, elsewhere, find_candidate, is_here
from ..delivery import time_again
from ..observations import SessionRecord
from ..scores import score_missing

if TYPE_CHECKING:
    from ...profiling.measuring import MeasuringProgress


@dataclass(frozen=True, slots=True)
class ClassScores:
    """How often one class is recognised by each of two networks.

    Attributes:
        name: The class.
        n: Examples of it.
        recall_a: Share of them that the first network predicts as such.
        recall_b: The same of the second.
    """

    name: str
    n: int
    recall_a: float
    recall_b: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two networks on the same examples and in one session.

    Attributes:
        a: The first network, with the latency measured beside the other's.
        b: The second one.
        split: The split that they are compared on.
        outcomes: Of both on it.
        scores: A minus B in the primary metric.
        ratio: Time of A relative to B, paired by process; None where they were not timed here.
        flip_rate: Share of the examples that the two answer differently; None for scores.
        classes: For each class how often it is recognised; empty for scores.
        flipped: Places of the examples that are answered differently.
        warnings: What forbids to take the latencies at their word.
    """

    a: Candidate
    b: Candidate
    split: str
    outcomes: tuple[Evaluation, Evaluation]
    scores: PairedComparison
    ratio: Interval | None
    flip_rate: float | None
    classes: tuple[ClassScores, ...]
    flipped: tuple[int, ...]
    warnings: tuple[str, ...]

    def __repr__(self) -> str:
        """The comparison on one line."""
        return (
            f"<Comparison {self.a.name} and {self.b.name}: {self.scores.metric} "
            f"{self.scores.interval.text('+.4f')}, {self.scores.verdict}>"
        )

    def to_dict(self) -> dict[str, Any]:
        """The comparison as one JSON object."""
        ratio = self.ratio
        return {
            "a": self.a.summary(),
            "b": self.b.summary(),
            "split": self.split,
            "score": {**self.scores.to_dict(), "metric": self.scores.metric},
            "latency_ratio": ratio and {**ratio.numbers, "tie": ratio.holds(1)},
            "flip_rate": self.flip_rate,
            "classes": [
                {"name": c.name, "n": c.n, "recall_a": c.recall_a, "recall_b": c.recall_b}
                for c in self.classes
            ],
            "flipped": list(self.flipped),
            "warnings": list(self.warnings),
        }

    @property
    def pace(self) -> str | None:
        """Which of the two is faster; None where they were not timed here."""
        if self.ratio is None:
            return None
        outside = "A is faster" if self.ratio.value < 1 else "A is slower"
        return self.ratio.verdict(1, "a tie", outside)

    def sentences(self) -> list[str]:
        """The comparison for a reader, warnings first."""
        scores, n = self.scores, self.scores.interval.n
        lines = [
            *self.warnings,
            f"A is {self.a.name}; B is {self.b.name}.",
            f"{scores.metric} on {self.split}, A minus B: "
            f"{scores.interval.text('+.4f')}, {scores.verdict}.",
        ]
        if self.ratio is not None:
            lines.append(
                f"Latency of A relative to B: {self.ratio.text('.3f')}, "
                f"{self.ratio.meaning}: {self.pace}."
            )
        if self.flip_rate is not None:
            lines.append(
                f"{len(self.flipped)} of {n} answers differ ({self.flip_rate:.2%}): so many users "
                "see a change when one replaces the other."
            )
        lines.extend(
            f"Class {entry.name}: A recognises {entry.recall_a:.1%}, B {entry.recall_b:.1%} of "
            f"{entry.n}."
            for entry in self.classes
        )
        return lines


def compare_networks(
    context: Context,
    a: str,
    b: str,
    *,
    where: Where,
    split: str = "report",
    progress: "Callable[[MeasuringProgress], None] | None" = None,
) -> Comparison:
    """Compare two networks of a run, each as a deployment runs it.

    Args:
        context: The run.
        a: The one: see `Context.named`; "@openvino-int8" at its end names a deployment.
        b: The other.
        where: Which deployment where none is named, and on which machine.
        split: Where scores are compared.
        progress: Is called after every visit to a network that is measured.

    Raises:
        InputError: When a network is unknown, or was not measured so.
    """
    records = [_session_of(context, name, where) for name in (a, b)]
    both = [_found(context, name, each) for name, each in zip((a, b), records, strict=True)]
    conditions = [each.conditions for each in records]
    ours, theirs = (
        score_missing(context, [entry.network], split=split, deployment=entry.deployment)[
            entry.network.id
        ]
        for entry in both
    )
    warnings = [elsewhere(each) for each in conditions]
    ratio = None
    if all(map(is_here, conditions)) and both[0].key != both[1].key:
        timing = time_again(context, both, conditions[0].protocol, progress=progress)
        ratio = timing.latencies[both[0].key].ratio_to(timing.latencies[both[1].key])
        both = [entry.timed(timing.latencies[entry.key]) for entry in both]
        warnings += timing.disturbances
    task = context.task
    has_classes = task.head.has_classes
    flipped = np.flatnonzero(np.not_equal(ours.predictions, theirs.predictions)).tolist()
    return Comparison(
        a=both[0],
        b=both[1],
        split=split,
        outcomes=(ours, theirs),
        scores=compare(ours, theirs),
        ratio=ratio,
        flip_rate=len(flipped) / ours.n if has_classes else None,
        classes=tuple(_classes(ours, theirs, task.label_names)),
        flipped=tuple(flipped) if has_classes else (),
        warnings=tuple(dict.fromkeys(filter(None, warnings))),
    )


def flipped_csv(comparison: Comparison, task: Task) -> str:
    """The examples that two networks answer differently, as CSV with a header.

    Args:
        comparison: Of the two.
        task: Gives texts and names of classes.
    """
    split, names = task.splits[comparison.split], task.label_names
    ours, theirs = comparison.outcomes
    columns = ["text"] if split.second is None else ["text", "second_text"]
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["place", *columns, "label", "a", "b"])
    for place in comparison.flipped:
        texts = [split.first[place]]
        if split.second is not None:
            texts.append(split.second[place])
        found = (ours.labels[place], ours.predictions[place], theirs.predictions[place])
        writer.writerow([place, *texts, *(names[int(label)] for label in found)])
    return out.getvalue()


def _session_of(context: Context, name: str, where: Where) -> SessionRecord:
    _, at, slug = name.rpartition("@")
    meant = where.on(Deployment.from_slug(slug)) if at else where
    return chosen(context, meant)[0]


def _found(context: Context, name: str, record: SessionRecord) -> Candidate:
    network = context.named(name.partition("@")[0])
    found = find_candidate(context, record, network)
    if found is not None:
        return found
    raise InputError(
        f"{network.label} is not scored yet: {context.command('search')}, or add it again."
    )


def _classes(ours: Evaluation, theirs: Evaluation, names: Sequence[str]) -> list[ClassScores]:
    labels = np.asarray(ours.labels)
    found = []
    for index, name in enumerate(names):
        places = labels == index
        if places.any():
            shares = (
                float((np.asarray(entry.predictions)[places] == index).mean())
                for entry in (ours, theirs)
            )
            found.append(ClassScores(name, int(places.sum()), *shares))
    return found
