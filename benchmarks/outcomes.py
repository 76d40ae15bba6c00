"""Keep what every network said about every example, small enough to lie beside a benchmark.

Labels are kept once per split and predictions once per network: class indices as so many bits as
the classes need, scores as the shortest floats that hold them exactly. Scores and their intervals
are computed again when the file is read, so that they are those of the code that reads it.
"""

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from paretobert.errors import InputError
from paretobert.storage import read_json, write_json
from paretobert.tasks.metrics import CORRELATIONS, METRICS, Labels
from paretobert.tasks.scores import Evaluation, score_predictions

FLOATS = ("float16", "float32", "float64")

Outcomes = Mapping[str, Mapping[str, Evaluation]]
"""Evaluations by split and then by network."""


def write_outcomes(path: Path, evaluations: Outcomes) -> None:
    """Write the outcomes of networks.

    Args:
        path: The file.
        evaluations: By split and then by network; splits without any are left out.

    Raises:
        ValueError: When evaluations of a split are not of the same examples and metrics.
    """
    splits = {split: pack_split(entries) for split, entries in evaluations.items() if entries}
    write_json(path, {"splits": splits})


def read_outcomes(path: Path) -> dict[str, dict[str, Evaluation]]:
    """Read what `write_outcomes` wrote, scored anew.

    Raises:
        InputError: When the file is missing or damaged.
    """
    record = read_json(path)
    try:
        return {split: unpack_split(split, entry) for split, entry in record["splits"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{path} holds no outcomes of networks ({error}): the file is damaged; collect the "
            "run again."
        ) from None


def pack_split(evaluations: Mapping[str, Evaluation]) -> dict[str, Any]:
    """The evaluations of one split, by network, as JSON types.

    Raises:
        ValueError: When they are not of the same examples and metrics.
    """
    (known, first), *others = evaluations.items()
    for name, entry in others:
        if _examples(entry) != _examples(first):
            raise ValueError(f"{name} is not scored as {known} is")
    return {
        "task": first.task,
        "metrics": [first.metric, *first.others],
        "n": first.n,
        "labels": pack(first.labels, whole=first.metric not in CORRELATIONS),
        "predictions": {
            name: pack(entry.predictions, whole=entry.metric not in CORRELATIONS)
            for name, entry in evaluations.items()
        },
    }


def unpack_split(split: str, record: Mapping[str, Any]) -> dict[str, Evaluation]:
    """The evaluations that `pack_split` packed, by network.

    Raises:
        ValueError: When the record is not what it wrote.
    """
    unknown = set(record["metrics"]) - METRICS.keys()
    if unknown:
        raise ValueError(f"unknown metrics {sorted(unknown)}")
    labels = unpack(record["labels"], record["n"])
    return {
        name: score_predictions(
            task=record["task"],
            split=split,
            metrics=record["metrics"],
            labels=labels,
            predictions=unpack(entry, record["n"]),
        )
        for name, entry in record["predictions"].items()
    }


def pack(column: Labels, *, whole: bool) -> dict[str, Any]:
    """A column of class indices, or of scores, as JSON types.

    Args:
        column: One number for each example.
        whole: Whether these are class indices, from 0.
    """
    if whole:
        indices = np.array(column, dtype=np.int64)
        bits = max(1, int(indices.max(initial=0)).bit_length())
        content = np.packbits((indices[:, None] >> np.arange(bits)) & 1).tobytes()
        return {"bits": bits, "data": base64.b64encode(content).decode()}
    scores = np.array(column, dtype=np.float64)
    with np.errstate(over="ignore"):
        kind = next(kind for kind in FLOATS if np.array_equal(scores.astype(kind), scores))
    content = scores.astype(np.dtype(kind).newbyteorder("<")).tobytes()
    return {"floats": kind, "data": base64.b64encode(content).decode()}


def unpack(record: Mapping[str, Any], n: int) -> Labels:
    """The column that `pack` packed.

    Args:
        record: What it returned.
        n: The number of examples.

    Raises:
        ValueError: When the data are not of n examples.
    """
    try:
        content = base64.b64decode(record["data"], validate=True)
    except binascii.Error as error:
        raise ValueError(f"a column is not base64, {error}") from None
    if "bits" in record:
        bits = record["bits"]
        if len(content) != -(-n * bits // 8):
            raise ValueError(f"a column of {len(content)} bytes, not of {n} times {bits} bits")
        places = np.unpackbits(np.frombuffer(content, np.uint8), count=n * bits)
        return tuple((places.reshape(n, bits) @ (1 << np.arange(bits))).tolist())
    kind = record["floats"]
    if kind not in FLOATS or len(content) != n * np.dtype(kind).itemsize:
        raise ValueError(f"a column of {len(content)} bytes, not of {n} times {kind}")
    return tuple(np.frombuffer(content, np.dtype(kind).newbyteorder("<")).tolist())


def _examples(evaluation: Evaluation) -> tuple[object, ...]:
    return evaluation.task, evaluation.metric, tuple(evaluation.others), evaluation.labels
