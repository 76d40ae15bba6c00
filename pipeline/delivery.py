"""What a delivered sub-network is told apart by: a score it was not chosen on, a second timing.

Choices are made on the search split, so the chosen score is an optimistic one, and the fastest of
many timings is a lucky one. Once a sub-network is the answer to a query it is scored on the report
splits and timed again beside the full model. Scores join the others in `evaluations.jsonl`,
timings go to `deliveries.jsonl`, so that the same answer is given at once the next time, without
torch.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ..dynabert.subnet import SubnetConfig
from ..errors import InputError
from ..profiling.environment import Environment
from ..profiling.table import LatencySummary, LookupTable
from ..storage import read_records

if TYPE_CHECKING:
    from transformers import PreTrainedModel

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
    config: SubnetConfig, *, dense: "Callable[[SubnetConfig], PreTrainedModel]", table: LookupTable
) -> Delivery:
    """Time a sub-network again beside the full model, by the table's protocol.

    Args:
        config: The sub-network.
        dense: Makes the dense copy of a sub-network.
        table: The cost table that it was chosen by.

    Raises:
        InputError: When the protocol's device is absent.
    """
    from ..profiling.latency import measure

    _warn_of_another_machine(table)
    budget_s = min(REMEASURE_S, table.protocol.time_budget_s)
    protocol = replace(table.protocol, time_budget_s=budget_s)
    full = SubnetConfig.full(table.shape)
    networks = {
        entry.key: dense(entry).to(protocol.device)  # type: ignore[arg-type]
        for entry in dict.fromkeys((full, config))
    }
    session = measure(networks, protocol, sentinel=full.key)
    return Delivery(
        config=config,
        slug=protocol.slug,
        latency=LatencySummary.from_measurement(session[config.key]),
    )


def _warn_of_another_machine(table: LookupTable) -> None:
    here = Environment.capture(device=table.protocol.device)
    changed = table.environment.differences(here)
    if changed:
        logger.warning(
            "The cost table was measured elsewhere (%s differ): the latency measured again "
            "is this machine's.",
            ", ".join(changed),
        )
