"""Figures of what was measured: every run's time, speed-ups, predictions, deployments (no torch).

As in `reports.figures`, a function computes a record of plain numbers and words, which tests
compare; `reports.static` draws any of them as PNG and SVG, for the page and for papers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..networks.retention import Retention
from ..networks.subnet import SubnetConfig
from ..profiling.predictor import Validation
from ..profiling.statistics import Round
from ..profiling.table import CostTable
from ..tasks.metrics import PairedComparison

_MS_PER_S = 1000.0
SHOWN_RUNS = 400
"""Runs of one network that are drawn at most, spread evenly over time."""


@dataclass(frozen=True, slots=True)
class NetworkTimes:
    """The run times of one network.

    Attributes:
        label: Its name.
        times_ms: Runs that count, in order of time, thinned to `SHOWN_RUNS`.
        discarded_ms: Runs of visits that were repeated.
    """

    label: str
    times_ms: tuple[float, ...]
    discarded_ms: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class DistributionFigure:
    """Every run's time, and how steady the machine was.

    Attributes:
        name: Its name in files and anchors.
        title: The heading.
        caption: What is shown, in sentences.
        networks: The networks, fastest first.
        drift: For each visit of the sentinel in order of time, the round and its median relative
            to the median of all of them.
        drift_tolerance: Relative difference within a round from which it is measured again.
        x_title: Time and its unit, with the conditions.
    """

    name: str
    title: str
    caption: str
    networks: tuple[NetworkTimes, ...]
    drift: tuple[tuple[int, float], ...]
    drift_tolerance: float
    x_title: str


@dataclass(frozen=True, slots=True)
class HeatMapFigure:
    """Speed-ups over widths and depths.

    Attributes:
        name: Its name in files and anchors.
        title: The heading.
        caption: What is shown, in sentences.
        widths: Width multipliers, columns from left to right.
        layers: Kept layers of the model's, rows from top to bottom.
        speedups: By row and column; None where nothing was measured.
        texts: What stands in each cell.
    """

    name: str
    title: str
    caption: str
    widths: tuple[float, ...]
    layers: tuple[str, ...]
    speedups: tuple[tuple[float | None, ...], ...]
    texts: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class PredictionFigure:
    """Predicted against measured latencies of held-out networks.

    Attributes:
        name: Its name in files and anchors.
        title: The heading.
        caption: What is shown, in sentences.
        labels: The networks' keys.
        measured_ms: Measured medians.
        low_ms: Lower ends of their intervals.
        high_ms: Upper ends of their intervals.
        predicted_ms: Predictions.
        noise_floor: Half-width of the band around the diagonal, relative.
        axis_title: Conditions, for both axes.
    """

    name: str
    title: str
    caption: str
    labels: tuple[str, ...]
    measured_ms: tuple[float, ...]
    low_ms: tuple[float, ...]
    high_ms: tuple[float, ...]
    predicted_ms: tuple[float, ...]
    noise_floor: float
    axis_title: str


@dataclass(frozen=True, slots=True)
class DeploymentBar:
    """The full model as one deployment runs it.

    Attributes:
        label: Runtime and precision.
        latency_ms: Median latency.
        low_ms: Lower end of its interval.
        high_ms: Upper end of its interval.
        size_mb: Megabytes on disk, None where unknown.
        memory_mb: Peak megabytes of a fresh process, None where unknown.
        loss: Score lost against fp32 on the search split; 0 where the logits are the same, None
            where it was not scored.
        loss_low: Lower end of its interval.
        loss_high: Upper end of its interval.
    """

    label: str
    latency_ms: float
    low_ms: float
    high_ms: float
    size_mb: float | None
    memory_mb: float | None
    loss: float | None
    loss_low: float | None
    loss_high: float | None


@dataclass(frozen=True, slots=True)
class DeploymentFigure:
    """Runtimes and precisions compared by the full model.

    Attributes:
        name: Its name in files and anchors.
        title: The heading.
        caption: What is shown, in sentences.
        bars: The deployments, fastest first.
        x_title: Latency, its unit and the conditions.
    """

    name: str
    title: str
    caption: str
    bars: tuple[DeploymentBar, ...]
    x_title: str


@dataclass(frozen=True, slots=True)
class RetentionFigure:
    """How many word-vectors go through each layer.

    Attributes:
        name: Its name in files and anchors.
        title: The heading.
        caption: What is shown, in sentences.
        layers: The layers, counted from 1.
        attending: Share of the word-vectors that each layer's attention sees, in percent.
        fed: Share that its feed-forward network sees, in percent.
    """

    name: str
    title: str
    caption: str
    layers: tuple[int, ...]
    attending: tuple[float, ...]
    fed: tuple[float, ...]


Figure = DistributionFigure | HeatMapFigure | PredictionFigure | DeploymentFigure | RetentionFigure


def distribution_figure(
    rounds: Sequence[Round],
    *,
    sentinel: str,
    labels: Mapping[str, str],
    drift_tolerance: float,
    conditions: str,
) -> DistributionFigure:
    """Gather every run of some rounds.

    Args:
        rounds: Finished rounds of the same networks.
        sentinel: The network that ratios refer to.
        labels: A label for each network.
        drift_tolerance: See `DistributionFigure`.
        conditions: Protocol and machine as one line.
    """
    networks = [
        NetworkTimes(
            label,
            _thinned([t for entry in rounds for v in entry.visits_of(key) for t in v.times_s]),
            _thinned(
                [
                    time_s
                    for entry in rounds
                    for visit in entry.discarded
                    if visit.network == key
                    for time_s in visit.times_s
                ]
            ),
        )
        for key, label in labels.items()
    ]
    medians = [
        (entry.index, visit.median_s) for entry in rounds for visit in entry.visits_of(sentinel)
    ]
    middle = float(np.median([median for _, median in medians]))
    num_discarded = sum(len(entry.discarded) for entry in rounds)
    return DistributionFigure(
        name="times",
        title="Every run that was timed",
        caption=(
            f"Left: each run of {len(rounds)} rounds, its median as a line; crosses are runs of "
            f"the {num_discarded} visits that were repeated because they were noisy or the "
            "machine drifted. Right: each visit of the full model, which begins, halves and ends "
            "every round, relative to the median of all; ratios are taken within a round, so "
            "slow drift cancels."
        ),
        networks=tuple(sorted(networks, key=lambda entry: np.median(entry.times_ms))),
        drift=tuple((index, median / middle - 1) for index, median in medians),
        drift_tolerance=drift_tolerance,
        x_title=f"ms per run\n{conditions}",
    )


def heat_map_figure(
    table: CostTable,
    configs: Mapping[SubnetConfig, tuple[float, float, float]],
    *,
    num_layers: int,
) -> HeatMapFigure:
    """Gather the speed-ups of a space of widths and depths, without elimination of tokens.

    Args:
        table: The costs.
        configs: The sub-networks with their width, depth and tokens multipliers.
        num_layers: Layers of the full model.
    """
    pairs = {
        config: (width, depth) for config, (width, depth, tokens) in configs.items() if tokens == 1
    }
    widths = tuple(sorted({width for width, _ in pairs.values()}, reverse=True))
    kept = {depth: config.num_layers for config, (_, depth) in pairs.items()}
    depths = sorted(kept, reverse=True)
    by_config = {entry.network.config: entry.latency for entry in table if entry.network.is_cut}
    by_pair = {pair: by_config[config] for config, pair in pairs.items() if config in by_config}
    rows = [[by_pair.get((width, depth)) for width in widths] for depth in depths]
    return HeatMapFigure(
        name="speedups",
        title="Speed-up over widths and depths",
        caption=(
            "How many times faster than the full model of the same round, with the 95 % "
            "interval; “not resolved” where the time budget ended before it was narrow enough. "
            f"{table.protocol.title}; {table.environment.title}."
        ),
        widths=widths,
        layers=tuple(f"{kept[depth]} of {num_layers}" for depth in depths),
        speedups=tuple(
            tuple(None if cell is None else cell.speedup for cell in row) for row in rows
        ),
        texts=tuple(
            tuple(
                ""
                if cell is None
                else cell.ratio.dividing(1).text(".3g").replace(" ", "\n", 1)
                + ("" if cell.resolved else "\nnot resolved")
                for cell in row
            )
            for row in rows
        ),
    )


def prediction_figure(
    validation: Validation, *, num_fitted: int, conditions: str
) -> PredictionFigure:
    """Gather a predictor's held-out networks.

    Args:
        validation: Predictions beside measurements.
        num_fitted: Networks that the predictor was fitted on.
        conditions: Protocol and machine as one line.
    """
    checks = validation.checks
    return PredictionFigure(
        name="predicted",
        title="Latency predicted for networks that were not fitted on",
        caption=(
            f"{len(checks)} random networks whose layers differ, predicted from {num_fitted} "
            f"measured ones ({validation.model}): mean absolute error {validation.mape:.1%}, "
            f"worst {validation.worst:.1%}, Kendall tau {validation.kendall_tau:.3f}. The band "
            f"is the noise floor, {validation.noise_floor:.1%}: what measuring a second time "
            "would err by. Bars are 95 % intervals of the measurement."
        ),
        labels=tuple(check.config.key for check in checks),
        measured_ms=tuple(check.measured.time_ms.value for check in checks),
        low_ms=tuple(check.measured.time_ms.low for check in checks),
        high_ms=tuple(check.measured.time_ms.high for check in checks),
        predicted_ms=tuple(check.predicted_ms for check in checks),
        noise_floor=validation.noise_floor,
        axis_title=f"ms per batch\n{conditions}",
    )


def deployment_figure(
    deployments: Sequence[tuple[CostTable, PairedComparison | None]],
) -> DeploymentFigure:
    """Gather the full model's costs and losses over deployments.

    Args:
        deployments: Cost tables that differ in runtime and precision alone, each with the full
            model in fp32 compared with the full model as deployed; None where it was not scored.
    """
    bars = []
    for table, loss in deployments:
        full, deployment = table.full, table.protocol.deployment
        if full.latency is None:
            continue
        interval: tuple[float | None, float | None, float | None] = (None, None, None)
        if not deployment.changes_numbers:
            interval = (0.0, 0.0, 0.0)
        elif loss is not None:
            interval = (loss.interval.value, loss.interval.low, loss.interval.high)
        bars.append(
            DeploymentBar(
                label=deployment.title,
                latency_ms=full.latency.time_ms.value,
                low_ms=full.latency.time_ms.low,
                high_ms=full.latency.time_ms.high,
                size_mb=None if full.size_bytes is None else full.size_bytes / 1e6,
                memory_mb=None if full.peak_memory_bytes is None else full.peak_memory_bytes / 1e6,
                loss=interval[0],
                loss_low=interval[1],
                loss_high=interval[2],
            )
        )
    first = deployments[0][0]
    batch = first.protocol.title.rpartition(", ")[0]
    return DeploymentFigure(
        name="deployments",
        title="The full model on each runtime and precision",
        caption=(
            "Left: median latency with its 95 % interval. Right: score lost against fp32 on the "
            "search split, with the paired 95 % interval; 0 where the runtime was checked to give "
            "the same logits."
        ),
        bars=tuple(sorted(bars, key=lambda bar: bar.latency_ms)),
        x_title=f"median latency, ms per batch\n{batch}; {first.environment.title}",
    )


def retention_figure(
    retention: Retention, *, label: str, lengths: Sequence[int], name: str = "retention"
) -> RetentionFigure:
    """Gather a retention configuration, averaged over a task's lengths.

    Args:
        retention: The configuration.
        label: Whose it is.
        lengths: The task's lengths in tokens.
        name: The figure's name, where there are several.
    """
    whole = sum(lengths)
    left = [
        100 * sum(layer) / whole
        for layer in zip(*(retention.kept(length) for length in lengths), strict=True)
    ]
    mean = whole / len(lengths)
    return RetentionFigure(
        name=name,
        title=f"Word-vectors kept: {label}",
        caption=(
            f"The retention configuration {retention.key} on inputs of the task's lengths, "
            f"{mean:.0f} tokens on average: the share of word-vectors that each layer's attention "
            "sees, and after elimination its feed-forward network."
        ),
        layers=tuple(range(1, len(left) + 1)),
        attending=(100.0, *left[:-1]),
        fed=tuple(left),
    )


def to_dict(figure: Figure) -> dict[str, Any]:
    """A record's fields as JSON types."""
    return asdict(figure)


def identity_ends(figure: PredictionFigure) -> list[float]:
    """Where the line of perfect prediction begins and ends."""
    values = (*figure.low_ms, *figure.high_ms, *figure.predicted_ms)
    return [0.95 * min(values), 1.05 * max(values)]


def losses(figure: DeploymentFigure) -> tuple[list[float], list[float], list[float]]:
    """The losses that are known, with the ends of their intervals."""
    known = [
        (bar.loss, bar.loss_low, bar.loss_high)
        for bar in figure.bars
        if bar.loss is not None and bar.loss_low is not None and bar.loss_high is not None
    ]
    return [v for v, _, _ in known], [low for _, low, _ in known], [high for _, _, high in known]


def _thinned(times_s: Sequence[float]) -> tuple[float, ...]:
    step = max(1, -(-len(times_s) // SHOWN_RUNS))
    return tuple(time_s * _MS_PER_S for time_s in times_s[::step])
