"""What a network costs before it is built: counted, measured, predicted or read off a line."""

import pytest

from paretobert.errors import InputError
from paretobert.networks.subnet import SubnetConfig
from paretobert.profiling.counts import count_macs, count_parameters
from paretobert.search.cost_model import MARGIN, CostModel

from .conftest import SHAPE, SPACE, cost_table, profile

FULL = SubnetConfig.full(SHAPE)
OTHER = SubnetConfig((0, 3), (3, 1), (96, 32))


def model(*quantities: str, measured: bool = True) -> CostModel:
    known = tuple(cost_table()) if measured else ()
    return CostModel(SHAPE, quantities, seq_len=128, measured=known)


def test_counts_need_no_measurement() -> None:
    costs = model("num_params", "num_flops", measured=False).of(OTHER)
    assert costs.values["num_params"] == count_parameters(SHAPE, OTHER)
    assert costs.values["num_flops"] == 2 * count_macs(SHAPE, OTHER, seq_len=128)
    assert costs.values == costs.judged


def test_what_was_measured_is_known() -> None:
    costs = model("latency_ms", "throughput_per_s", "peak_memory_bytes").of(FULL)
    expected = profile(FULL)
    assert costs.values == {name: expected.values[name] for name in costs.values}
    assert costs.judged == {name: expected.judged[name] for name in costs.judged}
    assert costs.judged["latency_ms"] > costs.values["latency_ms"]


def test_what_was_not_measured_is_read_off_a_line_with_a_margin() -> None:
    known = model("latency_ms", "speedup", "throughput_per_s", "size_bytes")
    costs, line = known.of(OTHER), known.estimator("latency_ms")
    assert line.source == "fitted"
    assert 0 < line.error < 0.5
    least, most = (profile(config).values["latency_ms"] for config in (min_config(), FULL))
    assert least < costs.values["latency_ms"] < most
    assert costs.judged["latency_ms"] == pytest.approx(
        costs.values["latency_ms"] * (1 + MARGIN * line.error)
    )
    assert costs.values["speedup"] == pytest.approx(10 / costs.values["latency_ms"])
    assert costs.judged["throughput_per_s"] == pytest.approx(1000 / costs.judged["latency_ms"])


def min_config() -> SubnetConfig:
    return list(SPACE.landmarks)[-1]


def test_a_line_needs_measurements() -> None:
    known = model("latency_ms", measured=False)
    with pytest.raises(InputError, match="profile the run first, or search by num_params"):
        known.of(OTHER)


class Predictor:
    """Says that every network takes a third of the full model's time."""

    def __init__(self, *, usable: bool) -> None:
        self.validation = type("Validation", (), {"usable": usable, "mape": 0.05})

    def predict(self, config: SubnetConfig) -> object:
        return type("Predicted", (), {"ratio": 1 / 3})


@pytest.mark.parametrize("usable", [True, False])
def test_a_predictor_comes_before_the_line_where_it_may_be_used(usable: bool) -> None:
    known = CostModel(
        SHAPE,
        ["latency_ms"],
        seq_len=128,
        measured=tuple(cost_table()),
        predictor=Predictor(usable=usable),
    )
    assert known.estimator("latency_ms").source == ("predicted" if usable else "fitted")
    if usable:
        assert known.of(OTHER).values["latency_ms"] == pytest.approx(10 / 3)
        assert known.of(OTHER).judged["latency_ms"] == pytest.approx(11 / 3)
    assert known.of(FULL).values["latency_ms"] == pytest.approx(10)
