"""What figures, tables and sentences share: readers' words, networks' numbers (no torch)."""

from collections.abc import Sequence
from html import escape

from ..networks.network import Printed, Stored
from ..search.candidate import Candidate

COSTS = {"latency_ms": "latency", "num_params": "parameters", "num_flops": "FLOPs"}
"""The quantities that scores are set against, the most telling first, as readers know them."""

METRICS = {
    "accuracy": "accuracy",
    "f1": "F1",
    "macro_f1": "macro F1",
    "matthews": "Matthews correlation",
    "pearson": "Pearson correlation",
    "spearman": "Spearman correlation",
}
"""Metrics as readers know them."""


def networks(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those of the candidates that can be run, in order: all but published numbers."""
    return [candidate for candidate in candidates if candidate.origin != "published"]


def numbers(candidates: Sequence[Candidate]) -> dict[str, int]:
    """Each network's number, the same in the table, the figures and the text, by its key."""
    return {candidate.key: i for i, candidate in enumerate(networks(candidates), start=1)}


def source(candidate: Candidate) -> str:
    """Where a published number comes from, or what made a network beside the supernet."""
    recipe = candidate.network.recipe
    if isinstance(recipe, Printed):
        return recipe.source
    return recipe.method if isinstance(recipe, Stored) else ""


def plotly_text(text: str) -> str:
    """Text as plotly shows it literally: it reads a small HTML, and TeX between dollar signs."""
    return escape(text, quote=False).replace("$", "&#36;")


def plotly_lines(text: str) -> str:
    """The same for a text of several lines."""
    return plotly_text(text).replace("\n", "<br>")
