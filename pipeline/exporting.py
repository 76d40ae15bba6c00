"""Exporting a sub-network of a run, with its numbers on the model card."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from transformers import AutoTokenizer

from ..deploy.export import ExportResult, export_hf, export_onnx, supernet_logits
from ..deploy.model_card import CardLatency, CardScore, ModelCard
from ..dynabert.supernet import Supernet
from ..encoders.extraction import extract
from ..profiling.protocol import LatencyProtocol
from ..profiling.table import LatencySummary, Profile
from ..tasks.metrics import Evaluation

Format = Literal["hf", "onnx"]
FORMATS: tuple[Format, ...] = ("hf", "onnx")


def model_card(
    *,
    base_model: str,
    task: str,
    profile: Profile,
    evaluations: tuple[Evaluation, ...],
    latency: LatencySummary | None,
    warnings: Sequence[str],
    protocol: LatencyProtocol,
) -> ModelCard:
    """Gather the numbers of a sub-network's model card.

    Args:
        base_model: The checkpoint that the supernet was trained from.
        task: The task's name.
        profile: The sub-network's costs.
        evaluations: Its outcomes, in the order in which they are listed.
        latency: Its latency.
        warnings: What forbids to take the latency at its word.
        protocol: How the latency was measured.
    """
    return ModelCard(
        name=f"{Path(base_model).name} for {task}: {profile.config.key}",
        base_model=base_model,
        task=task,
        config=profile.config,
        num_params=profile.num_params,
        num_flops=profile.flops,
        seq_len=profile.seq_len,
        scores=tuple(
            CardScore(
                split=entry.split,
                metric=entry.metric,
                value=entry.value,
                low=entry.low,
                high=entry.high,
                num_examples=entry.n,
            )
            for entry in evaluations
        ),
        latency=None
        if latency is None
        else CardLatency(
            time_ms=latency.time_ms.value,
            low_ms=latency.time_ms.low,
            high_ms=latency.time_ms.high,
            meaning=latency.time_ms.meaning,
            warnings=tuple(warnings),
            protocol=protocol.title,
        ),
    )


def export_subnet(supernet: Path, *, card: ModelCard, to: Path, format: Format) -> ExportResult:
    """Cut a sub-network out of a supernet and write it, checked.

    Args:
        supernet: The supernet's folder.
        card: The sub-network and its numbers.
        to: The destination: absent or empty.
        format: A Hugging Face folder or ONNX.

    Raises:
        InputError: When the destination is occupied or a package is missing.
        ExportError: When the files do not compute what the supernet computes.
    """
    source = Supernet.from_pretrained(supernet)
    write = {"hf": export_hf, "onnx": export_onnx}[format]
    return write(
        extract(source.model, card.config),
        reference=supernet_logits(source, card.config),
        tokenizer=AutoTokenizer.from_pretrained(supernet, local_files_only=True),
        folder=to,
        card=card,
    )
