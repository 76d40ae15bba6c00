"""How long a worker waits whose claim came too late."""

from itertools import pairwise
from random import Random
from statistics import mean

import pytest

from paretobert.search.backoff import backoff_s


def drawn(lost: int, *, worker: str = "a") -> list[float]:
    generator = Random(worker)
    return [backoff_s(lost, generator) for _ in range(2_000)]


@pytest.mark.parametrize("lost", [1, 2, 5, 10, 10_000])
def test_a_wait_is_drawn_evenly_up_to_its_bound(lost: int) -> None:
    bound = {1: 0.1, 2: 0.2}.get(lost, 1.6)
    waits = drawn(lost)
    assert 0 <= min(waits) < 0.01 * bound
    assert 0.99 * bound < max(waits) <= bound
    assert mean(waits) == pytest.approx(bound / 2, rel=0.05)


def test_it_doubles_with_every_lost_claim_until_it_is_long_enough() -> None:
    longest = [max(drawn(lost)) for lost in range(1, 9)]
    ratios = [after / before for before, after in pairwise(longest)]
    doubled = [ratio for ratio in ratios if ratio == pytest.approx(2)]
    assert ratios[: len(doubled)] == doubled
    assert len(doubled) >= 4
    assert ratios[-1] == pytest.approx(1)


def test_workers_wait_differently_and_each_the_same_again() -> None:
    assert drawn(3, worker="a") == drawn(3, worker="a")
    assert not set(drawn(3, worker="a")) & set(drawn(3, worker="b"))
