"""Every run that was timed, and how steady the machine was (no torch)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from ...profiling.statistics import Round
from ..palette import FRONT, FULL, INK
from .drawing import Picture, canvas, legend, log_axis, plain

_MS_PER_S = 1000.0
SHOWN_RUNS = 400
"""Runs of one network that are drawn at most, spread evenly over time."""

_BELOW = 0.32
"""How far under a network's runs those of repeated visits stand, in rows."""


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
class DistributionFigure(Picture):
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

    def drawn(self) -> Canvas:
        """Boxes of each network's runs, and the full model's visits beside them."""
        drawing = canvas()
        left, right = drawing.subplots(1, 2, width_ratios=(2, 1))
        plain(left, title=self.title)
        plain(right)
        places = list(range(len(self.networks)))
        left.boxplot(
            [entry.times_ms for entry in self.networks],
            positions=places,
            orientation="horizontal",
            widths=0.35,
            boxprops={"color": INK},
            flierprops={"marker": ".", "markersize": 3, "markeredgecolor": FRONT},
            medianprops={"color": FRONT, "linewidth": 2},
            tick_labels=[entry.label for entry in self.networks],
        )
        left.plot([], [], ".", color=FRONT, label="runs that count, beyond the whiskers")
        for place, entry in zip(places, self.networks, strict=True):
            left.plot(
                entry.discarded_ms,
                [place - _BELOW] * len(entry.discarded_ms),
                "|",
                color=FULL,
                markersize=5,
                label=None if place else "runs of visits that were repeated",
            )
        every = [t for entry in self.networks for t in (*entry.times_ms, *entry.discarded_ms)]
        log_axis(left.xaxis, min(every), max(every))
        left.set_xlabel(self.x_title, parse_math=False, fontsize=8)
        left.tick_params(axis="y", labelsize=7)
        right.plot(
            [index + 1 for index, _ in self.drift],
            [100 * change for _, change in self.drift],
            "o",
            color=FRONT,
            markersize=4,
        )
        right.xaxis.set_major_locator(MaxNLocator(integer=True))
        right.set_xlabel("round")
        right.set_ylabel("full model, % from its median")
        legend(drawing, left)
        return drawing


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
            f"Left: each run of {len(rounds)} rounds, its median as a line; ticks are runs of "
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


def _thinned(times_s: Sequence[float]) -> tuple[float, ...]:
    step = max(1, -(-len(times_s) // SHOWN_RUNS))
    return tuple(time_s * _MS_PER_S for time_s in times_s[::step])
