"""What encoders cost on a task's texts."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretobert.networks.retention import Retention
from paretobert.networks.shape import EncoderShape
from paretobert.networks.subnet import SubnetConfig
from paretobert.profiling.counts import count_macs
from paretobert.profiling.workload import Workload

SHAPE = EncoderShape("bert", 4, 4, 8, 32, 64, 32, 50, 64, 2, 2)
HEAD = 32 * 32 + 2 * 32
"""The pooler and the classifier of two classes."""


@given(
    lengths=st.lists(st.integers(1, 64), min_size=1, max_size=8),
    heads=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    neurons=st.tuples(st.integers(1, 64), st.integers(1, 64)),
)
def test_it_is_the_sum_over_texts_without_the_head(
    lengths: list[int], heads: tuple[int, int], neurons: tuple[int, int]
) -> None:
    workload, config = Workload.of(SHAPE, lengths), SubnetConfig((0, 2), heads, neurons)
    macs = sum(count_macs(SHAPE, config, seq_len=length) - HEAD for length in lengths)
    assert workload.macs(SHAPE, config) == workload.rates.total(config) == macs
    assert workload.speedup(SHAPE, config) == pytest.approx(workload.full / macs)


def test_eliminated_word_vectors_are_not_paid() -> None:
    workload, full = Workload.of(SHAPE, [8, 16]), SubnetConfig.full(SHAPE)
    fewer = replace(full, tokens=Retention((50, 50, 25, 1), "percent"))
    macs = sum(count_macs(SHAPE, fewer, seq_len=length) - HEAD for length in (8, 16))
    assert workload.macs(SHAPE, fewer) == macs < workload.full
