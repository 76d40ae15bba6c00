"""Exporting a network of a run as it was measured: scored again and compared before it is done."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...deploy.deployment import EAGER_FP32
from ...deploy.model_card import CardNumber, ModelCard
from ...errors import InputError
from ...networks.network import Network
from ...profiling.table import CostTable
from ...search.candidate import Candidate
from ...search.pool import outcomes
from ...tasks.comparison import PairedComparison, compare
from ...tasks.scores import Evaluation
from ..context import Context
from ..costs import Where, chosen, cost_table, elsewhere, find_candidate, is_here
from ..delivery import time_again
from ..observations import Subject
from ..scores import score_missing, score_reported
from ..warnings import table_warnings
from .profile import measure_added

if TYPE_CHECKING:
    from ...deploy.export import ExportResult
    from ...profiling.measuring import MeasuringProgress

logger = logging.getLogger(__name__)

CHECKED_EXAMPLES = 256
"""Examples on which an export is scored again before it is delivered."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was exported.

    Attributes:
        candidate: The network as deployed, with its costs and its score on the search split.
        result: What was written.
        same_artefact: Whether the files are those that were scored and timed, byte for byte.
        num_checked: Examples on which the export was scored again.
        num_changed: Those of them that it answers otherwise than what was scored.
    """

    candidate: Candidate
    result: "ExportResult"
    same_artefact: bool
    num_checked: int
    num_changed: int


def export(
    context: Context,
    name: str,
    *,
    where: Where,
    to: Path,
    progress: "Callable[[MeasuringProgress], None] | None" = None,
) -> Exported:
    """Write the artefact that was scored and timed, with its card and what runs it.

    Args:
        context: The run.
        name: See `Context.named`; a network of the space is measured first where it was not yet.
        where: Which deployment, measured where.
        to: The destination: a new or empty folder.
        progress: Is called after every visit to the network as it is measured.

    Raises:
        InputError: When there is no such network, it was not measured so, or `to` is occupied.
        ExportError: When the export does not compute what was measured.
    """
    record = chosen(context, where)[0]
    costs = cost_table(context, record)
    network = context.named(name)
    if network.id not in costs and network.is_cut and is_here(record.conditions):
        measure_added(context, [network], costs.protocol, progress=progress)
        costs = cost_table(context, record)
    if network.id not in costs:
        raise InputError(
            f"{network.label} was not measured on {costs.protocol.title}: "
            f"{context.command('profile')}."
        )
    context.require_supernet()
    from ...deploy.export import export as write_export
    from ...deploy.runner import ExportError

    deployment = costs.protocol.deployment
    workshop = context.workshop
    reported = score_reported(context, [network], deployment=deployment)
    score_missing(context, [network], split="search", deployment=deployment)
    scored = find_candidate(context, record, network)
    assert scored is not None
    candidate, disturbances = _timed(context, scored, costs, progress=progress)
    scores = {"search": outcomes(candidate)} | {
        split: found[network.id] for split, found in reported.items()
    }
    warnings = table_warnings(context, costs, doubtful=disturbances)
    subject = Subject(network.id, deployment)
    known = context.ledger.fingerprint(subject)
    checked: list[tuple[int, int]] = []

    def check(folder: Path) -> None:
        num_examples, num_changed = _rescored(context, folder, network, scores["report"])
        checked.append((num_examples, num_changed))
        if num_changed:
            raise ExportError(
                f"The exported {deployment.title} network answers {num_changed} of "
                f"{num_examples} examples otherwise than the network that was scored: nothing "
                "was exported."
            )

    result = write_export(
        workshop.build(network),
        workshop.tokenizer(network),
        deployment,
        to,
        card=_card(context, candidate, costs, scores, warnings=warnings),
        max_length=context.task.max_length,
        threads=costs.protocol.threads,
        calibration=workshop.calibration(network) if deployment.precision == "int8" else (),
        origin={
            "network": network.to_dict(),
            "id": network.id,
            "is_full": network.is_full,
            "run": context.manifest["run"],
            "protocol": costs.protocol.to_dict(),
        },
        check=check,
    )
    same = known is None or known == result.fingerprint
    if not same:
        logger.warning(
            "The files are not byte for byte those that were timed, though they answer the same."
        )
    return Exported(candidate, result, same, *checked[0])


def _timed(
    context: Context,
    candidate: Candidate,
    costs: CostTable,
    *,
    progress: "Callable[[MeasuringProgress], None] | None",
) -> tuple[Candidate, tuple[str, ...]]:
    """The candidate with its second timing, where the table is this machine's."""
    if not is_here(costs.conditions):
        return candidate, tuple(filter(None, [elsewhere(costs.conditions)]))
    timing = time_again(context, [candidate], costs.protocol, progress=progress)
    return candidate.timed(timing.latencies[candidate.key]), timing.disturbances


