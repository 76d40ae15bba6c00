import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from paretobert.errors import InputError
from paretobert.networks.shape import EncoderShape
from paretobert.networks.subnet import SubnetConfig, grid
from paretobert.profiling.environment import Environment
from paretobert.profiling.protocol import LatencyProtocol
from paretobert.profiling.statistics import Estimate, NoiseReport
from paretobert.profiling.table import LatencySummary, LookupTable, Profile

SHAPE = EncoderShape("bert", 4, 4, 6, 24, 40, 24, 53, 34, 2, 3)
CONFIGS = tuple(grid(SHAPE, widths=(1.0, 0.5), depths=(1.0, 0.5)))
ENVIRONMENT = Environment.capture()


def latency(ratio: float = 0.5, *, resolved: bool = True) -> LatencySummary:
    return LatencySummary(
        ratio=Estimate(ratio, ratio * 0.99, ratio * 1.01, 5),
        full_ms=Estimate(10.0, 9.9, 10.1, 5),
        resolved=resolved,
        process_ratios=tuple(ratio * noise for noise in (0.99, 0.995, 1.0, 1.005, 1.01)),
        session="table",
        num_runs=75,
    )


def table(configs: tuple[SubnetConfig, ...] = CONFIGS) -> LookupTable:
    profiles = tuple(
        Profile(config, 1000 + index, 2000 + index, 128, latency(1 / (1 + index)))
        for index, config in enumerate(configs)
    )
    noise = NoiseReport(5, 15, 90, 3, 0, 1, 0, 0.01)
    return LookupTable(SHAPE, LatencyProtocol(), ENVIRONMENT, profiles, noise)


def test_a_saved_table_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "costs" / "cpu.jsonl"
    table().save(path)
    assert LookupTable.load(path) == table()
    assert [entry.name for entry in path.parent.iterdir()] == ["cpu.jsonl"]


def test_counts_alone_come_back(tmp_path: Path) -> None:
    profiles = tuple(replace(profile, latency=None) for profile in table())
    counted = replace(table(), profiles=profiles, noise=None)
    counted.save(tmp_path / "t.jsonl")
    assert LookupTable.load(tmp_path / "t.jsonl") == counted


def test_look_up() -> None:
    costs = table()
    assert len(costs) == 4
    assert costs[CONFIGS[2]].num_params == 1002
    assert costs[CONFIGS[2]].flops == 4004
    absent = SubnetConfig((0,), (1,), (1,))
    assert absent not in costs
    with pytest.raises(KeyError, match="no sub-network L0-H1-F1"):
        costs[absent]


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
    ("change", "message"),
    [
        ({"protocol": LatencyProtocol(threads=2)}, "protocol.threads: 1 and 2"),
        (
            {"environment": replace(ENVIRONMENT, processor="abacus")},
            f"environment.processor: {ENVIRONMENT.processor} and abacus",
        ),
        ({"shape": replace(SHAPE, num_labels=2)}, "shape.num_labels: 3 and 2"),
    ],
)
def test_foreign_conditions_are_named(change: dict[str, Any], message: str) -> None:
    ours = table().conditions
    assert ours.difference(ours) is None
    assert ours.difference(replace(ours, **change)) == message


def test_a_table_of_another_shape_is_impossible() -> None:
    with pytest.raises(InputError, match="the model allows at most"):
        replace(table(), shape=replace(SHAPE, num_layers=2))
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
        Profile(CONFIGS[0], 1, 0, 1)


def header_edit(edit: Callable[[dict[str, Any]], object]) -> Callable[[str], str]:
    def changed(text: str) -> str:
        first, rest = text.split("\n", 1)
        header = json.loads(first)
        edit(header)
        return json.dumps(header) + "\n" + rest

    return changed


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: "", "no field 'schema'"),
        (lambda text: "key,latency\nL0,5\n", "line 1, is not a JSON object"),
        (lambda text: '{"a": 1}\n', "no field 'schema'"),
        (lambda text: text[: len(text) // 2], "damaged in 'space'"),
        (lambda text: "\n".join(text.split("\n")[:-2]) + "\n", "damaged in 'space'"),
        (lambda text: text.replace('"num_macs": 2001', '"num_macs": "x"'), "'line 3'.*num_macs"),
        (lambda text: text.replace('"num_macs": 2001, ', ""), "field 'num_macs' is missing"),
        (lambda text: text.replace('{"value": 0.5,', '{"value": -0.5,'), "'line 3'"),
        (header_edit(lambda header: header.update(schema=99)), "field schema 99"),
        (header_edit(lambda header: header.pop("protocol")), "damaged in 'protocol'"),
        (header_edit(lambda header: header["protocol"].update(threads=0)), "threads must be"),
        (header_edit(lambda header: header["protocol"].update(speed=1)), "'protocol'.*speed"),
        (header_edit(lambda header: header.update(environment=3)), "damaged in 'environment'"),
        (header_edit(lambda header: header["shape"].pop("family")), "'shape'.*family"),
        (header_edit(lambda header: header["shape"].update(num_layers=1)), "damaged in 'space'"),
        (header_edit(lambda header: header["noise"].pop("num_redos")), "'noise'.*num_redos"),
    ],
)
def test_damaged_tables_are_refused(
    tmp_path: Path, damage: Callable[[str], str], message: str
) -> None:
    path = tmp_path / "costs.jsonl"
    table().save(path)
    path.write_text(damage(path.read_text()))
    with pytest.raises(InputError, match=rf"costs\.jsonl.*{message}"):
        LookupTable.load(path)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent.jsonl does not exist"):
        LookupTable.load(tmp_path / "absent.jsonl")


def test_tables_load_without_torch() -> None:
    modules = ("table", "processes", "measuring", "quietness", "counts", "fresh")
    program = (
        "import sys; "
        + "; ".join(f"import paretobert.profiling.{name}" for name in modules)
        + "; heavy = {'torch', 'transformers', 'pandas', 'sklearn', 'optuna'} & set(sys.modules)"
        + "; sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
