"""What networks keep of each layer: heads, neurons and word-vectors (no torch)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure as Canvas

from ...networks.network import Network
from ...networks.shape import EncoderShape
from ..palette import DOMINATED, FRONT, FULL, QUIET
from .drawing import Picture, canvas, legend, plain
from .retention import kept_shares

MOST = 12
"""Networks in the figure at most, evenly along the front."""

PARTS = {"heads": FRONT, "neurons": FULL, "word-vectors": DOMINATED}
"""What a layer keeps a share of, each in its colour."""


@dataclass(frozen=True, slots=True)
class KeptLayers:
    """What one network keeps.

    Attributes:
        title: Whose it is.
        shares: By part the share that each layer keeps, in percent; 0 where it is dropped.
    """

    title: str
    shares: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class LayersFigure(Picture):
    """What networks keep of each layer.

    Attributes:
        name: Its name in files and anchors.
        title: The heading.
        caption: What is shown, in sentences.
        networks: From the top down.
    """

    name: str
    title: str
    caption: str
    networks: tuple[KeptLayers, ...]

    def drawn(self) -> Canvas:
        """A row of small bars for each network."""
        parts = [part for part in PARTS if part in self.networks[0].shares]
        layers = range(1, 1 + len(self.networks[0].shares[parts[0]]))
        drawing = canvas(height=1.2 + 0.75 * len(self.networks))
        drawing.suptitle(self.title, x=0.01, ha="left", fontweight="bold", fontsize=11)
        rows = drawing.subplots(len(self.networks), sharex=True, squeeze=False)[:, 0]
        width = 0.8 / len(parts)
        for axes, network in zip(rows, self.networks, strict=True):
            plain(axes).set_ylim(0, 112)
            axes.set_title(network.title, loc="left", fontsize=8.5, pad=2, parse_math=False)
            axes.set_yticks([0, 100])
            axes.tick_params(labelsize=8)
            axes.grid(axis="x", visible=False)
            for place, part in enumerate(parts):
                shift = (place - (len(parts) - 1) / 2) * width
                axes.bar(
                    [layer + shift for layer in layers],
                    network.shares[part],
                    width=width,
                    color=PARTS[part],
                    label=part,
                )
            for layer in layers:
                if not any(network.shares[part][layer - 1] for part in parts):
                    axes.text(layer, 12, "dropped", ha="center", fontsize=7, color=QUIET)
        rows[-1].set_xticks(layers)
        rows[-1].set_xlabel("layer")
        rows[len(rows) // 2].set_ylabel("kept, %")
        legend(drawing, rows[0])
        return drawing


def layers_figure(
    networks: Sequence[tuple[str, Network]],
    *,
    shape: EncoderShape,
    lengths: Sequence[int],
    of: str,
) -> LayersFigure:
    """Gather what the networks of a front keep.

    Args:
        networks: Each with its title, in the order of the front; all are cut from one model.
        shape: That model's sizes.
        lengths: The task's lengths in tokens, over which word-vectors are averaged; none are
            needed where no network eliminates any.
        of: What the front is of.
    """
    step = max(1.0, (len(networks) - 1) / (MOST - 1))
    places = sorted({round(i * step) for i in range(min(MOST, len(networks)))})
    chosen = [networks[place] for place in places]
    eliminating = any(network.config and network.config.tokens for _, network in chosen)
    left = len(networks) - len(chosen)
    sentences = [
        f"The front of {of}, the cheapest first: the share of the {shape.num_heads} heads and "
        f"{shape.ffn_size} neurons that each layer keeps."
    ]
    if eliminating:
        sentences.append(
            "Word-vectors: the share that a layer's attention sees, on inputs of the task's "
            "lengths."
        )
    if left:
        sentences.append(f"{left} members between these are left out.")
    return LayersFigure(
        name="layers",
        title="What the networks of the front keep of each layer",
        caption=" ".join(sentences),
        networks=tuple(
            KeptLayers(title, _shares(network, shape, lengths if eliminating else ()))
            for title, network in chosen
        ),
    )


def _shares(
    network: Network, shape: EncoderShape, lengths: Sequence[int]
) -> dict[str, tuple[float, ...]]:
    config = network.config
    assert config is not None
    kept: dict[str, Sequence[float]] = {
        "heads": [100 * number / shape.num_heads for number in config.heads],
        "neurons": [100 * number / shape.ffn_size for number in config.neurons],
    }
    if lengths:
        whole = [100.0] * len(config.layers)
        left = kept_shares(config.tokens, lengths) if config.tokens else whole
        kept["word-vectors"] = [100.0, *left[:-1]]
    return {
        part: tuple(
            dict(zip(config.layers, shares, strict=True)).get(layer, 0.0)
            for layer in range(shape.num_layers)
        )
        for part, shares in kept.items()
    }
