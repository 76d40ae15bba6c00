import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from paretobert.intervals import Interval
from paretobert.networks.network import Cut, Network
from paretobert.networks.shape import EncoderShape
from paretobert.networks.subnet import SubnetConfig, grid
from paretobert.profiling.environment import Environment
from paretobert.profiling.protocol import LatencyProtocol
from paretobert.profiling.statistics import NoiseReport
from paretobert.profiling.table import CostTable, LatencySummary, Profile

SHAPE = EncoderShape("bert", 4, 4, 6, 24, 40, 24, 53, 34, 2, 3)
CONFIGS = tuple(grid(SHAPE, widths=(1.0, 0.5), depths=(1.0, 0.5)))
ENVIRONMENT = Environment.capture()


def latency(ratio: float = 0.5, *, resolved: bool = True) -> LatencySummary:
    return LatencySummary(
        ratio=Interval(ratio, ratio * 0.99, ratio * 1.01, 5, "processes"),
        full_ms=Interval(10.0, 9.9, 10.1, 5, "processes"),
        resolved=resolved,
        process_ratios=tuple(ratio * noise for noise in (0.99, 0.995, 1.0, 1.005, 1.01)),
        session="table",
        num_runs=75,
    )


def network(config: SubnetConfig) -> Network:
    return Network(config.key, Cut(SHAPE, config))


def table(configs: tuple[SubnetConfig, ...] = CONFIGS) -> CostTable:
    profiles = tuple(
        Profile(network(config), 1000 + index, 2000 + index, 128, latency(1 / (1 + index)))
        for index, config in enumerate(configs)
    )
    noise = NoiseReport(5, 15, 90, 3, 0, 1, 0, 0.01)
    return CostTable(LatencyProtocol(), ENVIRONMENT, profiles, noise)


def test_a_network_is_looked_up_by_its_id() -> None:
    costs = table()
    assert len(costs) == 4
    assert [profile.network.config for profile in costs] == list(CONFIGS)
    third = network(CONFIGS[2])
    assert third.id in costs
    assert (costs[third.id].num_params, costs[third.id].num_flops) == (1002, 4004)
    assert costs.full is costs[network(CONFIGS[0]).id]
    absent = network(SubnetConfig((0,), (1,), (1,)))
    assert absent.id not in costs
    with pytest.raises(KeyError, match=f"no network {absent.id}"):
        costs[absent.id]


def test_a_table_has_each_network_once() -> None:
    for configs in (CONFIGS[:1] * 2, ()):
        with pytest.raises(ValueError, match="one profile for each of at least one network"):
            table(configs)


def test_what_is_not_known_is_no_value() -> None:
    profile = Profile(network(CONFIGS[0]), 10, None, 128)
    assert profile.values == profile.judged == {"num_params": 10}
    assert profile.num_flops is profile.throughput_per_s is None


def test_what_was_timed_is_judged_by_its_worse_end() -> None:
    profile = Profile(network(CONFIGS[0]), 10, 20, 128, latency(0.5), 30, 40, 0.5, 8.0)
    values, judged = profile.values, profile.judged
    time_ms = latency(0.5).time_ms
    assert values["throughput_per_s"] == pytest.approx(8 * 1000 / time_ms.value)
    assert judged["latency_ms"] == time_ms.high > values["latency_ms"]
    assert judged["throughput_per_s"] == pytest.approx(8 * 1000 / time_ms.high)
    assert judged["throughput_per_s"] < values["throughput_per_s"]
    assert judged["speedup"] == pytest.approx(1 / latency(0.5).ratio.high)
    assert judged["speedup"] < values["speedup"]
    exact = {name: value for name, value in values.items() if name in judged} | {
        name: judged[name] for name in ("latency_ms", "throughput_per_s", "speedup")
    }
    assert judged == exact


@pytest.mark.parametrize("timed", [True, False])
def test_a_profile_survives_json(*, timed: bool) -> None:
    profile = Profile(
        network(CONFIGS[1]), 10, 20, 128, latency(0.5) if timed else None, 30, 40, 0.5, 8.0
    )
    assert Profile.from_dict(json.loads(json.dumps(profile.to_dict()))) == profile


def test_speedups_and_ties() -> None:
    slow, fast = latency(0.5), latency(0.25)
    assert fast.speedup == 4
    assert slow.ratio_to(slow).holds(1)
    assert fast.ratio_to(slow).holds(1) is False
    assert fast.ratio_to(slow).value == pytest.approx(0.5)


def test_latencies_of_two_sessions_do_not_mix() -> None:
    with pytest.raises(ValueError, match="two sessions cannot be compared"):
        replace(latency(0.5), session="another").ratio_to(latency(0.25))


def test_a_time_is_the_ratio_times_the_reference() -> None:
    time_ms = latency(0.5).time_ms
    assert time_ms.value == pytest.approx(5.0)
    assert time_ms.low < 5.0 * 0.99
    assert time_ms.high > 5.0 * 1.01


def test_a_disturbed_table_says_so() -> None:
    quiet = table()
    assert quiet.disturbances == ()
    wide = replace(
        quiet, profiles=tuple(replace(e, latency=latency(resolved=False)) for e in quiet)
    )
    assert wide.disturbances == ("Not resolved: 4 of 4 latency intervals are wider than asked.",)
    assert quiet.noise is not None
    busy = replace(quiet, noise=replace(quiet.noise, foreign_share=0.4))
    assert "Other programs used 40% of the processors" in busy.disturbances[0]


@pytest.mark.parametrize(
    "change",
    [
        {"protocol": LatencyProtocol(threads=2)},
        {"environment": replace(ENVIRONMENT, processor="abacus")},
    ],
)
def test_conditions_differ_where_latencies_do_not_compare(change: dict[str, Any]) -> None:
    ours = table().conditions
    assert ours.id == replace(ours, environment=replace(ENVIRONMENT, load_after=9.0)).id
    assert ours.id == replace(ours, protocol=LatencyProtocol(time_budget_s=999.0)).id
    assert ours.id != replace(ours, **change).id


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"full_ms": Interval(10.0, 11.0, 12.0, 5, "processes")},
            "interval of the full model's time",
        ),
        ({"ratio": Interval(0.5, 0.0, 0.6, 5, "processes")}, "interval of the ratio"),
        ({"ratio": Interval(-0.5, -0.6, -0.4, 5, "processes")}, "interval of the ratio"),
    ],
)
def test_impossible_summaries_are_refused(change: dict[str, Interval], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(latency(), **change)


def test_impossible_profiles_are_refused() -> None:
    with pytest.raises(ValueError, match="num_macs must be a positive integer"):
        Profile(network(CONFIGS[0]), 1, 0, 1)


def test_tables_load_without_torch() -> None:
    modules = ("table", "measuring", "quietness", "counts", "fresh")
    program = (
        "import sys; "
        + "; ".join(f"import paretobert.profiling.{name}" for name in modules)
        + "; heavy = {'torch', 'transformers', 'pandas', 'sklearn', 'optuna'} & set(sys.modules)"
        + "; sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
