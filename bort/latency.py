"""Latency as the inference cost: some candidates are measured, others read off a line (no torch).

A candidate is timed with few rows of embeddings, which cost memory and no time. Of a large set
`MEASURED` candidates are measured together, evenly spaced among all by their multiply-adds, the
first and the last among them. Of any other the latency is a sum of what a run, a layer, a head and
the multiply-adds of linear layers and of attention take, none below 0, by least squares of
relative errors. The line's error is that of leaving each measured candidate out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .architecture import Architecture, Tables, multiply_adds

MEASURED = 16
"""Candidates that are measured of a larger set."""

TIMED_TABLES = Tables(vocab_size=1000, num_positions=512, num_token_types=2)
"""The embedding tables that candidates are timed with."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Latencies:
    """The latency of every candidate of a set.

    Attributes:
        milliseconds: Of each candidate: as measured, else as predicted.
        measured: How many were measured.
        error: Mean absolute relative error of predictions; None where all were measured.
    """

    milliseconds: Mapping[Architecture, float]
    measured: int
    error: float | None


def to_measure(candidates: Sequence[Architecture], *, seq_len: int) -> list[Architecture]:
    """The candidates to measure, all of a small set, in the order of their multiply-adds."""
    ordered = sorted(candidates, key=lambda each: multiply_adds(each, seq_len=seq_len))
    number = min(MEASURED, len(ordered))
    if number == len(ordered):
        return ordered
    return [ordered[round(place)] for place in np.linspace(0, len(ordered) - 1, number)]


def latencies_of(
    candidates: Sequence[Architecture],
    measured: Mapping[Architecture, float],
    *,
    seq_len: int,
) -> Latencies:
    """The latency of every candidate, from those that were measured.

    Args:
        candidates: The set.
        measured: Milliseconds of those that `to_measure` named.
        seq_len: Tokens of the texts that they were measured on.
    """
    if set(candidates) <= set(measured):
        return Latencies(
            {each: measured[each] for each in candidates}, len(candidates), error=None
        )
    rows = np.array([_terms(each, seq_len) for each in measured])
    times = np.array(list(measured.values()))
    places = range(len(times))
    left_out = [
        abs(rows[i] @ _weights(np.delete(rows, i, axis=0), np.delete(times, i)) / times[i] - 1)
        for i in places
    ]
    weights = _weights(rows, times)
    return Latencies(
        {
            each: measured.get(each, float(np.array(_terms(each, seq_len)) @ weights))
            for each in candidates
        },
        len(measured),
        error=float(np.mean(left_out)),
    )


def _terms(architecture: Architecture, seq_len: int) -> tuple[float, ...]:
    attention = 2 * architecture.layers * seq_len**2 * architecture.hidden_size
    linear = multiply_adds(architecture, seq_len=seq_len) - attention
    heads = architecture.layers * architecture.heads
    return 1.0, architecture.layers, heads, linear / 1e9, attention / 1e9


def _weights(rows: Floats, times: Floats) -> Floats:
    """Weights of 0 or more, by least squares of relative errors."""
    from scipy.optimize import nnls

    found: Floats = nnls(rows / times[:, None], np.ones_like(times))[0]
    return found
