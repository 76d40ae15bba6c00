import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from paretobert.networks.network import Cut, Network
from paretobert.networks.shape import EncoderShape
from paretobert.networks.subnet import SubnetConfig, grid
from paretobert.profiling.counts import count_macs, count_parameters
from paretobert.profiling.environment import Environment
from paretobert.profiling.protocol import LatencyProtocol
from paretobert.profiling.statistics import Estimate, NoiseReport
from paretobert.profiling.table import CostTable, LatencySummary, Profile

SHAPE = EncoderShape("bert", 4, 4, 6, 24, 40, 24, 53, 34, 2, 3)
CONFIGS = tuple(grid(SHAPE, widths=(1.0, 0.5), depths=(1.0, 0.5)))
ENVIRONMENT = Environment.capture()


def named(config: SubnetConfig) -> Network:
    return Network(config.key, Cut(SHAPE, config))


def latency(ratio: float = 0.5, *, resolved: bool = True) -> LatencySummary:
    return LatencySummary(
        ratio=Estimate(ratio, ratio * 0.99, ratio * 1.01, 5),
        full_ms=Estimate(10.0, 9.9, 10.1, 5),
        resolved=resolved,
        process_ratios=tuple(ratio * noise for noise in (0.99, 0.995, 1.0, 1.005, 1.01)),
        session="table",
        num_runs=75,
    )


def table(configs: tuple[SubnetConfig, ...] = CONFIGS) -> CostTable:
    profiles = tuple(
        Profile(named(config), 1000 + index, 2000 + index, 128, latency(1 / (1 + index)))
        for index, config in enumerate(configs)
    )
    noise = NoiseReport(5, 15, 90, 3, 0, 1, 0, 0.01)
    return CostTable(LatencyProtocol(), ENVIRONMENT, profiles, noise)


def test_profiles_survive_records() -> None:
    for entry in (*table(), replace(table().full, latency=None, size_bytes=3)):
        assert Profile.from_dict(json.loads(json.dumps(entry.to_dict()))) == entry


def test_look_up() -> None:
    costs = table()
    assert len(costs) == 4
    third = named(CONFIGS[2]).id
    assert costs[third].num_params == 1002
    assert costs[third].num_flops == 4004
    assert costs.full.network.config == CONFIGS[0]
    assert "absent" not in costs
    with pytest.raises(KeyError, match="no network absent"):
        costs["absent"]


def test_what_limits_are_held_against_is_the_worse_end() -> None:
    entry = replace(table()[named(CONFIGS[1]).id], sequences=4.0, size_bytes=10)
    latency = entry.latency
    assert latency is not None
    values, judged = entry.values, entry.judged
    assert values["latency_ms"] == pytest.approx(5.0)
    assert values["throughput_per_s"] == pytest.approx(800)
    assert values["speedup"] == pytest.approx(2.0)
    assert judged["latency_ms"] == latency.time_ms.high > values["latency_ms"]
    assert judged["throughput_per_s"] < values["throughput_per_s"]
    assert judged["speedup"] < values["speedup"]
    assert judged["size_bytes"] == 10
    assert "p99_ms" not in values
    assert replace(entry, latency=None).judged.keys() == {"num_params", "num_flops", "size_bytes"}


def test_counts_are_the_closed_forms() -> None:
    entry = Profile.counted(named(CONFIGS[3]), seq_len=16)
    assert entry.num_params == count_parameters(SHAPE, CONFIGS[3])
    assert entry.num_macs == count_macs(SHAPE, CONFIGS[3], seq_len=16)
    assert entry.latency is None


def test_speedups_and_ties() -> None:
    slow, fast = latency(0.5), latency(0.25)
    assert fast.speedup == 4
    assert slow.ties_with(slow)
    assert not slow.ties_with(fast)
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
        {"environment": replace(ENVIRONMENT, versions={"torch": "0.1"})},
    ],
)
def test_other_conditions_have_another_id(change: dict[str, Any]) -> None:
    ours = table().conditions
    assert replace(ours, **change).id != ours.id


@pytest.mark.parametrize(
    "change",
    [
        {"protocol": LatencyProtocol(time_budget_s=1.0, seed=3)},
        {"environment": replace(ENVIRONMENT, load_before=7.0, commit="abc", name="mine")},
    ],
)
def test_what_changes_no_latency_changes_no_id(change: dict[str, Any]) -> None:
    ours = table().conditions
    assert replace(ours, **change).id == ours.id


def test_a_machine_is_told_by_its_hardware() -> None:
    other = replace(ENVIRONMENT, versions={"torch": "0.1"}, python="2.7")
    assert other.machine_id == ENVIRONMENT.machine_id
    assert replace(ENVIRONMENT, num_cores=99).machine_id != ENVIRONMENT.machine_id
    assert replace(ENVIRONMENT, name="pi").machine == "pi"
    assert replace(ENVIRONMENT, processor="Some CPU @ 1 GHz", num_cores=4).machine == "some-4c"


def test_a_network_stands_once_in_a_table() -> None:
    with pytest.raises(ValueError, match="one profile for each"):
        table(CONFIGS[:1] * 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"full_ms": Estimate(10.0, 11.0, 12.0, 5)}, "interval of the full model's time"),
        ({"ratio": Estimate(0.5, 0.0, 0.6, 5)}, "interval of the ratio"),
        ({"ratio": Estimate(-0.5, -0.6, -0.4, 5)}, "interval of the ratio"),
    ],
)
def test_impossible_summaries_are_refused(change: dict[str, Estimate], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(latency(), **change)


def test_impossible_profiles_are_refused() -> None:
    with pytest.raises(ValueError, match="num_macs must be a positive integer"):
        Profile(named(CONFIGS[0]), 1, 0, 1)


def test_tables_load_without_torch() -> None:
    modules = ("table", "conditions", "measuring", "quietness", "counts", "fresh")
    program = (
        "import sys; "
        + "; ".join(f"import paretobert.profiling.{name}" for name in modules)
        + "; heavy = {'torch', 'transformers', 'pandas', 'sklearn', 'optuna'} & set(sys.modules)"
        + "; sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
