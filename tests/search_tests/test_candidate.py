import pytest

from paretobert.deploy.deployment import EAGER_FP32, Deployment
from paretobert.search.candidate import Candidate, StatedScore

from .conftest import SPACE, candidate, evaluation, latency, printed, stored

PUBLISHED = printed(
    "TinyBERT (4 layers)",
    StatedScore("sst2", "dev", "accuracy", 0.926),
    num_params=14_500_000,
)


def test_survives_records(candidates: list[Candidate]) -> None:
    for entry in (*candidates, PUBLISHED, stored("mine", evaluation(100))):
        assert Candidate.from_dict(entry.to_dict()) == entry


def test_values_and_judged_values(candidates: list[Candidate]) -> None:
    full = candidates[0]
    assert full.value("latency_ms") == 10.0
    assert full.judged["latency_ms"] == pytest.approx(10.2)
    assert full.value("throughput_per_s") == pytest.approx(100)
    assert full.judged["throughput_per_s"] == pytest.approx(1000 / 10.2)
    assert full.speedup == 1.0
    assert full.judged["speedup"] == pytest.approx(1 / 1.02)
    assert full.judged["size_bytes"] == full.value("size_bytes") == 4_000_000
    assert PUBLISHED.judged == {"score": 0.926, "num_params": 14_500_000}
    assert PUBLISHED.value("num_flops") is None
    assert PUBLISHED.speedup is None


def test_the_same_network_on_two_runtimes_is_two_candidates() -> None:
    config = next(iter(SPACE.landmarks))
    first = candidate(config)
    second = candidate(config, deployment=Deployment("openvino", "int8"))
    assert first.network == second.network
    assert first.key == f"{first.network.id}/eager-fp32"
    assert second.key == f"{first.network.id}/openvino-int8"
    assert first.name == second.name == "L0.1.2.3-H4-F128"
    assert first.label == "width 1, 4 of 4 layers"


def test_where_a_network_is_from(candidates: list[Candidate]) -> None:
    assert [
        entry.origin for entry in (candidates[0], stored("mine", evaluation(9)), PUBLISHED)
    ] == [
        "supernet",
        "stored",
        "published",
    ]
    assert candidates[0].is_full
    assert not candidates[1].is_full
    assert not stored("mine", evaluation(9)).is_full


def test_another_latency(candidates: list[Candidate]) -> None:
    found = candidates[0].timed(latency(5.0))
    assert found.value("latency_ms") == 5.0
    assert found.key == candidates[0].key
    assert candidates[0].timed(None).judged.keys() & {"latency_ms", "speedup"} == set()


def test_a_candidate_is_one_line(candidates: list[Candidate]) -> None:
    assert repr(candidates[0]).startswith("<Candidate width 1, 4 of 4 layers (")
    assert "accuracy 0.9000" in repr(candidates[0])
    assert "\n" not in repr(candidates[0])


def test_a_needed_value_is_named() -> None:
    with pytest.raises(ValueError, match="TinyBERT .* has no num_flops"):
        PUBLISHED.known_value("num_flops")


def test_what_was_run_has_outcomes(candidates: list[Candidate]) -> None:
    with pytest.raises(ValueError, match="per-example outcomes"):
        Candidate(candidates[0].profile, EAGER_FP32, PUBLISHED.evaluation)
