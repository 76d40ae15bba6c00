"""The ratios to the best, and the picks, of the benchmarks of extraction."""

import ose_bort
import ose_promise
import pytest

from paretobert.bort.options import SurrogateError
from paretobert.bort.published import PRINTED, RELEASED, ROBERTA_TABLES
from paretobert.bort.space import published_space
from paretobert.search.ose import Point, Size

POINTS = [Point(f"p{n}", Size(n, n)) for n in range(1, 9)]
TRIAL = ose_promise.Trial("made here", "sizes", "mlm", 0.1, (5, 20))


def errors(last: float) -> dict[tuple[int, int], dict[str, float]]:
    """Errors fall with the size; after 20 steps that of p2 is what is asked for."""
    falling = {f"p{n}": 10 - n for n in range(1, 8)}
    return {
        (steps, seed): falling | ({"p2": last} if steps == 20 else {})
        for steps in TRIAL.steps
        for seed in ose_promise.SEEDS
    }


def test_a_promise_is_kept_where_errors_fall() -> None:
    rows = ose_promise.judged(POINTS, errors(8.0), TRIAL)
    for row in rows:
        assert row["kept_of_blocks"] == row["kept_of_steps_too"] == 3
        assert row["of_which_larger_errs_no_more"] == row["neighbours_in_blocks"]
    exhaustive = [row for row in rows if row["epsilon"] == 0.01]
    assert all(row["of_blocks"] == [1.0] * 3 and row["trained"] == 7 for row in exhaustive)


def test_what_steps_hide_is_told_from_what_blocks_hide() -> None:
    """p2 turns out to be far better than a few steps show."""
    rows = ose_promise.judged(POINTS, errors(0.1), TRIAL)
    few = next(row for row in rows if (row["steps"], row["epsilon"]) == (5, 0.01))
    many = next(row for row in rows if (row["steps"], row["epsilon"]) == (20, 0.01))
    assert few["of_blocks"] == [1.0] * 3
    assert max(few["of_steps_too"]) < 0.1
    assert few["kept_of_steps_too"] == 0
    assert many["picks"] == ["p2"] * 3
    assert many["of_steps_too"] == [1.0] * 3


def test_neighbours_that_break_the_assumption_are_counted() -> None:
    assert ose_promise.falls(POINTS, {f"p{n}": n for n in range(1, 9)}, 1.0) == [False] * 6
    assert ose_promise.falls(POINTS, {f"p{n}": -n for n in range(1, 9)}, 1.0) == [True] * 6


def test_a_pick_says_where_the_published_ones_stand() -> None:
    points = [
        Point(
            each.key,
            Size(
                ose_bort.parameters(each, ROBERTA_TABLES),
                ose_bort.multiply_adds(each, seq_len=64),
            ),
        )
        for each in published_space()
    ]
    known = {point.name: SurrogateError(2.0, 1.0) for point in points}
    known[RELEASED.key] = SurrogateError(0.5, 1.0)
    found = ose_bort.pick(points, known, 1e-9)
    assert found is not None
    assert found["best"][0]["name"] == RELEASED.key
    assert found["trained"] == found["seconds"] == 297
    released, printed = found["published"]["released"], found["published"]["printed"]
    assert released["wins_with_an_error_below"] == pytest.approx(0.5, abs=1e-3)
    assert printed["wins_with_an_error_below"] == pytest.approx(
        printed["saved"] / found["best"][0]["w"], abs=1e-3
    )
    del known[PRINTED.key]
    assert ose_bort.pick(points, known, 1e-9) is None
    whatever = ose_bort.pick(points, known, ose_bort.WHATEVER_IS_KNOWN)
    assert whatever is not None
    assert whatever["epsilon"] is None
    assert whatever["published"]["printed"]["error"] is None
