"""Latencies of a candidate set from those of a few."""

import numpy as np
import pytest

from paretobert.bort.architecture import Architecture, multiply_adds
from paretobert.bort.latency import MEASURED, latencies_of, to_measure
from paretobert.bort.space import published_space

SEQ_LEN = 64


def milliseconds(each: Architecture) -> float:
    """A machine that takes 0.2 ms a run, 0.1 a layer, and 20 GMAC a second."""
    return 0.2 + 0.1 * each.layers + multiply_adds(each, seq_len=SEQ_LEN) / 2e7


def test_a_small_set_is_measured_whole() -> None:
    few = published_space()[:MEASURED]
    wanted = to_measure(few, seq_len=SEQ_LEN)
    assert sorted(wanted, key=str) == sorted(few, key=str)
    found = latencies_of(few, {each: milliseconds(each) for each in wanted}, seq_len=SEQ_LEN)
    assert (found.measured, found.error) == (MEASURED, None)


def test_of_a_large_set_the_ends_are_measured_and_what_lies_between() -> None:
    wanted = to_measure(published_space(), seq_len=SEQ_LEN)
    costs = [multiply_adds(each, seq_len=SEQ_LEN) for each in wanted]
    every = [multiply_adds(each, seq_len=SEQ_LEN) for each in published_space()]
    assert len(set(wanted)) == MEASURED
    assert costs == sorted(costs)
    assert (costs[0], costs[-1]) == (min(every), max(every))


def test_a_machine_that_is_a_sum_is_predicted() -> None:
    space = published_space()
    measured = {each: milliseconds(each) for each in to_measure(space, seq_len=SEQ_LEN)}
    found = latencies_of(space, measured, seq_len=SEQ_LEN)
    assert found.measured == MEASURED
    assert found.error == pytest.approx(0, abs=1e-6)
    predicted = np.array([found.milliseconds[each] for each in space])
    np.testing.assert_allclose(predicted, [milliseconds(each) for each in space], rtol=1e-6)


def test_noise_is_in_the_error_and_what_was_measured_stays() -> None:
    space, generator = published_space(), np.random.default_rng(0)
    measured = {
        each: milliseconds(each) * float(generator.uniform(0.9, 1.1))
        for each in to_measure(space, seq_len=SEQ_LEN)
    }
    found = latencies_of(space, measured, seq_len=SEQ_LEN)
    assert found.error is not None
    assert 0.01 < found.error < 0.2
    assert {each: found.milliseconds[each] for each in measured} == measured
