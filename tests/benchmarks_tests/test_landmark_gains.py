"""What a search gains over landmarks, from invented rows and answers."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from landmark_gains import (
    against_landmarks,
    gains_over_landmarks,
    keeping_every_token,
)

from paretobert.networks.retention import Retention
from paretobert.networks.subnet import SubnetConfig
from paretobert.tasks.scores import Evaluation

from ..evaluations import scored

LANDMARK = SubnetConfig((0, 1), (2, 2), (32, 32))
SMALLER = SubnetConfig((1,), (2,), (32,))
OTHER = SubnetConfig((0, 1), (3, 1), (48, 16))


def row(series: str, config: SubnetConfig, speedup: float) -> dict[str, Any]:
    return {
        "series": series,
        "name": config.key,
        "key": config.key,
        "eager": {"speedup": speedup},
    }


def outcomes(**right: Sequence[int]) -> dict[str, dict[str, Evaluation]]:
    """Of networks with so many right answers on each split."""
    return {
        split: {name: scored(pair[place], of=100, split=split) for name, pair in right.items()}
        for place, split in enumerate(("search", "report"))
    }


ROWS = {
    "grid": row("own", LANDMARK, 4.1),
    "finished_grid": row("finished", LANDMARK, 4.1),
    "found": row("finished", OTHER, 4.3),
    "supernet": row("sandwich", SMALLER, 9.0),
}


def test_the_gain_is_on_report_of_what_search_chooses_over_seeds() -> None:
    seeds = [
        outcomes(grid=(80, 80), finished_grid=(85, 84), found=(90, 88), supernet=(99, 99)),
        outcomes(grid=(80, 80), finished_grid=(85, 84), found=(90, 86)),
    ]
    found = gains_over_landmarks([LANDMARK, SMALLER], ROWS, seeds)
    (at_four,) = (entry for entry in found if entry["speedup"] == 4.0)
    assert [answer["landmark"] for answer in at_four["answers"]] == ["finished_grid"] * 2
    assert [answer["all"] for answer in at_four["answers"]] == ["found"] * 2
    assert [answer["gain"]["value"] for answer in at_four["answers"]] == pytest.approx(
        [0.04, 0.02]
    )
    assert at_four["gain"]["value"] == pytest.approx(0.03)
    assert at_four["gain"]["low"] < 0.02 < 0.04 < at_four["gain"]["high"]
    assert max(entry["speedup"] for entry in found) == 4.0


def test_a_seed_that_lacks_an_answer_leaves_a_speedup_out() -> None:
    seeds = [outcomes(grid=(80, 80), found=(90, 88)), outcomes(found=(90, 88))]
    assert gains_over_landmarks([LANDMARK, SMALLER], ROWS, seeds) == []


def test_what_a_search_found_is_held_against_faster_landmarks_of_any_recipe() -> None:
    known = outcomes(grid=(80, 80), finished_grid=(85, 84), found=(90, 88), supernet=(70, 75))
    (entry,) = against_landmarks([LANDMARK, SMALLER], ROWS, known)
    assert entry["network"] == f"finished {OTHER.key}"
    assert entry["landmark"] == f"sandwich {SMALLER.key}"
    assert entry["gain"]["value"] == pytest.approx(0.13)


def test_what_eliminates_is_no_landmark() -> None:
    config = replace(LANDMARK, tokens=Retention.from_multiplier(2, 0.5))
    rows = {**ROWS, "eliminating": row("finished", config, 6.0)}
    assert keeping_every_token(rows) == ROWS
    seeds = [
        outcomes(grid=(80, 80), finished_grid=(85, 84), eliminating=(90, 88)),
        outcomes(grid=(80, 80), finished_grid=(85, 84), eliminating=(90, 86)),
    ]
    (at_four,) = (
        entry for entry in gains_over_landmarks([LANDMARK], rows, seeds) if entry["speedup"] == 4.0
    )
    assert [answer["all"] for answer in at_four["answers"]] == ["eliminating"] * 2
    assert [answer["landmark"] for answer in at_four["answers"]] == ["finished_grid"] * 2
