"""The committed series of repeated measurements show what is said of them."""

import json
from pathlib import Path

import latency_repeats
import pytest
from latency_repeats import overlapping, summary, ties

RECORD = json.loads(Path(latency_repeats.__file__).with_name("latency_repeats.json").read_text())


def test_networks_tie_with_themselves():
    num_ties, num_pairs = ties(RECORD)
    assert num_pairs >= 100
    assert num_ties >= 0.95 * num_pairs


def test_two_profiles_an_hour_apart_agree():
    found = summary(RECORD)
    assert found == RECORD["summary"]
    assert found["minutes_apart"] >= 60
    assert found["overlapping"] >= 0.9 * found["networks"]
    full_ms = [profile["full_ms"] for profile in RECORD["profiles"]]
    assert full_ms[0] != full_ms[-1]


def test_a_difference_is_counted_as_one():
    apart = {"a": [0.5, 0.501, 0.499, 0.5, 0.502], "b": [1.0, 1.1, 0.9, 1.05, 1.0]}
    assert ties({"same": [{"process_ratios": apart}]}) == (1, 2)
    near = {key: [1.01 * ratio for ratio in ratios] for key, ratios in apart.items()}
    assert overlapping({"process_ratios": apart}, {"process_ratios": near}) == (1, 2)
    with pytest.raises(KeyError):
        overlapping({"process_ratios": apart}, {"process_ratios": {}})
