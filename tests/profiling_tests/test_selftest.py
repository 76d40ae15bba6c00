import json
from collections.abc import Callable

import pytest

from paretobert.profiling.protocol import LatencyProtocol
from paretobert.profiling.selftest import SelfTest, self_test
from paretobert.profiling.statistics import Estimate, NoiseReport

from .fake import FakeTime

PROTOCOL = LatencyProtocol(seq_len=8, time_budget_s=1000)
NOISE = (1.0, 1.03, 0.99, 1.01, 1.02)


def test_a_steady_machine_passes() -> None:
    fake = FakeTime()

    def noisy(time_s: float) -> Callable[[], None]:
        return fake.network(*(time_s * factor for factor in NOISE * 2000))

    depths = {layers: noisy(0.02 + 0.01 * layers) for layers in (1, 2, 4)}
    found = self_test(noisy(0.06), depths, PROTOCOL, clock=fake.clock())
    assert found.passed
    assert found.tied
    assert 0 <= found.noise_floor < 0.03
    assert [layers for layers, _ in found.steps] == [2, 4]
    assert found.steps[0][1].value > 1
    record = json.loads(json.dumps(found.to_dict()))
    assert record["passed"]
    assert record["noise_floor"] == found.noise_floor
    assert any("ties with itself" in line for line in found.sentences())


def test_a_deeper_network_that_is_faster_fails() -> None:
    fake = FakeTime()
    depths = {1: fake.network(0.05), 2: fake.network(0.03)}
    found = self_test(fake.network(0.06), depths, PROTOCOL, clock=fake.clock())
    assert found.tied
    assert found.faster_though_deeper == (2,)
    assert not found.passed
    assert any("FASTER" in line for line in found.sentences())


def test_a_network_that_differs_from_itself_fails() -> None:
    noise = NoiseReport(7, 35, 2, 0, 0, 0)
    found = SelfTest(Estimate(1.10, 1.05, 1.15), (), noise, PROTOCOL)
    assert not found.tied
    assert not found.passed
    assert found.noise_floor == pytest.approx(0.15)
    assert "does NOT tie" in found.sentences()[0]
