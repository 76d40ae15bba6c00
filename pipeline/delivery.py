"""What a delivered sub-network is told apart by: a score it was not chosen on, a second timing.

Choices are made on the search split, so the chosen score is an optimistic one, and the fastest of
many timings is a lucky one. Every sub-network that a search returns or a query answers is timed
again beside the full model, by a process that does nothing else; an answer is also scored on the
report splits. Scores join the others in `evaluations.jsonl`, timings go to `deliveries.jsonl`, so
that the same answer is given at once the next time, without torch.
"""

import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from ..dynabert.subnet import SubnetConfig
from ..errors import InputError
from ..profiling.environment import Environment
from ..profiling.runtimes.deployment import Deployment
from ..profiling.table import LatencySummary, LookupTable
from ..storage import read_records

logger = logging.getLogger(__name__)

REMEASURE_S = 20.0
"""Seconds that the second timing may take."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """The second timing of a delivered sub-network.

    Attributes:
        config: The sub-network.
        slug: The latency protocol, as one word.
        latency: Its latency, measured again.
    """

    config: SubnetConfig
    slug: str
    latency: LatencySummary

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return {
            "key": self.config.key,
            "slug": self.slug,
            "latency": self.latency.to_dict(),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        return cls(
            config=SubnetConfig.from_key(record["key"]),
            slug=record["slug"],
            latency=LatencySummary.from_dict(record["latency"]),
        )


def read_deliveries(path: Path) -> list[Delivery]:
    """Read the deliveries so far, none where there is no file.

    Raises:
        InputError: When the file is damaged; the message names it.
    """
    try:
        return [Delivery.from_dict(record) for record in read_records(path)]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} is damaged ({type(error).__name__}: {error}): delete it to have answers "
            "timed again."
        ) from None


def measure_again(
    configs: Sequence[SubnetConfig],
    *,
    table: LookupTable,
    padding_id: int | None,
    write: Callable[[SubnetConfig, Deployment, Path], None],
) -> list[Delivery]:
    """Time sub-networks again beside the full model, by the table's protocol, in a new process.

    Args:
        configs: The sub-networks.
        table: The cost table that they were chosen by.
        padding_id: The model's padding token.
        write: Writes a sub-network as deployed into a new folder.

    Raises:
        InputError: When the protocol's device is absent.
    """
    from ..profiling.fresh import measure_in_fresh_process

    _warn_of_another_machine(table)
    budget_s = min(REMEASURE_S, table.protocol.time_budget_s)
    protocol = replace(table.protocol, time_budget_s=budget_s)
    full = SubnetConfig.full(table.shape)
    with tempfile.TemporaryDirectory() as scratch:
        folders = {config.key: Path(scratch) / config.key for config in (full, *configs)}
        for config in dict.fromkeys((full, *configs)):
            write(config, protocol.deployment, folders[config.key])
        session = measure_in_fresh_process(
            folders,
            protocol,
            sentinel=full.key,
            vocab_size=table.shape.vocab_size,
            padding_id=padding_id,
        )
    return [
        Delivery(
            config=config,
            slug=protocol.slug,
            latency=LatencySummary.from_measurement(session[config.key]),
        )
        for config in configs
    ]


def _warn_of_another_machine(table: LookupTable) -> None:
    here = Environment.capture(device=table.protocol.device, runtime=table.protocol.runtime)
    changed = table.environment.differences(here)
    if changed:
        logger.warning(
            "The cost table was measured elsewhere (%s differ): the latency measured again "
            "is this machine's.",
            ", ".join(changed),
        )
