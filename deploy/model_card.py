"""The model card of an exported network: a README.md with its numbers (no torch).

The front matter is what model hubs read. The licence is left to the user, because it follows from
the base model's and the data's.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from ..networks.subnet import SubnetConfig

HUB_NAME = re.compile(r"\w[\w.-]*(/[\w.-]+)?")


@dataclass(frozen=True, slots=True)
class CardScore:
    """A task score with its interval.

    Attributes:
        split: What it was evaluated on, e.g. "report".
        metric: Name of the metric.
        value: The score.
        low: Lower end of its 95 % interval.
        high: Upper end of its 95 % interval.
        num_examples: Examples evaluated.
    """

    split: str
    metric: str
    value: float
    low: float
    high: float
    num_examples: int

    def __post_init__(self) -> None:
        """Check that the interval holds the value."""
        _check_interval(self.low, self.value, self.high)


@dataclass(frozen=True, slots=True)
class CardLatency:
    """A measured latency with its interval.

    Attributes:
        time_ms: Time of one batch, in milliseconds.
        low_ms: Lower end of its interval.
        high_ms: Upper end of its interval.
        meaning: What the ends are, e.g. "95 % interval over 5 processes".
        protocol: Device, batch and length of the measurement, in one line.
        warnings: What forbids to take the latency at its word, in sentences.
    """

    time_ms: float
    low_ms: float
    high_ms: float
    meaning: str
    protocol: str
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check that the interval holds the time."""
        _check_interval(self.low_ms, self.time_ms, self.high_ms)


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What the card of an exported network says.

    Attributes:
        name: Heading of the card.
        base_model: The checkpoint that the supernet was trained from.
        task: The task it was trained for.
        config: The sub-network.
        num_params: Parameters of the exported network.
        num_flops: Its floating-point operations for one text of `seq_len` tokens.
        seq_len: Length in tokens at which operations are counted.
        scores: Scores, in the order in which they are listed.
        latency: Measured latency; None where it was not measured.
    """

    name: str
    base_model: str
    task: str
    config: SubnetConfig
    num_params: int
    num_flops: int
    seq_len: int
    scores: tuple[CardScore, ...]
    latency: CardLatency | None


def render(card: ModelCard, *, library_name: str, usage: str, check: str) -> str:
    """Return the card as Markdown.

    Args:
        card: The numbers.
        library_name: The library that loads the files, for the front matter.
        usage: How to load the network, as Markdown.
        check: One sentence on how the files were compared with the supernet.
    """
    return "\n".join(
        [
            "---",
            *_front_matter(card, library_name),
            "---",
            "",
            f"# {_one_line(card.name)}",
            "",
            f"A sub-network of `{_one_line(card.base_model)}` for the task "
            f"`{_one_line(card.task)}`, found with paretobert: a DynaBERT supernet was trained "
            "from the checkpoint, and this network was cut out of it.",
            "",
            *(f"> **{_one_line(warning)}**\n" for warning in _warnings(card)),
            "| quantity | value |",
            "|---|---|",
            *(f"| {name} | {_one_line(value)} |" for name, value in _rows(card)),
            "",
            "Intervals of scores are 95 % intervals. One multiply-add counts as two FLOPs.",
            "",
            "## How to load it",
            "",
            usage,
            "",
            check,
            "",
            "## Licence",
            "",
            "Not stated here: it follows from the base model's and the data's licences. Add it to "
            "the front matter as `license:` before you publish this folder.",
            "",
        ]
    )


def _front_matter(card: ModelCard, library_name: str) -> Iterable[str]:
    yield f"library_name: {json.dumps(library_name)}"
    yield 'pipeline_tag: "text-classification"'
    if HUB_NAME.fullmatch(card.base_model):
        yield f"base_model: {json.dumps(card.base_model)}"
    yield 'tags: ["paretobert", "dynabert", "compression"]'


def _rows(card: ModelCard) -> Iterable[tuple[str, str]]:
    yield "sub-network", f"`{card.config.key}`"
    yield "kept layers, counted from 0", _listed(card.config.layers)
    yield "heads of each", _listed(card.config.heads)
    yield "feed-forward neurons of each", _listed(card.config.neurons)
    yield "parameters", f"{card.num_params:,}"
    yield f"FLOPs at {card.seq_len} tokens", f"{card.num_flops:,}"
    if card.latency is not None:
        latency = card.latency
        interval = f"{latency.meaning} {latency.low_ms:.2f} to {latency.high_ms:.2f}"
        yield "latency", f"{latency.time_ms:.2f} ms ({interval}); {latency.protocol}"
    for score in card.scores:
        interval = f"{score.low:.4f} to {score.high:.4f}, n = {score.num_examples:,}"
        yield f"{score.metric} on the {score.split} split", f"{score.value:.4f} ({interval})"


def _warnings(card: ModelCard) -> tuple[str, ...]:
    return () if card.latency is None else card.latency.warnings


def _listed(numbers: tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers))


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _check_interval(low: float, value: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(f"the interval {low} to {high} does not hold the value {value}")
