import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretobert.errors import InputError
from paretobert.profiling.inputs import histogram_lengths, random_batches
from paretobert.profiling.protocol import LatencyProtocol


@pytest.mark.parametrize("padding", [None, 0, 1, 52])
def test_inputs_are_real_tokens(padding: int | None) -> None:
    protocol = LatencyProtocol(batch_size=64, seq_len=32)
    (batch,) = random_batches(protocol, vocab_size=53, padding_id=padding)
    assert batch["input_ids"].shape == batch["attention_mask"].shape == (64, 32)
    assert batch["attention_mask"].min() == 1
    found = set(np.unique(batch["input_ids"]).tolist())
    assert found <= set(range(53)) - {padding}
    assert len(found) >= 52


def test_sequences_of_different_lengths_are_padded_to_the_longest_of_their_batch() -> None:
    protocol = LatencyProtocol(batch_size=2).with_lengths([9, 3, 5, 4])
    assert protocol.seq_len == round((9 + 3 + 5 + 4) / 4)
    batches = random_batches(protocol, vocab_size=53, padding_id=7)
    assert [batch["input_ids"].shape for batch in batches] == [(2, 4), (2, 9)]
    assert [batch["attention_mask"].sum(1).tolist() for batch in batches] == [[3, 4], [5, 9]]
    for batch in batches:
        assert ((batch["input_ids"] == 7) == (batch["attention_mask"] == 0)).all()


def test_the_seed_decides() -> None:
    one, two = (
        random_batches(LatencyProtocol(seed=seed), vocab_size=9999, padding_id=0)[0]["input_ids"]
        for seed in (0, 1)
    )
    again = random_batches(LatencyProtocol(), vocab_size=9999, padding_id=0)[0]["input_ids"]
    assert (one == again).all()
    assert (one != two).any()


@given(
    lengths=st.lists(st.integers(1, 300), min_size=1, max_size=200),
    batch_size=st.integers(1, 40),
)
def test_a_histogram_keeps_its_shape(lengths: list[int], batch_size: int) -> None:
    found = histogram_lengths(lengths, batch_size=batch_size)
    assert len(found) == max(16, 2 * batch_size)
    assert list(found) == sorted(found)
    assert set(found) <= set(lengths)
    shortest, median, longest = np.quantile(lengths, (0, 0.5, 1), method="nearest")
    assert shortest <= found[0] <= median <= longest
    assert found[-1] >= median


def test_lengths_out_of_order_are_refused() -> None:
    with pytest.raises(InputError, match="must be positive and in order, not 3, 0"):
        LatencyProtocol(lengths=(3, 0))


def test_lengths_are_part_of_what_is_measured() -> None:
    fixed = LatencyProtocol(batch_size=2)
    varied = fixed.with_lengths([3, 5, 10, 128])
    assert "lengths" in fixed.differences(varied)
    assert varied.slug != fixed.slug
    assert varied.title.startswith("batch 2 x 3 to 128 tokens (mean 36)")
    assert LatencyProtocol.from_dict(varied.to_dict()) == varied
