from array import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretobert.pipeline.packing import packed, unpacked, unpacked_rows
from paretobert.tasks.scores import compact

columns = st.one_of(
    st.lists(st.integers(0, largest), max_size=40) for largest in (1, 3, 15, 255, 70_000)
) | st.lists(st.floats(allow_nan=False), min_size=1, max_size=40)


@given(columns)
def test_a_column_reads_back(column):
    assert unpacked(*packed(compact(column))).tolist() == list(column)


@given(st.data(), st.integers(1, 20), st.integers(1, 8))
def test_columns_read_back_together(data, examples, number):
    largest = st.sampled_from((1, 3, 15, 200))
    rows = [
        data.draw(
            st.lists(st.integers(0, data.draw(largest)), min_size=examples, max_size=examples)
        )
        for _ in range(number)
    ]
    found = unpacked_rows([packed(compact(row)) for row in rows])
    assert found.tolist() == rows


@pytest.mark.parametrize(("largest", "size"), [(1, 250), (3, 500), (15, 1000)])
def test_classes_take_few_bits(largest, size):
    column = np.random.default_rng(0).integers(0, largest + 1, 2000).tolist()
    assert len(packed(compact([*column[:-1], largest]))[1]) == 4 + size


def test_damaged_columns_are_refused():
    code, data = packed(array("B", [0, 1, 1, 0]))
    for broken in (b"", data[:3], data[:-1], data + b"x"):
        with pytest.raises(ValueError, match="damaged, or of different numbers of examples"):
            unpacked(code, broken)
    other = packed(array("B", [0, 1]))
    with pytest.raises(ValueError, match="different numbers"):
        unpacked_rows([(code, data), other])
