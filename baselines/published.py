"""Published scores of BERT models and their compressed descendants, with their sources (no torch).

`data/scores.csv` holds one printed number per row: task, metric, split, and the model's parameters
and FLOPs where the source states them or the shape gives them. `data/latencies.csv` holds
published latencies with the hardware they were measured on.

Only like is compared with like. A number becomes a candidate when it is of the same task and
metric, of GLUE's dev split (scores of the GLUE test server are of other examples), and not a
repetition of another row; the column `left_out` says why a row does not. Candidates never carry a
latency: a time of other hardware, batch and runtime is not comparable with a time measured here.
FLOPs are kept only for inputs of the same length.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

from ..deploy.deployment import EAGER_FP32
from ..networks.network import Network, Printed
from ..profiling.table import Profile
from ..search.candidate import Candidate, StatedScore

_ALIASES = {"mnli": "mnlim"}

DEV_EXAMPLES = {
    "CoLA": 1043,
    "SST-2": 872,
    "MRPC": 408,
    "STS-B": 1500,
    "QQP": 40430,
    "MNLI": 9815,
    "QNLI": 5463,
    "RTE": 277,
    "WNLI": 71,
}
"""Examples of GLUE's dev splits (Wang et al. 2019), MNLI's matched half; what papers score on."""


@dataclass(frozen=True, slots=True)
class PublishedScore:
    """One printed number.

    Attributes:
        model: The model's name, with width and depth multipliers for DynaBERT.
        task: The task's name; MNLI-m and MNLI-mm are two tasks, MNLI stands for either.
        metric: Named as in `tasks.metrics`; empty where the source does not say.
        split: "dev", "test", or empty where the source does not say.
        value: The score as a fraction; None where the print cannot be read.
        num_params: Parameters, embeddings included; None where unknown.
        num_flops: FLOPs (two per multiply-add) of one example of `seq_len` tokens; None where
            unknown.
        seq_len: Tokens that `num_flops` refers to.
        left_out: Why the number is not compared with ours; empty when it is.
        note: What the source adds.
        source: Where the number was read.
    """

    model: str
    task: str
    metric: str
    split: str
    value: float | None
    num_params: int | None
    num_flops: int | None
    seq_len: int | None
    left_out: str
    note: str
    source: str


@dataclass(frozen=True, slots=True)
class PublishedLatency:
    """One published latency; for reading, never for plotting beside our own.

    Attributes:
        model: The model's name.
        task: The task whose length it was measured at; empty where it is a synthetic input.
        hardware: The device it was measured on.
        conditions: Batch, length and precision.
        latency_ms: Milliseconds for what `conditions` describes.
        source: Where the number was read.
    """

    model: str
    task: str
    hardware: str
    conditions: str
    latency_ms: float
    source: str


def published_scores() -> list[PublishedScore]:
    """Read every published score, those that are not compared included."""
    return [
        PublishedScore(
            model=row["model"],
            task=row["task"],
            metric=row["metric"],
            split=row["split"],
            value=round(float(row["percent"]) / 100, 8) if row["percent"] else None,
            num_params=int(row["num_params"]) if row["num_params"] else None,
            num_flops=round(float(row["gflops"]) * 1e9) if row["gflops"] else None,
            seq_len=int(row["seq_len"]) if row["seq_len"] else None,
            left_out=row["left_out"],
            note=row["note"],
            source=row["source"],
        )
        for row in _rows("scores.csv")
    ]


def published_latencies() -> list[PublishedLatency]:
    """Read every published latency with its hardware."""
    return [
        PublishedLatency(
            model=row["model"],
            task=row["task"],
            hardware=row["hardware"],
            conditions=row["conditions"],
            latency_ms=float(row["latency_ms"]),
            source=row["source"],
        )
        for row in _rows("latencies.csv")
    ]


def published_candidates(task: str, metric: str, *, seq_len: int = 128) -> list[Candidate]:
    """The published numbers that our report split's scores can be compared with.

    Args:
        task: The task's name, e.g. "SST-2"; MNLI means its matched half.
        metric: The metric's name, as in `tasks.metrics`.
        seq_len: Tokens that our FLOPs refer to.

    Returns:
        Candidates with a stated score and without a latency; none for tasks that nobody published.
    """
    return [
        Candidate(
            profile=Profile(
                Network(row.model, Printed(f"{row.source}; GLUE {row.split}")),
                num_params=row.num_params,
                num_macs=row.num_flops // 2 if row.num_flops and row.seq_len == seq_len else None,
                seq_len=seq_len,
            ),
            deployment=EAGER_FP32,
            evaluation=StatedScore(row.task, row.split, row.metric, row.value),
        )
        for row in published_scores()
        if row.value is not None
        and not row.left_out
        and row.metric == metric
        and _canonical(row.task) == _canonical(task)
    ]


def _rows(name: str) -> Iterator[dict[str, str]]:
    text = (files(__package__) / "data" / name).read_text(encoding="utf-8")
    return csv.DictReader(text.splitlines())


def _canonical(task: str) -> str:
    letters = "".join(character for character in task.casefold() if character.isalnum())
    return _ALIASES.get(letters, letters)