def _rescored(
    context: Context, folder: Path, network: Network, expected: Evaluation
) -> tuple[int, int]:
    found = context.workshop.answers(
        folder, network, split="report", num_examples=CHECKED_EXAMPLES
    )
    answers = np.asarray(found)
    wanted = np.asarray(expected.predictions)[: len(answers)]
    if context.task.head.has_classes:
        return len(answers), int((answers != wanted).sum())
    return len(answers), int((np.abs(answers - wanted) > 1e-2).sum())


def _card(
    context: Context,
    candidate: Candidate,
    costs: CostTable,
    scores: Mapping[str, Evaluation],
    *,
    warnings: Sequence[str],
) -> ModelCard:
    full = context.ledger.evaluations(split="search", deployment=EAGER_FP32).get(context.full.id)
    loss = None if full is None else compare(full, outcomes(candidate))
    profile = candidate.profile
    assert profile.num_params is not None
    assert profile.num_flops is not None
    return ModelCard(
        base_model=context.request.model,
        task=context.manifest["task"]["name"],
        head=context.task.head,
        network=candidate.network,
        deployment=candidate.deployment,
        num_params=profile.num_params,
        num_flops=profile.num_flops,
        seq_len=profile.seq_len,
        size_bytes=profile.size_bytes,
        peak_memory_bytes=profile.peak_memory_bytes,
        numbers=(
            *_score_numbers(scores),
            *([] if loss is None else [_loss_number(loss)]),
            *_time_numbers(candidate),
        ),
        conditions=f"{costs.protocol.title}, on {costs.environment.machine}",
        warnings=tuple(warnings),
        repaired=context.request.training.recipe == "closed-form",
    )


def _score_numbers(scores: Mapping[str, Evaluation]) -> list[CardNumber]:
    return [
        CardNumber(
            f"{entry.metric} on the {split} split",
            f"{entry.value:.4f}",
            entry.interval.ends(".4f"),
            entry.interval.meaning,
        )
        for split, entry in scores.items()
    ]


def _loss_number(loss: PairedComparison) -> CardNumber:
    return CardNumber(
        f"{loss.metric} lost against the full model in fp32",
        f"{loss.interval.value:+.4f}",
        loss.interval.ends("+.4f"),
        f"95 % interval in pairs over {loss.interval.n:,} search examples",
    )


def _time_numbers(candidate: Candidate) -> list[CardNumber]:
    latency = candidate.latency
    if latency is None:
        return []
    time_ms, speedup = latency.time_ms, latency.ratio.dividing(1)
    throughput = time_ms.dividing(candidate.profile.sequences * 1000)
    return [
        CardNumber(
            "latency of a batch",
            f"{time_ms.value:.2f} ms",
            time_ms.ends(".2f"),
            time_ms.meaning,
        ),
        CardNumber(
            "times the full model's speed",
            f"{speedup.value:.2f}",
            speedup.ends(".2f"),
            speedup.meaning,
        ),
        CardNumber(
            "sequences per second",
            f"{throughput.value:.1f}",
            throughput.ends(".1f"),
            throughput.meaning,
        ),
    ]
