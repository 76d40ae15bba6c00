from dataclasses import replace

import pytest

from paretobert.search.candidate import Candidate, StatedScore

PUBLISHED = Candidate(
    label="TinyBERT (4 layers)",
    origin="published",
    config=None,
    num_params=14_500_000,
    num_flops=None,
    latency=None,
    evaluation=StatedScore("sst2", "dev", "accuracy", 0.926),
    source="table 1",
)


def test_survives_records(candidates: list[Candidate]) -> None:
    for candidate in (*candidates, PUBLISHED):
        assert Candidate.from_dict(candidate.to_dict()) == candidate


def test_values_and_judged_values(candidates: list[Candidate]) -> None:
    full = candidates[0]
    assert full.value("latency_ms") == 10.0
    assert full.judged["latency_ms"] == pytest.approx(10.2)
    assert full.speedup == 1.0
    assert PUBLISHED.judged == {"accuracy": 0.926, "num_params": 14_500_000}
    assert PUBLISHED.value("num_flops") is None
    assert PUBLISHED.speedup is None


def test_the_key_is_the_subnetworks(candidates: list[Candidate]) -> None:
    assert candidates[0].key == "L0.1.2.3-H4-F128"
    assert PUBLISHED.key == "TinyBERT (4 layers)"


def test_a_needed_value_is_named() -> None:
    with pytest.raises(ValueError, match="TinyBERT .* has no num_flops"):
        PUBLISHED.known_value("num_flops")


def test_incomplete_candidates_are_refused(candidates: list[Candidate]) -> None:
    with pytest.raises(ValueError, match="only a supernet's sub-network has a configuration"):
        replace(candidates[0], config=None)
    with pytest.raises(ValueError, match="only a supernet's sub-network has a configuration"):
        replace(PUBLISHED, config=candidates[0].config)
    with pytest.raises(ValueError, match="per-example outcomes"):
        replace(candidates[0], evaluation=PUBLISHED.evaluation)
    with pytest.raises(ValueError, match="names its source"):
        replace(PUBLISHED, source="")
    with pytest.raises(ValueError, match="origin must be one of"):
        replace(PUBLISHED, origin="rumour")
