"""The file of scored sub-networks, and the candidates it makes with a cost table (no torch).

One JSON line per sub-network, split and deployment, with every example's outcome. A score belongs
to a network as deployed: each precision below fp32 has scores of its own on each runtime. All
runtimes share those of fp32, where each is checked to give the same logits. Nothing is scored a
second time, and a query needs nothing else but the cost table.
"""

from pathlib import Path

from ..deploy.deployment import EAGER_FP32, Deployment
from ..errors import InputError
from ..networks.shape import EncoderShape
from ..networks.subnet import ElasticSpace, SubnetConfig
from ..profiling.table import LookupTable
from ..storage import append_record, read_records
from ..tasks.metrics import Evaluation
from .candidate import Candidate

SPLIT = "search"
"""The split that sub-networks are chosen on."""


def read_evaluations(
    path: Path, *, split: str = SPLIT, deployment: Deployment = EAGER_FP32
) -> dict[str, Evaluation]:
    """Read the evaluations of one deployment on one split, by the sub-network's key.

    Raises:
        InputError: When the file is damaged; the message names the line.
    """
    evaluations = {}
    for number, record in enumerate(read_records(path), start=1):
        try:
            evaluation = Evaluation.from_dict(record["evaluation"])
            scored = record.get("deployment", EAGER_FP32.slug)
            evaluations[record["key"], evaluation.split, scored] = evaluation
        except (KeyError, TypeError, ValueError, AttributeError):
            raise InputError(
                f"{path}, line {number}, is no evaluation of a sub-network: the file is damaged; "
                "delete it to have sub-networks scored again."
            ) from None
    wanted = (split, _scored_as(deployment))
    return {key: entry for (key, *scored), entry in evaluations.items() if tuple(scored) == wanted}


def append_evaluation(
    path: Path,
    config: SubnetConfig,
    evaluation: Evaluation,
    *,
    deployment: Deployment = EAGER_FP32,
) -> None:
    """Add one sub-network's evaluation to the file."""
    scored = _scored_as(deployment)
    record = {"key": config.key, "deployment": scored, "evaluation": evaluation.to_dict()}
    append_record(path, record)


def _scored_as(deployment: Deployment) -> str:
    return deployment.slug if deployment.changes_numbers else EAGER_FP32.slug


def read_candidates(path: Path, table: LookupTable, space: ElasticSpace) -> list[Candidate]:
    """Join the evaluations with the costs: one candidate per scored sub-network of the space.

    Args:
        path: The file of evaluations; one that does not exist has none.
        table: Costs of all the scored sub-networks; its deployment's scores are read.
        space: The space, whose order is kept; it gives the labels.

    Raises:
        InputError: When the file is damaged or the table lacks a sub-network.
    """
    evaluations = read_evaluations(path, deployment=table.protocol.deployment)
    candidates = []
    for config, (width, _, tokens) in space.configs(table.shape).items():
        if config.key not in evaluations:
            continue
        if config not in table:
            raise InputError(
                f"The cost table lacks the sub-network {config.key}: profile the whole space."
            )
        label = subnet_label(config, table.shape, width=width, tokens=tokens)
        candidates.append(
            Candidate.from_profile(table[config], evaluations[config.key], label=label)
        )
    return candidates


def subnet_label(
    config: SubnetConfig, shape: EncoderShape, *, width: float, tokens: float = 1.0
) -> str:
    """What a sub-network is called, with the layers that it has: a depth multiplier is rounded.

    Args:
        config: The sub-network.
        shape: The full model's.
        width: The width multiplier that asked for it.
        tokens: The tokens multiplier that asked for it.
    """
    label = f"width {width:g}, {config.num_layers} of {shape.num_layers} layers"
    return label if tokens == 1 else f"{label}, tokens {tokens:g}"
