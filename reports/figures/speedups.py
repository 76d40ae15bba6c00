"""Speed-ups over widths and depths (no torch)."""

from collections.abc import Mapping
from dataclasses import dataclass

from matplotlib.figure import Figure as Canvas

from ...networks.subnet import SubnetConfig
from ...profiling.table import CostTable
from ..palette import INK
from .drawing import Picture, canvas


@dataclass(frozen=True, slots=True)
class HeatMapFigure(Picture):
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

    def drawn(self) -> Canvas:
        """A cell for each pair, darker where faster."""
        drawing = canvas(height=4.2)
        axes = drawing.add_subplot()
        values = [[value or 0.0 for value in row] for row in self.speedups]
        axes.imshow(values, cmap="Blues", aspect="auto", vmin=0)
        most = max(map(max, values))
        for i, row in enumerate(self.texts):
            for j, text in enumerate(row):
                colour = "white" if values[i][j] > 0.6 * most else INK
                axes.text(j, i, text, ha="center", va="center", color=colour, fontsize=9)
        axes.set_xticks(range(len(self.widths)), [f"{width:g}" for width in self.widths])
        axes.set_yticks(range(len(self.layers)), self.layers)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("width multiplier")
        axes.set_ylabel("layers")
        axes.set_title(self.title, loc="left", fontweight="bold")
        return drawing


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
    known = (cell.ratio.meaning for row in rows for cell in row if cell is not None)
    meaning = next(known, "95 % interval")
    return HeatMapFigure(
        name="speedups",
        title="Speed-up over widths and depths",
        caption=(
            f"How many times faster than the full model of the same round, with the {meaning}; "
            "“not resolved” where the time budget ended before it was narrow enough. "
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
                else cell.ratio.dividing(1).text(".2f").replace(" ", "\n", 1)
                + ("" if cell.resolved else "\nnot resolved")
                for cell in row
            )
            for row in rows
        ),
    )
