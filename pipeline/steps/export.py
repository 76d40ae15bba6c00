"""Exporting a network of a run as it was measured: scored again and compared before it is done."""

import logging
from collections.abc import Mapping, Sequence
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
from ...search.query import outcomes
from ...tasks.metrics import Evaluation, PairedComparison, compare
from ..context import Context
from ..costs import Where, candidates, elsewhere, find_network, is_here, table
from ..delivery import time_again
from ..ledger import Subject
from ..scores import score_missing, score_reported
from ..warnings import table_warnings

if TYPE_CHECKING:
    from ...deploy.export import ExportResult
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


def export(context: Context, name: str, *, where: Where, to: Path) -> Exported:
    """Write the artefact that was scored and timed, with its card and what runs it.

    Args:
        context: The run.
        name: See `costs.find_network`.
        where: Which deployment, measured where.
        to: The destination: a new or empty folder.

    Raises:
        InputError: When there is no such network, it was not measured so, or `to` is occupied.
        ExportError: When the export does not compute what was measured.
    """
    costs = table(context, where)
    network = find_network(context.networks(), name)
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
    candidate = _candidate(context, costs, network)
    candidate, disturbances = _timed(context, candidate, costs)
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


def _candidate(context: Context, costs: CostTable, network: Network) -> Candidate:
    (found,) = (e for e in candidates(context, [costs]) if e.network.id == network.id)
    return found


def _timed(
    context: Context, candidate: Candidate, costs: CostTable
) -> tuple[Candidate, tuple[str, ...]]:
    """The candidate with its second timing, where the table is this machine's."""
    if not is_here(costs):
        return candidate, tuple(filter(None, [elsewhere(costs)]))
    timing = time_again(context, [candidate], costs.protocol)
    return candidate.timed(timing.latencies[candidate.key]), timing.disturbances


def _rescored(
    context: Context, folder: Path, network: Network, expected: Evaluation
) -> tuple[int, int]:
    found = context.workshop.answers(
        folder, network, split="report", num_examples=CHECKED_EXAMPLES
    )
    answers = np.asarray(found)
    wanted = np.asarray(expected.predictions)[: len(answers)]
    if context.task.label_names:
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
            f"{entry.low:.4f}",
            f"{entry.high:.4f}",
            f"95 % interval over {entry.n:,} examples",
        )
        for split, entry in scores.items()
    ]


def _loss_number(loss: PairedComparison) -> CardNumber:
    return CardNumber(
        f"{loss.metric} lost against the full model in fp32",
        f"{loss.difference:+.4f}",
        f"{loss.low:+.4f}",
        f"{loss.high:+.4f}",
        f"95 % interval in pairs over {loss.n:,} search examples",
    )


def _time_numbers(candidate: Candidate) -> list[CardNumber]:
    latency = candidate.latency
    if latency is None:
        return []
    time_ms, ratio = latency.time_ms, latency.ratio
    sequences = candidate.profile.sequences * 1000
    return [
        CardNumber(
            "latency of a batch",
            f"{time_ms.value:.2f} ms",
            f"{time_ms.low:.2f}",
            f"{time_ms.high:.2f}",
            time_ms.meaning,
        ),
        CardNumber(
            "times the full model's speed",
            f"{latency.speedup:.2f}",
            f"{1 / ratio.high:.2f}",
            f"{1 / ratio.low:.2f}",
            ratio.meaning,
        ),
        CardNumber(
            "sequences per second",
            f"{sequences / time_ms.value:.1f}",
            f"{sequences / time_ms.high:.1f}",
            f"{sequences / time_ms.low:.1f}",
            time_ms.meaning,
        ),
    ]
