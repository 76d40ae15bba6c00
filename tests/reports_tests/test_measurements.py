"""The records behind the figures of what was measured, and that each can be drawn."""

from dataclasses import replace

import numpy as np
import pytest

from paretobert.networks.network import Cut, Network
from paretobert.networks.subnet import SubnetConfig, grid
from paretobert.profiling.environment import Environment
from paretobert.profiling.predictor import Check, Validation
from paretobert.profiling.protocol import LatencyProtocol
from paretobert.profiling.statistics import Round, Visit
from paretobert.profiling.table import CostTable, Profile
from paretobert.reports.figures.deployments import deployment_figure
from paretobert.reports.figures.predicted import prediction_figure
from paretobert.reports.figures.speedups import heat_map_figure
from paretobert.reports.figures.times import SHOWN_RUNS, distribution_figure
from paretobert.tasks.comparison import compare

from .conftest import MINILM, evaluation, is_drawn_alike, latency

PROTOCOL = LatencyProtocol()
CONFIGS = grid(MINILM, widths=(1.0, 0.5), depths=(1.0, 0.5))


def table(protocol=PROTOCOL, *, full_ms=30.0, resolved=True):
    profiles = [
        Profile(
            Network(config.key, Cut(MINILM, config)),
            num_params=1000,
            num_macs=1000,
            seq_len=128,
            latency=latency(full_ms * width * depth, full_ms=full_ms, resolved=resolved),
            size_bytes=90_000_000,
            peak_memory_bytes=500_000_000,
        )
        for config, (width, depth, _) in CONFIGS.items()
    ]
    return CostTable(protocol, Environment.capture(), tuple(profiles))


def rounds():
    return [
        Round(
            index,
            (
                Visit("full", (0.030, 0.031)),
                Visit("half", (0.015,) * 500),
                Visit("full", (0.030 * (1 + index / 100),) * 2),
            ),
            discarded=(Visit("half", (0.04, 0.05)),) if index == 1 else (),
        )
        for index in range(3)
    ]


def times():
    return distribution_figure(
        rounds(),
        sentinel="full",
        labels={"full": "full model", "half": "half <b>"},
        drift_tolerance=0.03,
        conditions="here",
    )


def predictions():
    checks = tuple(
        Check(
            config,
            replace(latency(30.0 * i), process_ratios=(1.0, 1.01, 1.0, 0.99)),
            30.0 * i * 1.02,
        )
        for i, config in enumerate(CONFIGS, 1)
    )
    return prediction_figure(Validation("blocks", 0.01, checks), num_fitted=40, conditions="here")


def deployments():
    right, wrong = evaluation(0.92), evaluation(0.90, seed=1)
    int8 = replace(PROTOCOL, runtime="onnxruntime", precision="int8")
    bf16 = replace(PROTOCOL, precision="bf16")
    return deployment_figure(
        [
            (table(), None),
            (table(int8, full_ms=7.0), compare(right, wrong)),
            (table(bf16, full_ms=10.0), None),
        ]
    )


def test_every_run_is_in_the_distribution() -> None:
    figure = times()
    assert [entry.label for entry in figure.networks] == ["half <b>", "full model"]
    half, full = figure.networks
    assert len(full.times_ms) == 3 * 4
    assert full.times_ms[:2] == pytest.approx((30.0, 31.0))
    assert len(half.times_ms) <= SHOWN_RUNS
    assert set(half.times_ms) == {15.0}
    assert half.discarded_ms == pytest.approx((40.0, 50.0))
    assert "1 visits" in figure.caption
    assert [index for index, _ in figure.drift] == [0, 0, 1, 1, 2, 2]
    changes = [change for _, change in figure.drift]
    assert changes[-1] == max(changes) > 0
    assert np.median(changes) == pytest.approx(0)


def test_the_heat_map_marks_what_is_not_resolved() -> None:
    figure = heat_map_figure(table(), CONFIGS, num_layers=6)
    assert (figure.widths, figure.layers) == ((1.0, 0.5), ("6 of 6", "3 of 6"))
    assert [list(row) for row in figure.speedups] == [
        pytest.approx([1.0, 2.0]),
        pytest.approx([2.0, 4.0]),
    ]
    assert figure.texts[1][1].startswith("4.00\n[3.94, ")
    assert "not resolved" not in figure.texts[0][0]
    assert (
        "not resolved" in heat_map_figure(table(resolved=False), CONFIGS, num_layers=6).texts[0][1]
    )


def test_a_cell_that_was_not_measured_is_empty() -> None:
    measured = table()
    some = CostTable(PROTOCOL, measured.environment, measured.profiles[:3])
    figure = heat_map_figure(some, CONFIGS, num_layers=6)
    assert figure.speedups[1][1] is None
    assert figure.texts[1][1] == ""
    assert figure.png().startswith(b"\x89PNG")


def test_predictions_carry_the_predictors_figures() -> None:
    figure = predictions()
    assert figure.predicted_ms == pytest.approx([1.02 * ms for ms in figure.measured_ms])
    assert "mean absolute error 2.0%" in figure.caption
    assert "Kendall tau 1.000" in figure.caption
    assert "40 measured ones" in figure.caption
    assert figure.labels[0] == SubnetConfig.full(MINILM).key


def test_deployments_show_latency_and_what_it_costs() -> None:
    figure = deployments()
    assert [bar.label for bar in figure.bars] == ["onnxruntime int8", "eager bf16", "eager fp32"]
    int8, bf16, fp32 = figure.bars
    assert (int8.latency_ms, int8.size_mb, int8.memory_mb) == (7.0, 90.0, 500.0)
    assert int8.loss == pytest.approx(0.02, abs=0.005)
    assert int8.loss_low < int8.loss < int8.loss_high
    assert bf16.loss is None
    assert (fp32.loss, fp32.loss_low, fp32.loss_high) == (0, 0, 0)
    assert "batch 1 x 128 tokens, cpu, 1 thread" in figure.x_title


@pytest.mark.parametrize(
    "figure",
    [times(), heat_map_figure(table(), CONFIGS, num_layers=6), predictions(), deployments()],
    ids=lambda figure: figure.name,
)
def test_every_record_can_be_drawn(figure) -> None:
    is_drawn_alike(figure)


def test_an_interval_that_ends_at_its_value_can_be_drawn() -> None:
    figure = deployments()
    bars = list(figure.bars)
    bars[0] = replace(bars[0], loss=0.1 + 0.2, loss_high=0.3)
    assert replace(figure, bars=tuple(bars)).png().startswith(b"\x89PNG")
