"""Runtimes and precisions compared by the full model (no torch)."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from ...profiling.table import CostTable
from ...tasks.comparison import PairedComparison
from ..palette import DOMINATED, FRONT, FULL, INK
from .drawing import Picture, canvas, lengths, plain


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
class DeploymentFigure(Picture):
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

    @property
    def losses(self) -> list[tuple[int, float, float, float]]:
        """The losses that are known: place, value and the ends of the interval."""
        return [
            (place, bar.loss, bar.loss_low, bar.loss_high)
            for place, bar in enumerate(self.bars)
            if bar.loss is not None and bar.loss_low is not None and bar.loss_high is not None
        ]

    def drawn(self) -> Canvas:
        """Bars of latency, and beside them what each loses."""
        drawing = canvas()
        left, right = drawing.subplots(1, 2, sharey=True, width_ratios=(3, 2))
        plain(left, title=self.title)
        plain(right)
        bars, places = self.bars, list(range(len(self.bars)))
        times = [(bar.latency_ms, bar.low_ms, bar.high_ms) for bar in bars]
        values = [bar.latency_ms for bar in bars]
        left.barh(places, values, xerr=lengths(times), color=FRONT, ecolor=INK)
        for place, bar in zip(places, bars, strict=True):
            left.annotate(
                f"{bar.latency_ms:.3g}",
                (bar.high_ms, place),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
            )
        left.set_yticks(places, [bar.label for bar in bars])
        left.invert_yaxis()
        left.grid(axis="y", visible=False)
        left.set_xlabel(self.x_title, parse_math=False, fontsize=8)
        known = self.losses
        right.errorbar(
            [value for _, value, _, _ in known],
            [place for place, _, _, _ in known],
            xerr=lengths([(value, low, high) for _, value, low, high in known]),
            fmt="o",
            color=FULL,
            elinewidth=0.9,
        )
        right.axvline(0, color=DOMINATED, linewidth=1)
        right.xaxis.set_major_locator(MaxNLocator(4))
        right.set_xlabel("score lost against fp32")
        return drawing


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
