"""What a delivered sub-network is told apart by: a score it was not chosen on, a second timing.

Choices are made on the search split, so the chosen score is an optimistic one, and the fastest of
many timings is a lucky one. Once a sub-network is the answer to a query it is scored on the report
split and timed again beside the full model. Both are kept, so that the same answer is delivered
at once the next time, without torch.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from ..dynabert.subnet import SubnetConfig
from ..errors import InputError
from ..profiling.environment import Environment
from ..profiling.table import LatencySummary, LookupTable
from ..storage import append_record, read_records
from ..tasks.metrics import Evaluation
from ..tasks.task import Task

logger = logging.getLogger(__name__)

REMEASURE_S = 20.0
"""Seconds that the second timing may take."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivered sub-network.

    Attributes:
        config: The sub-network.
        slug: The latency protocol it was timed by, as one word.
        evaluation: Its outcomes on the report split.
        extra_evaluations: The same on further report splits, such as MNLI's mismatched one.
        latency: Its latency, measured again.
    """

    config: SubnetConfig
    slug: str
    evaluation: Evaluation
    extra_evaluations: tuple[Evaluation, ...]
    latency: LatencySummary

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types, with the key for human readers."""
        return {
            "key": self.config.key,
            "config": self.config.to_dict(),
            "slug": self.slug,
            "evaluation": self.evaluation.to_dict(),
            "extra_evaluations": [entry.to_dict() for entry in self.extra_evaluations],
            "latency": self.latency.to_dict(),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        return cls(
            config=SubnetConfig.from_dict(record["config"]),
            slug=record["slug"],
            evaluation=Evaluation.from_dict(record["evaluation"]),
            extra_evaluations=tuple(map(Evaluation.from_dict, record["extra_evaluations"])),
            latency=LatencySummary.from_dict(record["latency"]),
        )


def read_deliveries(path: Path) -> list[Delivery]:
    """Read the deliveries so far, none where there is no file.

    Raises:
        InputError: When a line is damaged; the message names the file.
    """
    try:
        return [Delivery.from_dict(record) for record in read_records(path)]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} is damaged ({type(error).__name__}: {error}): delete it, and answers are "
            "scored and timed again."
        ) from None


def find_delivery(path: Path, config: SubnetConfig, *, slug: str) -> Delivery | None:
    """Return what was delivered before, or None."""
    return next(
        (d for d in read_deliveries(path) if d.config == config and d.slug == slug),
        None,
    )


def deliver(
    config: SubnetConfig, *, supernet: Path, task: Task, table: LookupTable, path: Path
) -> Delivery:
    """Score a sub-network on the report splits, time it again, and keep both.

    Args:
        config: The sub-network.
        supernet: The supernet's folder.
        task: The task that it was trained for.
        table: The cost table whose protocol is used.
        path: The file of deliveries that the outcome is appended to.

    Raises:
        InputError: When the supernet cannot be read or the protocol's device is absent.
    """
    from transformers import AutoTokenizer

    from ..dynabert.extraction import extract
    from ..dynabert.supernet import Supernet
    from ..profiling.latency import measure
    from ..tasks.batches import encode
    from ..tasks.evaluation import evaluate

    protocol = replace(
        table.protocol, time_budget_s=min(REMEASURE_S, table.protocol.time_budget_s)
    )
    changed = table.environment.differences(Environment.capture(device=protocol.device))
    if changed:
        logger.warning(
            "The cost table is from another machine (%s): the latency measured again is not "
            "comparable with it.",
            ", ".join(changed),
        )
    model = Supernet.from_pretrained(supernet).model
    tokenizer = AutoTokenizer.from_pretrained(supernet, local_files_only=True)
    full = SubnetConfig.full(table.shape)
    dense = {entry.key: extract(model, entry) for entry in dict.fromkeys((full, config))}
    splits = {"report": task.report} | {
        name: split for name, split in task.splits.items() if name.startswith("report-")
    }
    evaluation, *extra = (
        evaluate(
            dense[config.key],
            encode(split, tokenizer, max_length=task.max_length),
            task=task,
            split=name,
        )
        for name, split in splits.items()
    )
    for network in dense.values():
        network.to(protocol.device)  # type: ignore[arg-type]
    session = measure(dense, protocol, sentinel=full.key)
    delivery = Delivery(
        config=config,
        slug=protocol.slug,
        evaluation=evaluation,
        extra_evaluations=tuple(extra),
        latency=LatencySummary.from_measurement(session[config.key]),
    )
    append_record(path, delivery.to_dict())
    return delivery
