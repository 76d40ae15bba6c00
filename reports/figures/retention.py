"""How many word-vectors go through each layer (no torch)."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure as Canvas

from ...networks.retention import Retention
from ..palette import FRONT, FULL
from .drawing import Picture, canvas, legend, plain


@dataclass(frozen=True, slots=True)
class RetentionFigure(Picture):
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

    def drawn(self) -> Canvas:
        """Two bars for each layer."""
        drawing = canvas(height=4.2)
        axes = plain(drawing.add_subplot(), title=self.title)
        for label, shares, colour, shift in (
            ("attention", self.attending, FRONT, -0.2),
            ("feed-forward network", self.fed, FULL, 0.2),
        ):
            places = [layer + shift for layer in self.layers]
            axes.bar(places, shares, width=0.4, color=colour, label=label)
        axes.set_xticks(self.layers)
        axes.grid(axis="x", visible=False)
        axes.set_ylim(0, 100)
        axes.set_xlabel("layer")
        axes.set_ylabel("word-vectors, %")
        legend(drawing, axes)
        return drawing


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
    left = kept_shares(retention, lengths)
    mean = sum(lengths) / len(lengths)
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


def kept_shares(retention: Retention, lengths: Sequence[int]) -> list[float]:
    """The share of the word-vectors of texts that leave each kept layer, in percent."""
    whole = sum(lengths)
    return [
        100 * sum(layer) / whole
        for layer in zip(*(retention.kept(length) for length in lengths), strict=True)
    ]
