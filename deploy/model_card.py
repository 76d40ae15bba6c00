"""The model card of an exported network: a README.md with its numbers (no torch).

The numbers are those of this deployment: of the network as it runs from these files. The front
matter is what model hubs read. The licence is left to the user, because it follows from the base
model's and the data's.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from ..networks.network import Network, Stored
from ..tasks.heads import Head
from .deployment import Deployment

HUB_NAME = re.compile(r"\w[\w.-]*(/[\w.-]+)?")

LIBRARIES = {"onnxruntime": "onnx", "openvino": "openvino"}
"""What model hubs call what loads the files; transformers where it is none of these."""


@dataclass(frozen=True, slots=True)
class CardNumber:
    """A measured number with its interval.

    Attributes:
        name: What it is, e.g. "accuracy on the report split".
        text: Its value.
        ends: Those of its interval, as text.
        meaning: What the ends are, and of what.
    """

    name: str
    text: str
    ends: str
    meaning: str


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What the card of an exported network says.

    Attributes:
        base_model: The checkpoint that the run began with.
        task: The task it was trained for.
        head: What it answers.
        network: The network.
        deployment: Runtime and precision.
        num_params: Parameters of the exported network.
        num_flops: Its floating-point operations for one text of `seq_len` tokens.
        seq_len: Length in tokens at which operations are counted.
        size_bytes: Bytes of the network's own files; None where unknown.
        peak_memory_bytes: Most memory of a process that loads and runs it; None where unknown.
        numbers: Scores, latency and whatever else has an interval, in the order of the list.
        conditions: How and where times and memory were measured; empty where they were not.
        warnings: What forbids to take the latencies at their word, in sentences.
        repaired: Whether sub-networks were repaired in closed form instead of trained.
    """

    base_model: str
    task: str
    head: Head
    network: Network
    deployment: Deployment
    num_params: int
    num_flops: int
    seq_len: int
    size_bytes: int | None
    peak_memory_bytes: int | None
    numbers: tuple[CardNumber, ...]
    conditions: str
    warnings: tuple[str, ...] = ()
    repaired: bool = False


def render(card: ModelCard, *, usage: str, check: str) -> str:
    """Return the card as Markdown.

    Args:
        card: The numbers.
        usage: How to run the network, as Markdown.
        check: One sentence on how the files were checked.
    """
    return "\n".join(
        [
            "---",
            *_front_matter(card),
            "---",
            "",
            f"# {one_line(card.network.label)} for {one_line(card.task)}, {card.deployment.title}",
            "",
            _origin(card),
            "",
            *(f"> **{one_line(warning)}**\n" for warning in card.warnings),
            "| quantity | value |",
            "|---|---|",
            *(f"| {name} | {one_line(value)} |" for name, value in _rows(card)),
            "",
            "Intervals of scores are 95 % intervals. One multiply-add counts as two FLOPs.",
            "",
            "## How to run it",
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


def _front_matter(card: ModelCard) -> Iterable[str]:
    library = LIBRARIES.get(card.deployment.runtime, "transformers")
    yield f"library_name: {json.dumps(library)}"
    yield f"pipeline_tag: {json.dumps(card.head.pipeline_tag)}"
    if HUB_NAME.fullmatch(card.base_model):
        yield f"base_model: {json.dumps(card.base_model)}"
    yield 'tags: ["paretobert", "compression"]'


def _origin(card: ModelCard) -> str:
    base, task = one_line(card.base_model), one_line(card.task)
    recipe = card.network.recipe
    if isinstance(recipe, Stored):
        asked = json.dumps(recipe.asked, ensure_ascii=True)
        return (
            f"A network for the task `{task}`, made by `{one_line(recipe.method)}` in a run of "
            f"paretobert that began with `{base}`. The method was asked: "
            f"`{one_line(asked).replace('`', '')}`."
        )
    made = (
        "the checkpoint was fine-tuned, this network was cut out of it, and its layers' outputs "
        "were fitted to the full model's in closed form."
        if card.repaired
        else "a DynaBERT supernet was trained from the checkpoint, and this network was cut out "
        "of it."
    )
    return f"A sub-network of `{base}` for the task `{task}`, found with paretobert: {made}"


def _rows(card: ModelCard) -> Iterable[tuple[str, str]]:
    config = card.network.config
    yield "network", f"`{card.network.id}`"
    yield "runtime and precision", card.deployment.title
    if config is not None:
        yield "layers, counted from 0", _listed(config.layers)
        yield "heads of each", _listed(config.heads)
        yield "feed-forward neurons of each", _listed(config.neurons)
        if config.tokens is not None:
            yield "word-vectors that leave each", config.tokens.key
    yield "parameters", f"{card.num_params:,}"
    yield f"FLOPs at {card.seq_len} tokens", f"{card.num_flops:,}"
    for name, size in (("on disk", card.size_bytes), ("peak memory", card.peak_memory_bytes)):
        if size is not None:
            yield name, f"{size / 1e6:.1f} MB"
    for number in card.numbers:
        yield number.name, f"{number.text} ({number.meaning}: {number.ends})"
    if card.conditions:
        yield "times and memory measured", card.conditions


def _listed(numbers: tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers))


def one_line(text: str) -> str:
    """Text that Markdown's tables and headings take as it stands."""
    return " ".join(text.split()).replace("|", "\\|")
