import json
from collections.abc import Callable

import pytest

from paretobert.intervals import Interval
from paretobert.profiling.protocol import LatencyProtocol
from paretobert.profiling.selftest import FULL, SelfTest, depth_name, self_test
from paretobert.profiling.statistics import NoiseReport

from .fake import FakeProcesses, FakeTime

PROTOCOL = LatencyProtocol(seq_len=8, time_budget_s=1000)
NOISE = (1.0, 1.004, 0.997, 1.001, 1.002)


def processes(times_s: dict[str, float], *, noise: float = 1.0) -> FakeProcesses:
    """Networks whose times differ a little between processes, each in its own way."""
    fake = FakeTime()

    def networks(index: int) -> dict[str, Callable[[], None]]:
        return {
            name: fake.network(time_s * NOISE[(index + place) % 5] ** noise)
            for place, (name, time_s) in enumerate(times_s.items())
        }

    return FakeProcesses(fake, networks, PROTOCOL, sentinel="sentinel")


def test_a_steady_machine_passes() -> None:
    depths = {depth_name(layers): 0.02 + 0.01 * layers for layers in (1, 2, 4)}
    found = self_test(processes({**dict.fromkeys(FULL, 0.06), **depths}), (4, 1, 2), PROTOCOL)
    assert found.passed
    assert found.tied
    assert 0 < found.noise_floor < 0.03
    assert [layers for layers, _ in found.steps] == [2, 4]
    assert found.steps[0][1].value > 1
    record = json.loads(json.dumps(found.to_dict()))
    assert record["passed"]
    assert record["noise_floor"] == found.noise_floor
    assert any("against itself: a tie" in line for line in found.sentences())


def test_a_deeper_network_that_is_faster_fails() -> None:
    depths = {depth_name(1): 0.05, depth_name(2): 0.03}
    start = processes({**dict.fromkeys(FULL, 0.06), **depths}, noise=0)
    found = self_test(start, (1, 2), PROTOCOL)
    assert found.tied
    assert found.faster_though_deeper == (2,)
    assert not found.passed
    assert any("FASTER" in line for line in found.sentences())


def test_a_network_that_differs_from_itself_fails() -> None:
    noise = NoiseReport(5, 15, 75, 2, 0, 0, 0)
    found = SelfTest(Interval(1.10, 1.05, 1.15, 5, "processes"), (), noise, PROTOCOL)
    assert found.tied is False
    assert not found.passed
    assert found.noise_floor == pytest.approx(0.15)
    assert "NO tie" in found.sentences()[0]


def test_too_few_processes_decide_nothing() -> None:
    same, step = (Interval(value, value, value, 2, "processes") for value in (1.0, 2.0))
    found = SelfTest(same, ((4, step),), NoiseReport(2, 6, 30, 2, 0, 0, 0), PROTOCOL)
    assert found.tied is None
    assert not found.passed
    assert sum("not decided, which takes 5 processes" in line for line in found.sentences()) == 2
