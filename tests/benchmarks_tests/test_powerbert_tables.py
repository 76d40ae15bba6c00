"""The printed tables of the PoWER-BERT benchmarks are those of their records."""

import copy
from pathlib import Path

import pytest
from powerbert_tables import table

from paretobert.storage import read_json

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "powerbert"


@pytest.mark.parametrize("task", ["imdb", "qnli", "rte", "sst2"])
def test_the_committed_table_is_that_of_its_record(task: str) -> None:
    printed = (RESULTS / task / "results.md").read_text()
    assert printed == table(read_json(RESULTS / task / "result.json"))
    assert "no interval" in printed or "without an interval" in printed


def test_kept_rounds_are_printed_with_their_range() -> None:
    result = copy.deepcopy(read_json(RESULTS / "rte" / "result.json"))
    result["sessions"] = {
        "batch 1": {"num_rounds": 5, "resolved": True},
        "batch 32": {"num_rounds": 3, "resolved": False},
    }
    ratio = {"value": 1.5, "low": 1.25, "high": 2.0, "rounds": [1.25, 1.5, 2.0]}
    for row in result["networks"]:
        row["speedup"]["batch 32"] = ratio
    printed = table(result)
    assert "batch 1: range of 5 rounds; batch 32: range of 3 rounds, not resolved" in printed
    assert printed.count("| 1.500 [1.250, 2.000] |") == len(result["networks"])


def test_a_row_says_who_chose_its_word_vectors() -> None:
    rows = table(read_json(RESULTS / "imdb" / "result.json")).splitlines()
    (by_hand,) = (row for row in rows if "-P82.71.40.8.4.1 |" in row)
    assert "put in by hand" in by_hand
    (ours,) = (row for row in rows if "L1.3.5-H3-F384-P81.19.1 |" in row)
    assert "tokens 0.5 of the supernet's space" in ours
