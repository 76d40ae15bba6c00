"""Predicted against measured latencies of held-out networks (no torch)."""

from dataclasses import dataclass

from matplotlib.figure import Figure as Canvas

from ...profiling.predictor import Validation
from ..palette import DOMINATED, FRONT
from .drawing import Picture, canvas, legend, lengths, plain


@dataclass(frozen=True, slots=True)
class PredictionFigure(Picture):
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

    @property
    def ends(self) -> list[float]:
        """Where the line of perfect prediction begins and ends."""
        values = (*self.low_ms, *self.high_ms, *self.predicted_ms)
        return [0.95 * min(values), 1.05 * max(values)]

    def drawn(self) -> Canvas:
        """A mark for each network beside the line of perfect prediction."""
        drawing = canvas()
        axes = plain(drawing.add_subplot(), title=self.title)
        floor = self.noise_floor
        low, high = ([end * (1 + sign * floor) for end in self.ends] for sign in (-1, 1))
        axes.fill_between(self.ends, low, high, color=DOMINATED, alpha=0.3, label="noise floor")
        axes.plot(self.ends, self.ends, color=DOMINATED, linewidth=1, label="perfect prediction")
        axes.errorbar(
            self.measured_ms,
            self.predicted_ms,
            xerr=lengths(list(zip(self.measured_ms, self.low_ms, self.high_ms, strict=True))),
            fmt="o",
            color=FRONT,
            markersize=5,
            elinewidth=0.9,
            label="held-out network",
        )
        axes.set_xlabel(f"measured, {self.axis_title}", parse_math=False)
        axes.set_ylabel("predicted, ms per batch")
        legend(drawing, axes)
        return drawing


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
